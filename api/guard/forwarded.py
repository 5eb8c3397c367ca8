"""Whom a proxy speaks for: `X-Forwarded-For` and `X-Forwarded-Proto`, believed from TRUSTED_PROXIES alone.

Everybody else can write what they like into these headers; it changes nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from mailcore.setting_value import Network

log = structlog.get_logger(__name__)

FOR: Final = "X-Forwarded-For"
PROTO: Final = "X-Forwarded-Proto"
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def client(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """The address of the client: of those that the request came through (`forwarded`, then `peer`), the last that is no
    proxy of ours. What lies further to the left was written by that client itself. Pure."""
    known = peer
    way = [one for line in forwarded for one in line.split(",")]
    while is_trusted(known, trusted) and way:
        address = parse(way.pop())
        if address is None:
            break  # `unknown`, or a name: the proxy is all that we know
        known = str(address)
    return known


def is_trusted(peer: str | None, trusted: Sequence[Network]) -> bool:
    """Whether it is one of our proxies. Pure."""
    address = parse(peer or "")
    return address is not None and any(address in network for network in trusted)


def parse(text: str) -> _Address | None:
    """An address as proxies write it, also with a port or a zone; None for anything else. Pure."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def behind(trusted: Sequence[Network]) -> Middleware:
    """The middleware: `request.remote` and `request.scheme` are the client's from here on."""
    told = False

    @web.middleware
    async def see_through(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal told
        if is_trusted(request.remote, trusted):
            return await handler(_as_sent(request, trusted))
        if FOR in request.headers and not told:
            told = True
            log.warning(
                f"{FOR} is not believed",
                peer=request.remote,
                remedy="if that is a proxy of yours, add its address to TRUSTED_PROXIES",
            )
        return await handler(request)

    return see_through


def _as_sent(request: web.Request, trusted: Sequence[Network]) -> web.Request:
    remote = client(request.remote or "", request.headers.getall(FOR, []), trusted)
    # Of several, the last one is that of the proxy before us.
    protocol = ",".join(request.headers.getall(PROTO, [])).rpartition(",")[2].strip().lower()
    scheme = protocol if protocol in ("http", "https") else request.scheme
    return request.clone(remote=remote, scheme=scheme)
