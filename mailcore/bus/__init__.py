"""JetStream and core NATS behind one facade; the only package that imports nats-py."""

from mailcore.bus.bus import Bus, Unsettled
from mailcore.bus.core.requests import Subscription
from mailcore.bus.jetstream.bodies import BodyMissing
from mailcore.bus.jetstream.dead_letters import DeadLetterMissing
from mailcore.bus.jetstream.delivery import Delivery
from mailcore.bus.jetstream.pipeline import Pipeline
from mailcore.bus.jetstream.position import StreamPosition
from mailcore.bus.jetstream.publish import PubAck
from mailcore.bus.jetstream.pull import Pull
from mailcore.bus.layout.durables import ACK_WAIT
from mailcore.bus.layout.streams import MAIL, MAIL_BACKFILL, MAIL_DEAD, MAIL_EVENTS, MESSAGE_STREAMS
from mailcore.events.dead_letter import DeadLetter

__all__ = [
    "ACK_WAIT",
    "MAIL",
    "MAIL_BACKFILL",
    "MAIL_DEAD",
    "MAIL_EVENTS",
    "MESSAGE_STREAMS",
    "BodyMissing",
    "Bus",
    "DeadLetter",
    "DeadLetterMissing",
    "Delivery",
    "Pipeline",
    "PubAck",
    "Pull",
    "StreamPosition",
    "Subscription",
    "Unsettled",
]
