"""ALLOWED_HOSTS: a request for another Host is answered 400, so that no foreign page can reach us by DNS rebinding."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from api.http.problem import Problem

# uri-host [":" port], RFC 9110 §7.2
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:/?#@\s]+)(?::\d*)?", re.IGNORECASE)


def is_allowed(host: str, allowed: Iterable[str]) -> bool:
    """Patterns as in Django: a name, `.example.com` (it and its subdomains), `*`. Pure."""
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = found[1].lower().removesuffix(".")
    return any(
        pattern == "*"
        or name == pattern
        or (pattern.startswith(".") and (name.endswith(pattern) or name == pattern[1:]))
        for pattern in (one.lower() for one in allowed)
    )


def only_allowed_hosts(allowed: Iterable[str]) -> Middleware:
    """The middleware for these patterns."""
    patterns = tuple(allowed)

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_allowed(request.headers.get("Host", ""), patterns):
            raise Problem(400, "This host name is not served; add it to ALLOWED_HOSTS if it should be.")
        return await handler(request)

    return check
