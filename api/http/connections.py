"""How long and how many: a client that sends nothing, takes nothing or opens too much is cut off, and holds up nobody.

aiohttp itself bounds headers and bodies in size, and ends connections that are kept alive and not used (KEEPALIVE).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from api.http.problem import Problem

log = structlog.get_logger(__name__)

# Seconds; longer than proxies keep theirs, so that a request never meets a connection that we are closing.
KEEPALIVE: Final = 75.0
MOST: Final = 512
_BESIDES: Final = 64  # descriptors


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, but `most`. `header`: until the first request has come; `body`: until its body has; `stalled`: in which
    a client takes nothing of what waits for it, though the system's own buffers hold megabytes; `most`: connections.
    """

    header: float = 30.0
    body: float = 30.0
    stalled: float = 180.0
    most: int = MOST


def most(descriptors: int) -> int:
    """How many connections a process keeps that may have so many descriptors: some are left for files and the
    database."""
    return min(MOST, max(descriptors - _BESIDES, descriptors // 4))


@dataclass(slots=True)
class _Waiting:
    """So many bytes wait for this client, the same ones since then."""

    size: int
    since: float


class Connections:
    """Those of one server. Its middleware must be among the application's, and `watch` run beside the server."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._seen: dict[web.RequestHandler, float] = {}
        self._asked: set[web.RequestHandler] = set()
        self._waiting: dict[web.RequestHandler, _Waiting] = {}

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """It learns which connections have brought a request."""
        self._asked.add(request.protocol)
        return await handler(request)

    @asynccontextmanager
    async def watching(self, runner: web.AppRunner) -> AsyncIterator[None]:
        """For the time of the block; the runner is set up."""
        task = asyncio.ensure_future(self._watch(runner))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _watch(self, runner: web.AppRunner) -> None:
        every = min(self.limits.header, self.limits.stalled, 4.0) / 4
        while True:
            await asyncio.sleep(every)
            if runner.server is not None:
                self.look(runner.server.connections, time.monotonic())

    def look(self, connections: list[web.RequestHandler], now: float) -> None:
        """Cut off whoever is over a limit at `now`; seconds, monotonic. The oldest connection comes first."""
        here = set(connections)
        self._asked &= here
        for memory in (self._seen, self._waiting):
            for gone in memory.keys() - here:
                del memory[gone]
        for one in connections[self.limits.most :]:
            self._cut(one, "too many connections")
        for one in connections[: self.limits.most]:
            since = self._seen.setdefault(one, now)
            if one not in self._asked and now - since >= self.limits.header:
                self._cut(one, "no request")
            elif self._is_stalled(one, now):
                self._cut(one, "takes nothing")

    def _is_stalled(self, one: web.RequestHandler, now: float) -> bool:
        size = one.transport.get_write_buffer_size() if one.transport is not None else 0
        before = self._waiting.get(one)
        if not size or before is None or before.size != size:
            self._waiting[one] = _Waiting(size, now)
            return False
        return now - before.since >= self.limits.stalled

    def _cut(self, one: web.RequestHandler, why: str) -> None:
        if one.transport is not None:
            log.debug("connection cut", why=why)
            one.transport.abort()


CONNECTIONS: Final = web.AppKey("connections", Connections)


async def body(request: web.Request) -> bytes:
    """The whole body, within the limits. Raises Problem 400 for one that is not what its header says, 408,
    HTTPRequestEntityTooLarge."""
    seconds = request.app[CONNECTIONS].limits.body
    try:
        async with asyncio.timeout(seconds):
            return await request.read()
    except TimeoutError:
        raise Problem(408, f"The body did not come within {seconds:g} s.") from None
    except web.RequestPayloadError:
        raise Problem(400, "The body is not what Content-Encoding or Transfer-Encoding says.") from None
