"""The SASL mechanisms that take an access token (RFC 7628; XOAUTH2 as Google and Microsoft describe it). Pure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Set
from dataclasses import dataclass
from typing import Final

_KVSEP: Final = "\x01"
_MAX_CHALLENGE: Final = 8192


@dataclass(frozen=True, slots=True)
class Bearer:
    """What goes to the server, without base64: `initial`, and `dismissal`, which answers its error so that it may end
    the command. `repr` shows neither."""

    mechanism: str
    initial: bytes
    dismissal: bytes

    def __repr__(self) -> str:
        return f"Bearer({self.mechanism})"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The JSON of an error (RFC 7628 §3.2.2); "" for what it does not say."""

    status: str = ""
    scope: str = ""

    def __str__(self) -> str:
        wanted = f"it wants the scope {self.scope}" if self.scope else ""
        return "; ".join(part for part in (f"status {self.status}" if self.status else "", wanted) if part)


def bearer(capabilities: Set[str], user: str, host: str, port: int, token: str) -> Bearer | None:
    """OAUTHBEARER where it is offered, else XOAUTH2; None where neither is. Raises ValueError, which shows nothing, for
    what neither can carry."""
    if any(character in part for part in (user, host, token) for character in (_KVSEP, "\0")) or not token.isascii():
        raise ValueError("user name or access token holds a character that SASL cannot carry")
    if "AUTH=OAUTHBEARER" in capabilities:
        name = user.replace("=", "=3D").replace(",", "=2C")  # RFC 5801 §4
        fields = (f"n,a={name},", f"host={host}", f"port={port}", f"auth=Bearer {token}", "", "")
        return Bearer("OAUTHBEARER", _bytes(fields), b"\x01")  # RFC 7628 §3.2.3
    if "AUTH=XOAUTH2" in capabilities:
        return Bearer("XOAUTH2", _bytes((f"user={user}", f"auth=Bearer {token}", "", "")), b"")
    return None


def refusal(challenge: str) -> Refusal:
    """Of a server's continuation, which is base64 of JSON; what is none says nothing."""
    try:
        found = json.loads(base64.b64decode(challenge[:_MAX_CHALLENGE], validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return Refusal()
    if not isinstance(found, dict):
        return Refusal()
    return Refusal(*(_word(found.get(name)) for name in ("status", "scope")))


def _word(value: object) -> str:
    text = str(value) if isinstance(value, str | int) else ""
    return "".join(character if character.isprintable() else "?" for character in text[:200])


def _bytes(fields: tuple[str, ...]) -> bytes:
    return _KVSEP.join(fields).encode("utf-8", "surrogatepass")
