"""Streams that NATS keeps in error since a write failed are told of, as what this process waits for and as a metric,
from the first event that it did not acknowledge until the stream is well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import structlog
import trio

from mailcore.aio import aio
from mailcore.bus import Bus
from mailcore.errors import BusError
from mailcore.waits import WAITS
from mailcore.write_error import words
from syncer.metrics import STREAM_IN_ERROR

log = structlog.get_logger(__name__)

_WHO: Final = "streams in error"
_EVERY: Final = 10.0
_LONGEST: Final = 900.0  # where this user may not ask: each time is a line in the log


async def watch(bus: Bus, every: float = _EVERY) -> None:
    """For ever."""
    pause, known = every, frozenset[str]()
    while True:
        await trio.sleep(pause)
        if not (known or bus.unacknowledged):
            continue
        try:
            found = await aio(bus.write_errors)
        except BusError as error:
            log.debug("streams not asked", error=str(error))
            pause = min(pause * 2, _LONGEST) if bus.connected else every
            continue
        pause = every
        tell(known, found)
        known = frozenset(found)


def tell(known: Iterable[str], found: Mapping[str, str]) -> None:
    """Which streams are in error now, with what the system said; `known` were before."""
    if found:
        WAITS.begin(_WHO, f"NATS takes nothing: {words(found)}")
    else:
        WAITS.end(_WHO)
    for stream in found:
        STREAM_IN_ERROR.labels(stream).set(1)
    if found.keys() - known:
        log.error(f"NATS takes nothing: {words(found)}")
    for stream in set(known) - found.keys():
        STREAM_IN_ERROR.remove(stream)
        log.info("NATS stores again", stream=stream)
