"""Events `account`: whether an account can be logged in to, was paused, or removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import structlog
import trio

from mailcore.aio import aio
from mailcore.bus import Bus
from mailcore.errors import BusError
from mailcore.events.control import AccountLive
from mailcore.events.thin import AccountState
from mailcore.log import strike_out
from syncer.sources import Sources

log = structlog.get_logger(__name__)
LOOK_EVERY: Final = 0.5


async def announce(sources: Sources, bus: Bus) -> None:
    """For ever. One that starts tells of each account once; what could not be published is told later."""
    told: dict[str, str] = {}
    while True:
        await trio.sleep(LOOK_EVERY)
        for event in changes(told, sources.states().accounts, datetime.now(UTC)):
            try:
                await aio(bus.publish, event)
            except BusError as error:
                log.debug("account event not published", account=event.account, error=str(error))
                break
            if event.state == "removed":
                del told[event.account]
            else:
                told[event.account] = event.state


def changes(told: Mapping[str, str], now: Iterable[AccountLive], at: datetime) -> list[AccountState]:
    """What is to be told, where `told` are the states that were, by account. Pure."""
    found, named = [], set()
    for one in now:
        named.add(one.account)
        if one.state != "starting" and told.get(one.account) != one.state:
            reason = strike_out(one.reason)
            found.append(AccountState(account=one.account, state=one.state, reason=reason, since=one.since, at=at))
    found += [AccountState(account=name, state="removed", since=at, at=at) for name in told if name not in named]
    return found
