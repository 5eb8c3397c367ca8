"""What is a page for people: everything below /admin/, and what is marked with `@page` elsewhere. Without a session
it leads to the sign-in page (api/guard/auth.py), and its errors are HTML (api/admin/templates.py)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from aiohttp import web

HOME: Final = "/admin/"
LOGIN: Final = "/admin/login/"

_Page = TypeVar("_Page", bound=Callable[[web.Request], Awaitable[web.StreamResponse]])
_marked: set[object] = set()


def page(handler: _Page) -> _Page:
    """Mark a handler as a page for people (below /admin/ that goes without saying)."""
    _marked.add(handler)
    return handler


def is_page(request: web.Request) -> bool:
    """Whether a person looks at the answer."""
    return request.path.startswith(HOME) or request.path == "/admin" or request.match_info.handler in _marked
