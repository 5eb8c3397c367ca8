"""Standard Webhooks 1.0: the headers by which a receiver knows that a delivery is ours and not an old one. Pure."""

from __future__ import annotations

import base64
import binascii
import hmac
from datetime import datetime
from typing import Final

from mailcore.errors import SettingsError

_PREFIX: Final = "whsec_"
_LEAST, _MOST = 24, 64  # bytes of a key


def keys(secret: str) -> tuple[bytes, ...]:
    """The keys in WEBHOOK_SECRET, one or, while one replaces the other, several. Raises SettingsError."""
    found = tuple(_key(word) for word in secret.split())
    if not found:
        raise SettingsError("WEBHOOK_SECRET is empty")
    return found


def _key(word: str) -> bytes:
    try:
        key = base64.b64decode(word.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not word.startswith(_PREFIX) or not _LEAST <= len(key) <= _MOST:
        raise SettingsError(
            f"WEBHOOK_SECRET must be {_PREFIX} and {_LEAST} to {_MOST} bytes in base64; "
            f'make one with: echo "{_PREFIX}$(openssl rand -base64 32)"'
        )
    return key


def signed(identity: str, body: bytes, at: datetime, with_keys: tuple[bytes, ...]) -> dict[str, str]:
    """The three headers: `identity` is the same for each attempt, `at` is the moment of this one."""
    stamp = str(int(at.timestamp()))
    content = b".".join((identity.encode(), stamp.encode(), body))
    signatures = (base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in with_keys)
    return {
        "webhook-id": identity,
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
