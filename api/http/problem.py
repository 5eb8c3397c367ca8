"""Errors as problem JSON (RFC 9457), whatever went wrong wherever."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

log = structlog.get_logger(__name__)


class Problem(Exception):
    """Raise it in a handler; `detail` is for a person, `more` are extension members (RFC 9457 §3.2)."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}
        self.more = more

    def response(self) -> web.Response:
        """`type` is about:blank, so `title` is the status phrase (RFC 9457 §4.2.1)."""
        status = HTTPStatus(self.status)
        body = {
            "type": "about:blank",
            "title": status.phrase,
            "status": self.status,
            "detail": self.detail,
            **self.more,
        }
        return web.Response(
            status=self.status,
            text=json.dumps(body, ensure_ascii=False),
            content_type="application/problem+json",
            headers=self.headers,
        )


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The outermost middleware: nothing leaves as HTML, plain text or a traceback."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response()
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return Problem(error.status, _detail(request, error), _kept(error)).response()
    except Exception:  # the edge of the process: the log has the traceback, the client a problem without it
        log.exception("request failed", method=request.method, path=request.path[:200])
        return Problem(500, "A fault of this program; its log says more.").response()


def _detail(request: web.Request, error: web.HTTPException) -> str:
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"{error.method} is not possible here; use {' or '.join(sorted(error.allowed_methods))}."
    if isinstance(error, web.HTTPNotFound):
        return f"There is nothing at {request.path[:200]}; docs/api.md lists what there is."
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return "The request's body is too large."
    return error.reason


def _kept(error: web.HTTPException) -> dict[str, str]:
    return {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
