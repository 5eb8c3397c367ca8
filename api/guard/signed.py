"""Addresses that let in whoever has them, for one thing and a while: for requests that bring no cookie.

A sandboxed frame is of no origin, so that browsers send it to us without the session's cookie. Pure.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

PARAMETER: Final = "signature"
LIFETIME: Final = 300.0  # seconds
_LONGEST: Final = 100


def sign(key: bytes, path: str, now: float) -> str:
    """The address of `path` (no query) that is good from `now`, in seconds since the epoch, for LIFETIME."""
    until = f"{now + LIFETIME:.0f}"
    return f"{path}?{PARAMETER}={until}.{_mac(key, path, until)}"


def is_signed(key: bytes, path: str, signature: str, now: float) -> bool:
    """Whether `signature`, as it stands in an address, is of this path and good at `now`."""
    until, _, mac = signature[:_LONGEST].partition(".")
    # What is no ASCII cannot be ours; the time that it says is only looked at when it is.
    return hmac.compare_digest(mac.encode(errors="replace"), _mac(key, path, until).encode()) and now < int(until)


def _mac(key: bytes, path: str, until: str) -> str:
    text = f"{until}\0{path}".encode(errors="backslashreplace")
    return hmac.digest(key, text, hashlib.sha256).hex()
