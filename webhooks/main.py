"""The webhook process: sends events to WEBHOOK_URL until it is asked to stop."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import structlog

from mailcore import metrics, undelivered
from mailcore.bus import MAIL_EVENTS, Bus
from mailcore.errors import SettingsError
from mailcore.lifecycle import run_until_stopped
from mailcore.settings import Settings
from webhooks.delivering import Delivering
from webhooks.notice import filters
from webhooks.redelivering import Redelivering
from webhooks.sending import Receiver
from webhooks.signature import keys

log = structlog.get_logger(__name__)

DURABLE: Final = "webhook"


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Open everything, deliver, close everything. Raises SettingsError, and BusError when NATS is down."""
    if not settings.webhook_url:
        raise SettingsError("WEBHOOK_URL is not set: there is nowhere to send events to.")
    receiver = Receiver(settings.webhook_url, keys(settings.webhook_secret.get_secret_value()))
    async with AsyncExitStack() as stack:
        bus = await Bus.connect(settings.nats_url, name="webhook")
        stack.push_async_callback(bus.close)
        await bus.ensure(**settings.retention)
        await bus.dedicated.stream(undelivered.CONFIG)
        await metrics.answer(bus, "webhook")
        pull = await bus.dedicated.pull(MAIL_EVENTS, DURABLE, filters(settings.webhook_events))
        await stack.enter_async_context(receiver)
        stack.push_async_callback((await Redelivering(bus, receiver).begin()).stop)
        log.info("delivering", to=receiver.name, events=",".join(settings.webhook_events), nats=bus.server)
        await Delivering(bus, receiver, settings.webhook_events).run(pull, stop)
        log.info("stopped")


def run(settings: Settings) -> None:
    """The whole life of the process; SIGINT and SIGTERM end it. The log is configured by the caller."""

    run_until_stopped(partial(serve, settings))
