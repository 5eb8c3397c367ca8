"""Bytes → logical response units (RFC 9051 §2.2.2, §4.3). Sans-io, linear in what is fed.

1. Line mode looks for CRLF with `bytes.find`; each byte is looked at once, whatever the chunks.
2. A line that ends in `{n}` turns to literal mode for exactly n bytes, then the line goes on.
3. A human-readable text ends where its line ends: `* OK see {5}` announces nothing (RFC 9051 §9, resp-text).
4. Caps: a line (`max_line`), a literal (`max_literal`), all that one unit holds (`max_unit`), its pieces
   (`max_pieces`): more is a ProtocolError. `keep` is softer: of a longer literal only the first `keep` bytes are held,
   the rest is counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from mailcore.errors import ProtocolError

MAX_LINE: Final = 32 << 20  # an untagged SEARCH of four million UIDs comes as one line
MAX_LITERAL: Final = 4 << 30
MAX_UNIT: Final = 256 << 20
MAX_PIECES: Final = 10_000
KEEP: Final = 64 << 10

_LITERAL: Final = re.compile(rb"~?\{(\d{1,40})\+?\}\Z")  # literal, literal8 and, from lax servers, LITERAL+
_LITERAL_TAIL: Final = 48  # no announcement is longer
_CONDITION: Final = re.compile(rb"\* +(?:OK|NO|BAD|BYE|PREAUTH)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Literal:
    """`size` bytes came; `data` holds the first of them, all unless `keep` cut it."""

    data: bytes = field(repr=False)
    size: int


Unit = list[bytes | Literal]
"""One response without its CRLFs: text, literal, text, …, text. A `{n}` is cut off the text before its literal."""


class Framer:
    """Feed it chunks, take units. After a ProtocolError it is spent."""

    def __init__(
        self,
        *,
        max_line: int = MAX_LINE,
        max_literal: int = MAX_LITERAL,
        max_unit: int = MAX_UNIT,
        max_pieces: int = MAX_PIECES,
        keep: int = KEEP,
    ) -> None:
        self.keep = keep
        self._max_line = max_line
        self._most_line = self._room_for_line = min(max_line, max_unit)
        self._max_literal = max_literal
        self._max_unit = max_unit
        self._max_pieces = max_pieces
        self._unit: Unit = []
        self._unit_size = 0
        self._line = bytearray()  # of the line that is not yet ended
        self._literal: bytearray | None = None
        self._literal_size = 0
        self._missing = 0  # bytes of the literal that are still to come
        self._room = 0  # how many of them will be held

    @property
    def pending(self) -> bool:
        """Something has begun and has not ended."""
        return bool(self._unit or self._line) or self._literal is not None

    def feed(self, data: bytes) -> Iterator[Unit]:
        """Yields each unit that `data` completes; must be exhausted before the next call. Raises ProtocolError."""
        position, end = 0, len(data)
        while position < end:
            if self._literal is not None:
                position = self._feed_literal(data, position)
                continue
            if self._line:
                line, position = self._end_line(data, position)
                if line is None:
                    return
            else:
                newline = data.find(b"\r\n", position)
                if newline < 0:
                    self._check_line(end - position - 1)
                    self._line += memoryview(data)[position:]
                    return
                if newline - position > self._room_for_line:
                    self._check_line(newline - position)
                line = data[position:newline]
                position = newline + 2
            if line.endswith(b"}") and (announced := self._announced(line)) is not None:
                position = self._begin_literal(announced, line, data, position)
            else:
                unit = self._unit
                unit.append(line)
                self._unit, self._unit_size = [], 0
                self._room_for_line = self._most_line
                yield unit

    def _end_line(self, data: bytes, position: int) -> tuple[bytes | None, int]:
        """The line whose begin is kept, if `data` has its end, and where `data` goes on."""
        if self._line.endswith(b"\r") and data[position] == 0x0A:  # CR came in one chunk, LF in the next
            line, rest = bytes(self._line[:-1]), position + 1
        else:
            newline = data.find(b"\r\n", position)
            if newline < 0:
                self._check_line(len(self._line) + len(data) - position - 1)
                self._line += memoryview(data)[position:]
                return None, len(data)
            self._line += memoryview(data)[position:newline]
            line, rest = bytes(self._line), newline + 2
        self._check_line(len(line))
        self._line.clear()
        return line, rest

    def _check_line(self, size: int) -> None:
        if size > self._room_for_line:
            raise ProtocolError(f"the server sent a line of more than {self._room_for_line} bytes")

    def _announced(self, line: bytes) -> re.Match[bytes] | None:
        found = _LITERAL.search(line, max(0, len(line) - _LITERAL_TAIL))
        if found is None or self._unit:
            return found
        return found if line.startswith(b"*") and not _CONDITION.match(line) else None

    def _begin_literal(self, announced: re.Match[bytes], line: bytes, data: bytes, position: int) -> int:
        size = int(announced[1])
        if size > self._max_literal:
            raise ProtocolError(f"the server announced a literal of {size} bytes; the cap is {self._max_literal}")
        text = line[: announced.start()]
        held = min(size, self.keep)
        self._unit.append(text)
        self._unit_size += len(text) + held
        self._room_for_line = min(self._max_line, self._max_unit - self._unit_size)
        if self._room_for_line < 0 or len(self._unit) > self._max_pieces:
            raise ProtocolError("the server sent a response larger than our caps")
        if size <= len(data) - position:  # all of it is here: one copy
            self._unit.append(Literal(data[position : position + held], size))
            return position + size
        self._literal = bytearray()
        self._literal_size = self._missing = size
        self._room = held
        return position

    def _feed_literal(self, data: bytes, position: int) -> int:
        assert self._literal is not None
        taken = min(self._missing, len(data) - position)
        if self._room:
            held = min(taken, self._room)
            self._literal += memoryview(data)[position : position + held]
            self._room -= held
        self._missing -= taken
        if not self._missing:
            self._unit.append(Literal(bytes(self._literal), self._literal_size))
            self._literal = None
        return position + taken
