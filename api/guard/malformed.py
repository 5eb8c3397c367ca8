"""Requests that are none: answered 400 in few words and closed; counted in the log, which never holds a byte of them.

Whoever reaches the port can send them: scanners, TLS on the plain port, other protocols, bodies that are not what their
header says.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from api.guard.ratelimit import Refusals, client_of
from api.guard.security_headers import put
from api.http.connections import KEEPALIVE
from api.http.problem import Problem


class Runner(web.AppRunner):
    """As aiohttp's, with connections that bear malformed requests; `shutdown_timeout` is seconds."""

    def __init__(self, app: web.Application, *, shutdown_timeout: float) -> None:
        super().__init__(app, access_log=None, shutdown_timeout=shutdown_timeout)
        self.refusals = Refusals("malformed requests")

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(self.refusals, made)

    async def _cleanup_server(self) -> None:
        self.refusals.close()
        await super()._cleanup_server()


class _Server(web.Server):
    """`made` is aiohttp's own, with whose handler it answers."""

    def __init__(self, refusals: Refusals, made: web.Server) -> None:
        super().__init__(made.request_handler, request_factory=made.request_factory)
        self._refusals = refusals

    def __call__(self) -> web.RequestHandler:
        return _Connection(self._refusals, self)


class _Connection(web.RequestHandler):
    __slots__ = ("_refusals",)

    def __init__(self, refusals: Refusals, server: web.Server) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=KEEPALIVE,
            access_log=None,  # type: ignore[arg-type]  # as AppRunner hands it over, and as it is documented
        )
        self._refusals = refusals

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """aiohttp would log the exception, which quotes the line that it could not read, and send it back."""
        if not _is_malformed(exc):
            return super().handle_error(request, status, exc, message)
        self._note()
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun, and this request is none")
        response = Problem(400, "This is no HTTP request that can be read.").response()
        put(response)
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Also for a body that turns out to be broken when its request was answered already."""
        if _is_malformed(kw.get("exc_info")):
            self._note()
        else:
            super().log_exception(*args, **kw)

    def _note(self) -> None:
        peer = self.peername
        self._refusals.note("requests", client_of(peer[0] if isinstance(peer, tuple) else None))


def _is_malformed(error: object) -> bool:
    return isinstance(error, HttpProcessingError | web.RequestPayloadError)
