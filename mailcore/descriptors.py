"""File descriptors: each connection and each open file takes one, and a process may have so many (RLIMIT_NOFILE)."""

from __future__ import annotations

import asyncio
import errno
import resource
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import structlog

from mailcore.discovery.preset import counts_by_account

if TYPE_CHECKING:
    from mailcore.account import Account

log = structlog.get_logger(__name__)

_TELL_EVERY: Final = 60.0
_NONE_FREE: Final = (errno.EMFILE, errno.ENFILE)
# What a process has open besides its connections to IMAP servers: NATS, database, log, files that are being written.
BESIDES: Final = 64
_LOOKING: Final = 3  # connections of an account that compare and fetch
_MOST: Final = 1 << 20  # a limit of 2³⁰, as some containers have, makes programs slow that look at each number


def raise_limit() -> None:
    """Up to what whoever started us allows, for this process and those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:  # macOS names a hard limit that it does not grant
        log.debug("limit of open files not raised", limit=soft, wanted=wanted, error=str(error))


def limit() -> int:
    """How many this process may have open now."""
    return _number(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def hard_limit() -> int:
    """How many it could have at most."""
    return _number(resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def _number(limit: int) -> int:
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


def needed(accounts: Iterable[Account], host_connections: int) -> int:
    """How many the syncer may have open at once for these accounts. Pure."""
    hosts: dict[str, int] = {}
    for account in accounts:
        named = not any(sign in name for name in account.mailboxes for sign in "*%")
        most = min(account.connections, len(account.mailboxes) + _LOOKING) if named else account.connections
        hosts[account.host] = hosts.get(account.host, 0) + most
    bounded = (count if counts_by_account(host) else min(count, host_connections) for host, count in hosts.items())
    return BESIDES + sum(bounded)


class Starved:
    """An exception handler of an asyncio loop: that no connection can be accepted, since no descriptor is free, is told
    once a minute with the count, and without the traceback, for which the log would open a file. asyncio tries again
    after a second. Everything else is told as ever."""

    def __init__(self) -> None:
        self._count = 0
        self._told = float("-inf")

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in _NONE_FREE or "socket" not in context:
            loop.default_exception_handler(context)
        elif count := self.note(loop.time()):
            log.error(
                "connections wait: no file descriptor is free",
                times=count,
                limit=limit(),
                remedy="raise the limit of open files (ulimit -n, LimitNOFILE=), or close idle connections",
            )

    def note(self, now: float) -> int:
        """One more, `now` in seconds; how many to tell of, 0: none now."""
        self._count += 1
        if now - self._told < _TELL_EVERY:
            return 0
        self._told, count, self._count = now, self._count, 0
        return count
