"""Mailbox names: modified UTF-7 (RFC 3501 §5.1.3) ⇄ str, for any bytes.

A name that is no modified UTF-7 (raw 8-bit, a lone `&`) stays addressable: its odd bytes become characters of the
private plane 16, from U+10F000 on, and `encode` turns those back. So `encode(decode(b)) == b` for every b, and no
decoded name holds a lone surrogate, which neither PostgreSQL nor UTF-8 would take.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

INBOX: Final = "INBOX"
_RAW: Final = 0x10F000
_SHIFTED: Final = re.compile(rb"&([A-Za-z0-9+,]*)-")
_UNIT: Final = re.compile("([ -%'-~]+)|(&+)|([\U0010f000-\U0010f0ff]+)|([^ -~\U0010f000-\U0010f0ff]+)")


def decode(raw: bytes) -> str:
    """Never raises; the inverse of `encode`."""
    name = _decode_strictly(raw)
    if name is not None and encode(name) == raw:
        return name
    return "".join(chr(byte) if 0x20 <= byte < 0x7F and byte != 0x26 else chr(_RAW + byte) for byte in raw)


def encode(name: str) -> bytes:
    """Never raises; lone surrogates are encoded as they are."""
    return b"".join(_encode_run(run) for run in _UNIT.finditer(name))


def _encode_run(run: re.Match[str]) -> bytes:
    plain, ampersands, raw, foreign = run.groups()
    if plain is not None:
        return plain.encode("ascii")
    if ampersands is not None:
        return b"&-" * len(ampersands)
    if raw is not None:
        return bytes(ord(char) - _RAW for char in raw)
    utf16 = foreign.encode("utf-16-be", "surrogatepass")
    return b"&" + binascii.b2a_base64(utf16, newline=False).rstrip(b"=").replace(b"/", b",") + b"-"


def _decode_strictly(raw: bytes) -> str | None:
    """None when `raw` is no modified UTF-7; the caller checks that encoding gives `raw` again, which finds the rest."""
    parts: list[str] = []
    end = 0
    try:
        for shifted in _SHIFTED.finditer(raw):
            parts.append(raw[end : shifted.start()].decode("ascii"))
            parts.append(_decode_shifted(shifted[1]))
            end = shifted.end()
        parts.append(raw[end:].decode("ascii"))
    except ValueError:
        return None
    return "".join(parts)


def _decode_shifted(text: bytes) -> str:
    if not text:
        return "&"
    padded = text.replace(b",", b"/") + b"=" * (-len(text) % 4)
    return binascii.a2b_base64(padded).decode("utf-16-be")


def canonical(name: str) -> str:
    """As we write it everywhere: INBOX alone is case-insensitive (RFC 9051 §5.1)."""
    return INBOX if name.upper() == INBOX else name
