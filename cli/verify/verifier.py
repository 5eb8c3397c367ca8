"""The verifier process: `mozzart verify` every VERIFY_INTERVAL seconds, until it is asked to stop."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import structlog

from cli.verify.run import Scope, verify
from mailcore import metrics
from mailcore.bus import Bus
from mailcore.errors import BusError, MozzartError, SettingsError, StoreError
from mailcore.lifecycle import run_until_stopped
from mailcore.settings import Settings, load_settings
from mailcore.store import Store, VerifyReport

log = structlog.get_logger(__name__)

FIRST_AFTER: Final = 300.0  # seconds, at most: what a first start finds is being fetched
_RECONNECT: Final = 5.0


def run(settings: Settings) -> None:
    """The whole life of the process; SIGINT and SIGTERM end it. Raises SettingsError when there is nothing to do."""
    if not settings.verify_interval:
        raise SettingsError("VERIFY_INTERVAL is 0: nothing is verified regularly; set it to some seconds.")
    run_until_stopped(partial(serve, settings))


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    work = asyncio.create_task(_serve(settings))
    await asyncio.wait({work, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work
    log.info("stopped")


async def _serve(settings: Settings) -> None:
    bus = await _connect(settings)
    try:
        await metrics.answer(bus, "verifier")
        while True:
            wait = await _wait(settings)
            log.info("verifying", in_s=round(wait), deep=settings.verify_deep)
            await asyncio.sleep(wait)
            await _once(settings)
    finally:
        await bus.close()


async def _connect(settings: Settings) -> Bus:
    while True:
        try:
            return await Bus.connect(settings.nats_url, name="verifier")
        except BusError as error:
            log.warning("nats not reached", error=str(error), again_in=f"{_RECONNECT:.0f}s")
            await asyncio.sleep(_RECONNECT)


async def _once(settings: Settings) -> None:
    """One run, whatever it ends with: its report and the log have it."""
    scope = Scope(files=settings.verify_deep, deep=settings.verify_deep)
    try:
        # Accounts may have come and gone since.
        fresh = load_settings().model_copy(update={"nats_url": settings.nats_url})
        report = await verify(fresh, scope, by="verifier")
    except MozzartError as error:
        log.error("not verified", error=str(error))
        return
    counts = {str(category): count for category, count in report.totals().items() if count}
    tell = log.info if report.status == "equal" else log.warning
    tell("verified", status=report.status, **counts, not_compared=len(report.not_compared))


async def _wait(settings: Settings) -> float:
    store = await Store.open(settings.database_url)
    try:
        last = next((one for one in await store.verify_reports() if one.by == "verifier"), None)
    except StoreError as error:
        log.warning("the last report is not known", error=str(error))
        last = None
    finally:
        await store.close()
    return due_in(settings.verify_interval, last, datetime.now(UTC))


def due_in(interval: float, last: VerifyReport | None, now: datetime) -> float:
    """Seconds until the next run: an interval after the last one began, which may have been before a restart. One
    that was interrupted, or never ended, is made again soon. Pure."""
    soon = min(interval, FIRST_AFTER)
    if last is None or last.status in ("running", "interrupted"):
        return soon
    due = last.started_at + timedelta(seconds=interval)
    return min(max((due - now).total_seconds(), min(interval, 1.0)), interval)
