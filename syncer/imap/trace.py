"""IMAP_TRACE: what is said on every connection of this process, both ways, for whoever has to see it.

A line is the time (UTC), the connection's number, `C:` for us, `S:` for the server or `--` for what happened, and what
was said: a literal as `{n}`, a body in quotes as `"…n bytes"`, a credential as `***`.
"""

from __future__ import annotations

import base64
import itertools
import os
import re
import stat
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from mailcore.errors import SettingsError
from mailcore.imap.framing import Literal, Unit
from mailcore.imap.quote import CRLF, quoted
from syncer.imap.model import Endpoint

log = structlog.get_logger(__name__)

LIMIT: Final = 256 << 20  # bytes of the file
_SHOWN: Final = 2000  # bytes of a line
_STRUCK: Final = b"***"
_SHORT: Final = 4  # a password shorter than this would strike out half of what is said

_LITERAL: Final = re.compile(rb"~?\{(\d{1,10})\+?\}\Z")
_QUOTED_BODY: Final = re.compile(
    rb"((?:BODY|BINARY)\[[^\]]*\](?:<\d+>)?|RFC822(?:\.HEADER|\.TEXT)?) +\"((?:[^\"\\]|\\.)*)(?:\"|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_CREDENTIALS: Final = re.compile(rb"\S+ (?:LOGIN|AUTHENTICATE [A-Z0-9_-]+)", re.IGNORECASE)


class Trace:
    """The file, appended to, readable by its owner alone. It ends when it is full or cannot be written, and the log
    says so; no connection suffers from it."""

    def __init__(self, path: Path, limit: int = LIMIT) -> None:
        """Raises SettingsError."""
        self._path = path
        self._limit = limit
        self._numbers = itertools.count(1)
        try:
            self._file: int | None = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o600)
            facts = os.fstat(self._file)
            if not stat.S_ISREG(facts.st_mode):
                raise OSError("it is no file")
            os.fchmod(self._file, 0o600)
        except OSError as error:
            raise SettingsError(
                f"IMAP_TRACE {path} cannot be written: {error.strerror or error}. "
                "Name a file in a directory that this process may write to, or unset it"
            ) from None
        self._size = facts.st_size

    def connection(self, endpoint: Endpoint) -> Wire:
        return Wire(self, next(self._numbers), _secrets(endpoint))

    def write(self, number: int, who: str, said: bytes) -> None:
        if self._file is None:
            return
        line = self._line(number, who, said)
        full = self._size + len(line) > self._limit
        if full:
            line = self._line(number, "--", b"the trace ends here: %d bytes are the limit of the file" % self._limit)
        try:
            os.write(self._file, line)
            self._size += len(line)
        except OSError as error:
            self._end(str(error.strerror))
        else:
            if full:
                self._end(f"{self._limit} bytes are the limit; remove the file to begin anew")

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _end(self, why: str) -> None:
        log.warning("imap-trace-ended", file=str(self._path), why=why)
        self.close()

    def _line(self, number: int, who: str, said: bytes) -> bytes:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        more = f" …{len(said) - _SHOWN} bytes more" if len(said) > _SHOWN else ""
        text = said[:_SHOWN].decode("utf-8", "backslashreplace")
        shown = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
        return f"{now} {number} {who} {shown}{more}\n".encode("utf-8", "backslashreplace")


class Wire:
    """One connection, as the trace shows it."""

    def __init__(self, trace: Trace, number: int, secrets: Iterable[bytes]) -> None:
        self._trace = trace
        self._number = number
        self._secrets = tuple(secrets)
        self._due = 0  # bytes of a literal of ours that the next chunk begins with

    def strike_out(self, token: str) -> None:
        """Also in base64, wherever it begins there: a server may repeat what it was sent, in an error of its own."""
        raw = token.encode("utf-8", "surrogatepass")
        forms = [raw, *(_inside_base64(raw, offset) for offset in range(3))]
        self._secrets += tuple(form for form in forms if len(form) >= _SHORT)

    def happened(self, what: str) -> None:
        self._say("--", what.encode("utf-8", "replace"))

    def sent(self, chunk: bytes, *, secret: bool = False) -> None:
        """`secret`: it is a piece of LOGIN or AUTHENTICATE."""
        if secret:
            command = _CREDENTIALS.match(chunk)
            self._say("C:", command[0] + b" " + _STRUCK if command is not None else _STRUCK)
            return
        shown = self._without_literals(chunk)
        if shown:
            self._say("C:", shown)

    def received(self, unit: Unit) -> None:
        shown = b"".join(b"{%d}" % part.size if isinstance(part, Literal) else part for part in unit)
        if b'"' in shown:
            shown = _QUOTED_BODY.sub(lambda body: b'%b "\xe2\x80\xa6%d bytes"' % (body[1], len(body[2])), shown)
        self._say("S:", shown)

    def _without_literals(self, chunk: bytes) -> bytes:
        position, self._due = self._due, 0
        shown = bytearray()
        while position < len(chunk):
            end = chunk.find(CRLF, position)
            line = chunk[position:] if end < 0 else chunk[position:end]
            shown += line
            literal = _LITERAL.search(line)
            if literal is None or end < 0:
                break
            position = end + len(CRLF) + int(literal[1])
            self._due = max(0, position - len(chunk))
        return bytes(shown)

    def _say(self, who: str, said: bytes) -> None:
        for secret in self._secrets:  # some servers repeat what they did not like
            said = said.replace(secret, _STRUCK)
        self._trace.write(self._number, who, said)


def _inside_base64(raw: bytes, offset: int) -> bytes:
    """What base64 makes of `raw` behind so many other bytes, without the characters that others have a part in."""
    encoded = base64.b64encode(b"\0" * offset + raw).rstrip(b"=")
    first = -(-offset * 8 // 6)
    return encoded[first : (offset + len(raw)) * 8 // 6]


def _secrets(endpoint: Endpoint) -> set[bytes]:
    password = endpoint.password.get_secret_value().encode("utf-8", "surrogatepass")
    user = endpoint.user.encode("utf-8", "surrogatepass")
    plain = base64.b64encode(b"\0" + user + b"\0" + password)
    forms = {password, (quoted(password) or b"").strip(b'"'), base64.b64encode(password), plain}
    return {form for form in forms if len(form) >= _SHORT}


class _Current:
    trace: Trace | None = None


def begin(path: Path | None) -> None:
    """Trace every connection made from now on, in this process; None: no more. Raises SettingsError."""
    if _Current.trace is not None:
        _Current.trace.close()
    _Current.trace = Trace(path) if path is not None else None


def wire(endpoint: Endpoint) -> Wire | None:
    """For a new connection; None where nothing is traced."""
    return _Current.trace.connection(endpoint) if _Current.trace is not None else None
