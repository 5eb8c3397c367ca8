"""ALLOWED_HOSTS: a request for another host is answered 400, so that no foreign page can reach us by DNS rebinding."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from api.http.problem import Problem

# uri-host [":" port], RFC 9110 §7.2
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:/?#@\s]+)(?::\d*)?", re.IGNORECASE)

_ABSOLUTE: Final = re.compile("https?://", re.IGNORECASE)
_AUTHORITY: Final = re.compile(r"[^/?#]*")


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


def hosts(target: str, header: str) -> tuple[str, ...]:
    """What a request with this target and Host header names: the header, and the authority of a target that is in
    absolute form (RFC 9112 §3.2.2) or in none that is served here. Pure."""
    if target.startswith("/") or target == "*":
        return (header,)
    scheme = _ABSOLUTE.match(target)
    authority = _AUTHORITY.match(target, scheme.end() if scheme else 0)
    return header, authority[0] if authority else ""


def only_allowed_hosts(allowed: Iterable[str]) -> Middleware:
    """The middleware for these patterns."""
    patterns = tuple(allowed)

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        named = hosts(request.raw_path, request.headers.get("Host", ""))
        if not all(is_allowed(host, patterns) for host in named):
            raise Problem(400, "This host name is not served; add it to ALLOWED_HOSTS if it should be.")
        return await handler(request)

    return check
