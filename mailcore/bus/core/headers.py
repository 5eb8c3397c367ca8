"""NATS header blocks ⇄ dictionaries (NATS client protocol, HPUB and HMSG). Pure.

nats-py's own reading of received headers is that of mail: it decodes RFC 2047 words and gives lists. Ours is the
protocol's: one line, one value; of a repeated name the last one counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from mailcore.errors import EventError

_VERSION: Final = b"NATS/1.0"


@dataclass(frozen=True, slots=True)
class Status:
    """The inline status of a message that the server itself made: 100, 404, 408, 409, 503; 0 when there is none."""

    code: int
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def encode_headers(headers: Mapping[str, str]) -> bytes:
    """One header block. Raises EventError for what would end a line early or is not printable ASCII."""
    text = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if not text.isascii() or not text.replace("\r\n", "").isprintable() or text.count("\r\n") != len(headers):
        raise EventError(f"a header is not printable ASCII: {_culprit(headers)}")
    return f"NATS/1.0\r\n{text}\r\n".encode("ascii")


def _culprit(headers: Mapping[str, str]) -> str:
    for name, value in headers.items():
        if not (f"{name}{value}".isascii() and f"{name}{value}".isprintable()):
            return f"{name[:80]!r}: {value[:80]!r}"
    return "unknown"


def decode_headers(block: bytes) -> dict[str, str]:
    """The lines after the first one; never raises: what is no header line is left out."""
    out: dict[str, str] = {}
    for line in block.decode("utf-8", "replace").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            out[name] = value.strip(" \t")
    return out


def decode_status(block: bytes) -> Status:
    """The inline status of a block, `Status(0)` when it has none."""
    if not block.startswith(_VERSION + b" "):
        return Status(0)
    line = block[len(_VERSION) + 1 :].split(b"\r\n", 1)[0].decode("utf-8", "replace")
    code, _, text = line.strip().partition(" ")
    return Status(int(code) if code.isascii() and code.isdigit() else 0, text.strip(), decode_headers(block))
