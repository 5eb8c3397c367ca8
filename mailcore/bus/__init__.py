"""JetStream and core NATS behind one facade; the only package that imports nats-py."""

from mailcore.bus.bodies import BodyMissing
from mailcore.bus.bus import Bus, Unsettled
from mailcore.bus.dead import DeadLetterMissing
from mailcore.bus.delivery import Delivery
from mailcore.bus.layout import ACK_WAIT, MAIL, MAIL_DEAD, MAIL_EVENTS
from mailcore.bus.pipeline import Pipeline
from mailcore.bus.position import StreamPosition
from mailcore.bus.publish import PubAck
from mailcore.bus.pull import Pull
from mailcore.bus.service import Subscription
from mailcore.events.dead_letter import DeadLetter

__all__ = [
    "ACK_WAIT",
    "MAIL",
    "MAIL_DEAD",
    "MAIL_EVENTS",
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
