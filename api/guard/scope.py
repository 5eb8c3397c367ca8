"""Which scopes each route takes: `@operation` declares them, whoever checks credentials asks for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import web

from mailcore.api_token import Scope

_needed: Final[dict[object, tuple[Scope, ...]]] = {}


def declare(handler: Callable[..., object], scopes: tuple[Scope, ...]) -> None:
    """One of these is enough for what the handler answers."""
    _needed[handler] = scopes


def needed(request: web.Request) -> tuple[Scope, ...]:
    """() for what declares none: pages, which are for people."""
    return _needed.get(request.match_info.handler, ())
