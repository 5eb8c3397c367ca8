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
    lines = ["NATS/1.0"]
    for name, value in headers.items():
        if not (value.isascii() and (value.isprintable() or not value) and name.isascii() and name.isprintable()):
            raise EventError(f"the header {name[:80]!r} is not printable ASCII: {value[:80]!r}")
        lines.append(f"{name}: {value}")
    lines.append("\r\n")
    return "\r\n".join(lines).encode("ascii")


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
