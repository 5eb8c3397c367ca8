"""How often a client may guess a secret, and how often the log tells of what was refused."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict
from typing import Final

import structlog

log = structlog.get_logger(__name__)

_PREFIX_V6: Final = 64  # what one customer has; each address in it is free to whoever has the prefix
_NAMED: Final = 5


class Budget:
    """Token buckets, one a client: `burst` guesses at once, then `per_minute`. Pure: `now` is seconds, monotonic.

    Remembers the `clients` that guessed last; forgetting the oldest costs its memory, never ours.
    """

    def __init__(self, *, burst: int = 10, per_minute: float = 10, clients: int = 10_000) -> None:
        self._burst = burst
        self._per_second = per_minute / 60
        self._most = clients
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str, now: float) -> float:
        """Seconds until this client may guess again; 0 when it may now."""
        return max(0.0, (self._left_over(client, now) + 1 - self._burst) / self._per_second)

    def spend(self, client: str, now: float) -> None:
        """It guesses."""
        self._spent[client] = (min(self._left_over(client, now) + 1, self._burst), now)
        self._spent.move_to_end(client)
        while len(self._spent) > self._most:
            self._spent.popitem(last=False)

    def refund(self, client: str) -> None:
        """It knew: its mistakes are forgotten."""
        self._spent.pop(client, None)

    def _left_over(self, client: str, now: float) -> float:
        spent, when = self._spent.get(client, (0.0, now))
        return max(0.0, spent - max(0.0, now - when) * self._per_second)


class Refusals:
    """Tells of what was refused (`event`: "credentials refused"): the first one at once, then one line a minute for all
    that came meanwhile."""

    def __init__(self, event: str, every: float = 60.0) -> None:
        self._event = event
        self._every = every
        self._counts: dict[str, int] = {}
        self._clients: dict[str, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def note(self, what: str, client: str) -> None:
        """One more of these."""
        self._counts[what] = self._counts.get(what, 0) + 1
        if len(self._clients) < _NAMED:
            self._clients[client] = None
        if self._timer is None:
            self._say()

    def close(self) -> None:
        """Say what is left to say, and no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._say()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _say(self) -> None:
        self._timer = None
        if not self._counts:
            return
        log.warning(self._event, clients=",".join(self._clients), **self._counts)
        self._counts, self._clients = {}, {}
        self._timer = asyncio.get_running_loop().call_later(self._every, self._say)


def client_of(remote: str | None) -> str:
    """Whom a peer address stands for: an IPv4 address, an IPv6 /64, or `local` for a socket that has none. Pure."""
    try:
        address = ipaddress.ip_address((remote or "").partition("%")[0])
    except ValueError:
        return "local"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _PREFIX_V6), strict=False))
