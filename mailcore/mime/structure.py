"""Where the parts of a message are (RFC 2046 §5.1): one pass over the lines that begin with `--`, at any nesting."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from mailcore.mime.defects import Defects
from mailcore.mime.header import Header, fields_follow, header_start, read_fields, starts_header, text_in_header
from mailcore.mime.parameter import parse_parameters

MAX_DEPTH: Final = 100
MAX_PARTS: Final = 10_000
_MAX_LEARNT: Final = 200
_MAX_CHARSETS: Final = 10
_MAX_LOOKS: Final = 20
_PART_FIELD: Final = re.compile(rb"Content-[A-Za-z-]{1,40}[ \t]{0,9}:", re.IGNORECASE)
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/\s]++[=\s]*+")


@dataclass(slots=True)
class Leaf:
    """One part that is not a multipart, or a multipart that could not be taken apart. `start` and `end` bound its body
    in the raw bytes."""

    part_id: str
    header: Header
    content_type: str
    parameters: dict[str, str]
    parent: str
    start: int
    end: int


class _Frame:
    """An open multipart. `delimiter` is None as long as it must be learnt from the body."""

    __slots__ = ("closed", "count", "delimiter", "leaf", "prefix", "subtype")

    def __init__(self, leaf: Leaf, delimiter: bytes | None, prefix: str) -> None:
        self.leaf = leaf
        self.subtype = leaf.content_type.partition("/")[2]
        self.delimiter = delimiter
        self.prefix = prefix
        self.count = 0
        self.closed = False


def _common_prefix(lines: Collection[bytes]) -> bytes:
    if not lines:
        return b"--"
    low, high = min(lines), max(lines)
    for index, byte in enumerate(low):
        if index >= len(high) or high[index] != byte:
            return low[:index]
    return low


class Walker:
    """Takes one message apart: `header` of the message and `leaves` in order. Linear in the size of `raw`."""

    def __init__(self, raw: bytes, defects: Defects) -> None:
        self.raw = raw
        self.defects = defects
        self.header = Header([])
        self.leaves: list[Leaf] = []
        self._frames: list[_Frame] = []
        self._delimiters: dict[bytes, list[int]] = {}  # delimiter ⇒ depths of the open multiparts that it belongs to
        self._part: Leaf | None = None  # the open part that is no multipart
        self._prefix = b""  # a line break and what all delimiters in _delimiters have in common
        self._opened = 0
        self._looks = _MAX_LOOKS
        self._guessed: list[tuple[Leaf, bytes]] = []  # parts whose 8-bit headers were guessed, and those
        self.charsets: dict[str, None] = {}  # what parts declare, in their order
        # Where the next empty lines are, so that no byte is searched twice: see _empty_line.
        self._crlf = self._lf = -1
        self._lf_known = 0
        self._walk()

    def _walk(self) -> None:
        raw, end = self.raw, len(self.raw)
        start = header_start(raw, self.defects)
        if (
            start == end
            or raw.startswith((b"\n", b"\r\n"), start)
            or starts_header(raw, start, end)
            or fields_follow(raw, start)
        ):
            position = self._read_header(start)
        else:
            self.defects.add("missing-header")
            position = self._open(0, 0, 0)
        while self._frames:
            # `position` is where a line ends or a body begins; a delimiter in the first line of all has no line break.
            found = self._next_delimiter(max(position - 1, 0), end)
            if found is None:
                break
            line_break, eol, depth, closing = found
            self._leave(depth, line_break)
            frame = self._frames[-1]
            if closing:
                frame.closed = True
                position = eol
            elif self._opened >= MAX_PARTS:
                self.defects.add("too-many-parts")
                self._remainder(min(eol + 1, end))
                self._read_again()
                return
            elif eol >= end:
                self.defects.add("truncated")
                break
            else:
                if frame.closed:
                    self.defects.add("parts-after-close")
                position = self._read_header(eol + 1)
        self._leave(-1, end)
        self._read_again()

    def _read_again(self) -> None:
        """8-bit headers, now that all parts have said in which charsets they are."""
        if not self._guessed or not self.charsets:
            return
        hints = list(self.charsets)
        for leaf, block in self._guessed:
            whole = leaf.header is self.header
            leaf.header = Header(read_fields(block, self.defects, hints))
            leaf.parameters = parse_parameters(leaf.header.get("content-type"), self.defects)[1]
            if whole:
                self.header = leaf.header

    def _read_header(self, start: int) -> int:
        """Opens the part whose header begins at `start`; returns where its body begins. A delimiter ends it, too."""
        header_end, body = self._empty_line(start)
        if self._frames:
            found = self._next_delimiter(start - 1, header_end)
            if found is not None:
                return self._open(start, found[0] + 1, found[0] + 1)
        return self._open(start, header_end, body)

    def _empty_line(self, start: int) -> tuple[int, int]:
        """(end of the header section, start of the body) for a header that begins at `start`.

        Positions only grow, so what was found beyond `start` still holds; the search for LF LF ends at the other find.
        """
        raw, end = self.raw, len(self.raw)
        if raw.startswith(b"\n", start):
            return start, start + 1
        if raw.startswith(b"\r\n", start):
            return start, start + 2
        if self._crlf < start:
            found = raw.find(b"\n\r\n", start)
            self._crlf = found if found >= 0 else end
        if self._lf < start:
            found = raw.find(b"\n\n", max(start, self._lf_known), self._crlf + 1)
            self._lf = found
            self._lf_known = self._crlf if found < 0 else found
        if start <= self._lf < self._crlf:
            return self._lf + 1, self._lf + 2
        return min(self._crlf + 1, end), min(self._crlf + 3, end)

    def _next_delimiter(self, position: int, limit: int) -> tuple[int, int, int, bool] | None:
        """The next line at or after `position`, with its line break before `limit`, that delimits an open multipart:
        (its line break, its end, depth of the multipart, whether it closes it)."""
        raw, delimiters = self.raw, self._delimiters
        frame = self._frames[-1]
        learning = frame.delimiter is None and not frame.count
        prefix = b"\n--" if learning else self._prefix
        while True:
            line_break = raw.find(prefix, position, limit + len(prefix) - 1)
            if line_break < 0:
                return None
            eol = raw.find(b"\n", line_break + 1)
            if eol < 0:
                eol = len(raw)
            line = raw[line_break + 1 : eol].rstrip(b" \t\r")
            if line in delimiters and not (line == b"--" and raw.startswith(b"-- ", line_break + 1)):  # a signature
                return line_break, eol, delimiters[line][-1], False
            if line[-2:] == b"--" and line[:-2] in delimiters:
                return line_break, eol, delimiters[line[:-2]][-1], True
            if learning and len(line) <= _MAX_LEARNT and b" " not in line and self._delimits(frame, line, eol):
                frame.delimiter = line
                depth = len(self._frames) - 1
                self._know(line, depth)
                return line_break, eol, depth, False
            position = eol

    def _delimits(self, frame: _Frame, line: bytes, eol: int) -> bool:
        """Whether `line` is a delimiter although the header named none: fields of a part follow, or an empty line and,
        further on, the same line again. A line of dashes alone, as people draw it, needs the fields."""
        raw = self.raw
        if _PART_FIELD.match(raw, eol + 1) is not None:
            return line != b"--" or "boundary" in frame.leaf.parameters
        if not raw.startswith((b"\n", b"\r\n"), eol + 1) or not line.strip(b"-") or self._looks <= 0:
            return False
        self._looks -= 1  # each goes through the rest of the message
        return raw.find(b"\n" + line, eol) >= 0

    def _open(self, start: int, header_end: int, body: int) -> int:
        """The header of a part has ended: begin a leaf or a multipart. Returns where the body begins."""
        self._opened += 1
        block = self.raw[start:header_end]
        undetected = self.defects.detected
        header = Header(read_fields(block, self.defects))
        guessed = self.defects.detected < undetected
        frame = self._frames[-1] if self._frames else None
        if "bad-header" in self.defects:
            text = text_in_header(block)
            if text < len(block) and (
                "base64" not in header.get("content-transfer-encoding").lower() or _BASE64.fullmatch(block, text)
            ):
                body = start + text
        if frame is None:
            part_id, prefix, parent = "1", "", ""
            self.header = header
        else:
            frame.count += 1
            part_id = f"{frame.prefix}{frame.count}"
            prefix, parent = f"{part_id}.", frame.subtype
        content_type, parameters = parse_parameters(header.get("content-type"), self.defects)
        if "/" not in content_type:
            if content_type:
                self.defects.add("bad-content-type")
            # RFC 2046 §5.1.5: the parts of a digest are messages unless they say otherwise.
            content_type = "message/rfc822" if parent == "digest" and not content_type else "text/plain"
        leaf = Leaf(part_id, header, content_type, parameters, parent, body, body)
        if guessed:
            self._guessed.append((leaf, block))
        if "charset" in parameters and len(self.charsets) < _MAX_CHARSETS:
            self.charsets[parameters["charset"]] = None
        if not content_type.startswith("multipart/"):
            self._part = leaf
            return body
        if len(self._frames) >= MAX_DEPTH:
            self.defects.add("too-deep")
            self._part = leaf
            return body
        boundary = parameters.get("boundary", "")
        delimiter = b"--" + boundary.encode("utf-8", "surrogatepass") if boundary else None
        if delimiter is None:
            self.defects.add("missing-boundary")
        else:
            delimiter = delimiter.rstrip(b" \t\r")
            self._know(delimiter, len(self._frames))
            if "bad-header" in self.defects and (line_break := block.find(b"\n" + delimiter)) >= 0:
                # No empty line, and the first part at once: the fields below are not ours.
                body = start + line_break + 1
                block = block[:line_break]
                leaf.header = Header(read_fields(block, self.defects))
                self._guessed = [(one, block if one is leaf else its) for one, its in self._guessed]
                if frame is None:
                    self.header = leaf.header
        self._frames.append(_Frame(leaf, delimiter, prefix))
        self._part = None
        return body

    def _know(self, delimiter: bytes, depth: int) -> None:
        self._delimiters.setdefault(delimiter, []).append(depth)
        self._prefix = b"\n" + _common_prefix(self._delimiters)

    def _leave(self, depth: int, line_break: int) -> None:
        """A line of the multipart at `depth` was met: what is open inside it ends before the line break."""
        end = line_break
        if end > 0 and end < len(self.raw) and self.raw[end - 1] == 0x0D:
            end -= 1
        self._close_part(end)
        while len(self._frames) > depth + 1:
            frame = self._frames.pop()
            if frame.delimiter is not None:
                depths = self._delimiters[frame.delimiter]
                depths.pop()
                if not depths:
                    del self._delimiters[frame.delimiter]
                    self._prefix = b"\n" + _common_prefix(self._delimiters)
            if not frame.closed:
                self.defects.add("unclosed-multipart")
            if not frame.count:
                self._undivided(frame, end)

    def _close_part(self, end: int) -> None:
        if self._part is not None:
            self._part.end = max(self._part.start, end)
            self.leaves.append(self._part)
            self._part = None

    def _undivided(self, frame: _Frame, end: int) -> None:
        """A multipart in which no delimiter was found: its text is all there is to show."""
        leaf = frame.leaf
        leaf.end = max(leaf.start, end)
        if leaf.end > leaf.start:
            self.defects.add("missing-boundary")
            leaf.content_type = "text/plain"
            self.leaves.append(leaf)

    def _remainder(self, start: int) -> None:
        """More parts than anyone sends: what is left is kept as one."""
        frame = self._frames[-1]
        part_id = f"{frame.prefix}{frame.count + 1}"
        header = Header([])
        leaf = Leaf(part_id, header, "application/octet-stream", {}, frame.subtype, start, len(self.raw))
        self._frames.clear()
        self.leaves.append(leaf)
