"""Cross-site request forgery: a signed double-submit token, with the names that Django's clients know. Pure.

The cookie `csrftoken` is readable by our own pages' scripts; an unsafe request with a session cookie repeats it as
header `X-CSRFToken` or as form field `csrfmiddlewaretoken`. The token is signed for one session, so that a cookie
planted by a neighbouring host is worth nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final
from urllib.parse import urlsplit

COOKIE: Final = "csrftoken"
HEADER: Final = "X-CSRFToken"
FIELD: Final = "csrfmiddlewaretoken"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 §9.2.1

NONCE_BYTES: Final = 16
_MAC_BYTES: Final = 32
_LENGTH: Final = (NONCE_BYTES + _MAC_BYTES) * 4 // 3
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


def make(key: bytes, session_id: str, nonce: bytes) -> str:
    """The token of this session ("" before there is one); `nonce` is NONCE_BYTES of random."""
    return base64.urlsafe_b64encode(nonce + _mac(key, session_id, nonce)).decode()


def belongs(key: bytes, session_id: str, token: str) -> bool:
    """Whether `token` was made with this key for this session."""
    if len(token) != _LENGTH:
        return False
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
    except ValueError:
        return False
    nonce, mac = raw[:NONCE_BYTES], raw[NONCE_BYTES:]
    return hmac.compare_digest(mac, _mac(key, session_id, nonce))


def fault(key: bytes, session_id: str, cookie: str, repeated: str) -> str:
    """Why this unsafe request is not ours, in words; "" when it is."""
    if not cookie:
        return f"The cookie {COOKIE} is missing: open the sign-in page first, and allow cookies."
    if not repeated:
        return f"Repeat the cookie {COOKIE} in the header {HEADER} (or in the form field {FIELD})."
    # One comparison in constant time; what is no ASCII cannot be ours.
    if not hmac.compare_digest(cookie.encode(errors="replace"), repeated.encode(errors="replace")):
        return f"{HEADER} (or {FIELD}) differs from the cookie {COOKIE}."
    if not belongs(key, session_id, cookie):
        return f"The cookie {COOKIE} is not of this session; load the page again."
    return ""


def is_foreign(host: str, *, secure: bool, origin: str | None, fetch_site: str | None) -> bool:
    """Whether the browser itself says that another site's page sent this: `Origin`, `Sec-Fetch-Site` (absent: None).

    `secure`: the client is known to speak https, so a page of the same host over http is another origin. Otherwise only
    hosts are compared, as a proxy may have taken the TLS off.
    """
    if fetch_site is not None and fetch_site.strip().lower() not in ("same-origin", "none"):
        return True
    if origin is None:
        return False
    try:
        parts = urlsplit(origin.strip().lower())
    except ValueError:
        return True
    if parts.scheme not in _DEFAULT_PORTS or (secure and parts.scheme != "https"):
        return True  # also `null`: a sandboxed page or a redirect across origins
    port = _DEFAULT_PORTS[parts.scheme]
    return parts.netloc.removesuffix(port) != host.strip().lower().removesuffix(port)


def _mac(key: bytes, session_id: str, nonce: bytes) -> bytes:
    return hmac.digest(key, b"csrf\0" + session_id.encode() + b"\0" + nonce, hashlib.sha256)
