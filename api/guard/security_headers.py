"""What every answer forbids the browser. A handler that needs something else sets the header itself."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

# Pages: our own scripts and styles from /static/, nothing inline, nothing from elsewhere, in nobody's frame.
PAGE: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# JSON, files, streams: if a browser shows one, it is an inert document.
DATA: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
# A message's HTML, shown in a sandboxed frame of ours: its own styles and pictures, no script, no other request.
_MESSAGE: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data: {pictures}{elsewhere}; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
)
# A picture or a PDF by itself. A sandbox that the frame itself has would keep a browser from showing a PDF at all.
PREVIEW: Final = (
    "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox"
)
# What a content security policy can name; it has no words for an IPv6 address.
_NAMEABLE: Final = re.compile(r"[a-z0-9.-]+(:\d+)?", re.I)

_ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not `no-referrer`: with that, browsers send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}


def message(host: str, pictures: str, *, elsewhere: bool = False) -> dict[str, str]:
    """For a message's HTML; `pictures` is what the paths of its pictures begin with, at the request's host;
    `elsewhere`: pictures may come from anywhere. Pure."""
    source = host + pictures if _NAMEABLE.fullmatch(host) else "'self'"
    return {
        "Content-Security-Policy": _MESSAGE.format(pictures=source, elsewhere=" https: http:" if elsewhere else ""),
        "Referrer-Policy": "no-referrer",
        "X-DNS-Prefetch-Control": "off",
    }


async def protect(_: web.Request, response: web.StreamResponse) -> None:
    """To be connected to `on_response_prepare`."""
    put(response)


def put(response: web.StreamResponse) -> None:
    """Set those that the answer does not have."""
    headers = response.headers
    for name, value in _ALWAYS.items():
        headers.setdefault(name, value)
    is_html = headers.get("Content-Type", "").startswith("text/html")
    policy = headers.setdefault("Content-Security-Policy", PAGE if is_html else DATA)
    headers.setdefault("X-Frame-Options", "SAMEORIGIN" if "frame-ancestors 'self'" in policy else "DENY")
    headers["Server"] = "mozzart"
