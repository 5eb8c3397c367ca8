"""How a string goes to the server: quoted string or literal (RFC 9051 §4.3, §9), and where the command must wait.

A command is a list of chunks: after each but the last the server's continuation is awaited (a synchronizing literal).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

CRLF: Final = b"\r\n"
_QUOTABLE: Final = re.compile(
    rb"[\x01-\x09\x0b\x0c\x0e-\x7f]{0,1000}\Z"
)  # 7-bit, no NUL, CR, LF; short for old servers
LITERAL_MINUS_MAX: Final = 4096  # RFC 7888 §5


@dataclass(frozen=True, slots=True, repr=False)
class Text:
    """A string of the caller's, to be sent so that the server reads exactly these bytes. Its repr shows nothing: it
    may be a password."""

    value: bytes

    def __repr__(self) -> str:
        return f"Text({len(self.value)} bytes)"


def text(value: str) -> Text:
    """UTF-8, lone surrogates kept as bytes of their own so that no string is refused here."""
    return Text(value.encode("utf-8", "surrogatepass"))


def may_be_sent(value: str) -> bool:
    """No IMAP string can hold NUL (RFC 9051 §9, CHAR8)."""
    return "\0" not in value


def quoted(value: bytes) -> bytes | None:
    """A quoted string, or None when only a literal can carry `value`."""
    if not _QUOTABLE.match(value):
        return None
    return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def nonsync_limit(capabilities: Iterable[str]) -> int:
    """The largest literal that the server takes without being asked first (RFC 7888); 0 for none."""
    names = set(capabilities)
    if "LITERAL+" in names:
        return 1 << 20
    return LITERAL_MINUS_MAX if names & {"LITERAL-", "IMAP4REV2"} else 0


def command(parts: Iterable[bytes | Text], *, nonsync: int = 0) -> list[bytes]:
    """The chunks of a command line: `parts` separated by spaces, each Text as quoted string or literal, CRLF at the
    end. `nonsync` is what `nonsync_limit` gave."""
    chunks: list[bytes] = []
    line = bytearray()
    for part in parts:
        if line or chunks:
            line += b" "
        if isinstance(part, bytes):
            line += part
            continue
        form = quoted(part.value)
        if form is not None:
            line += form
        elif len(part.value) <= nonsync:
            line += b"{%d+}\r\n" % len(part.value) + part.value
        else:
            line += b"{%d}\r\n" % len(part.value)
            chunks.append(bytes(line))
            line = bytearray(part.value)
    chunks.append(bytes(line) + CRLF)
    return chunks
