"""Where the parts of a message are (RFC 2046 §5.1): one pass over the lines that begin with `--`, at any nesting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mailcore.mime.charset import Defects
from mailcore.mime.header import Header, blank_lines_end, read_fields, starts_header
from mailcore.mime.parameter import parse_parameters

MAX_DEPTH: Final = 100
MAX_PARTS: Final = 10_000


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


def header_end(raw: bytes, start: int, end: int) -> tuple[int, int] | None:
    """(end of the header section, start of the body), or None when no empty line is in `raw[start:end]`."""
    if raw.startswith(b"\n", start, end):
        return start, start + 1
    if raw.startswith(b"\r\n", start, end):
        return start, start + 2
    crlf = raw.find(b"\n\r\n", start, end)
    lf = raw.find(b"\n\n", start, end if crlf < 0 else crlf + 1)
    if lf >= 0:
        return lf + 1, lf + 2
    if crlf >= 0:
        return crlf + 1, crlf + 3
    return None


class Walker:
    """Takes one message apart: `header` of the message and `leaves` in order. Linear in the size of `raw`."""

    def __init__(self, raw: bytes, defects: Defects) -> None:
        self.raw = raw
        self.defects = defects
        self.leaves: list[Leaf] = []
        self._frames: list[_Frame] = []
        self._delimiters: dict[bytes, list[int]] = {}  # delimiter line ⇒ depths of the open multiparts it belongs to
        self._part: Leaf | None = None  # the open part whose header is read
        self.header = Header([])
        self._walk()

    def _walk(self) -> None:
        raw, end = self.raw, len(self.raw)
        searched = header_from = blank_lines_end(raw)
        if header_from:
            self.defects["blank-before-header"] = None
        in_header = True
        line_break = -1 if raw.startswith(b"--") else raw.find(b"\n--")
        if not starts_header(raw, header_from, end) and not raw.startswith((b"\n", b"\r\n")) and raw:
            self.defects["missing-header"] = None
            self._open(b"", 0)
            in_header = False
        while True:
            limit = line_break if line_break >= 0 else end
            if in_header:
                found = header_end(raw, max(header_from, searched - 3), min(limit + 1, end))
                if found is not None:
                    self._open(raw[header_from : found[0]], found[1])
                    in_header = False
                searched = limit
            if line_break < 0:
                break
            if not in_header and not self._frames:
                line_break = -1  # a single part has no delimiters
                continue
            eol = raw.find(b"\n", line_break + 1)
            eol = end if eol < 0 else eol
            if self._frames:
                line = raw[line_break + 1 : eol].rstrip(b" \t\r")
                closing = False
                depths = self._delimiters.get(line)
                if depths is None and line.endswith(b"--"):
                    depths = self._delimiters.get(line[:-2])
                    closing = depths is not None
                if depths is None and not in_header and self._part is None:
                    depths, closing = self._learn(line)
                if depths:
                    if in_header:
                        self._open(raw[header_from : line_break + 1], line_break)
                    self._leave(depths[-1], line_break)
                    in_header = False
                    frame = self._frames[-1]
                    if closing:
                        frame.closed = True
                    elif len(self.leaves) >= MAX_PARTS:
                        self.defects["too-many-parts"] = None
                        self._remainder(eol + 1)
                        return
                    else:
                        if frame.closed:
                            self.defects["parts-after-close"] = None
                        header_from = searched = eol + 1
                        in_header = True
            line_break = raw.find(b"\n--", eol)
        if in_header:
            if self._frames and header_from >= end:
                self.defects["truncated"] = None
            elif not (self._frames and header_from >= end):
                self._open(raw[header_from:end], end)
        self._leave(-1, end)

    def _open(self, block: bytes, body: int) -> None:
        """The header of a part has ended: begin a leaf or a multipart."""
        header = Header(read_fields(block, self.defects))
        frame = self._frames[-1] if self._frames else None
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
                self.defects["bad-content-type"] = None
            # RFC 2046 §5.1.5: the parts of a digest are messages unless they say otherwise.
            content_type = "message/rfc822" if parent == "digest" and not content_type else "text/plain"
        leaf = Leaf(part_id, header, content_type, parameters, parent, body, body)
        if not content_type.startswith("multipart/"):
            self._part = leaf
            return
        if len(self._frames) >= MAX_DEPTH:
            self.defects["too-deep"] = None
            self._part = leaf
            return
        boundary = parameters.get("boundary", "")
        delimiter = b"--" + boundary.encode("utf-8", "surrogatepass") if boundary else None
        if delimiter is None:
            self.defects["missing-boundary"] = None
        else:
            delimiter = delimiter.rstrip(b" \t\r")
            self._delimiters.setdefault(delimiter, []).append(len(self._frames))
        self._frames.append(_Frame(leaf, delimiter, prefix))
        self._part = None

    def _learn(self, line: bytes) -> tuple[list[int] | None, bool]:
        """The first line that looks like a delimiter is taken for one when the header named none."""
        frame = self._frames[-1]
        if frame.delimiter is not None or len(line) < 3 or len(line) > 200 or b" " in line:
            return None, False
        frame.delimiter = line
        self._delimiters.setdefault(line, []).append(len(self._frames) - 1)
        return self._delimiters[line], False

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
            if not frame.closed:
                self.defects["unclosed-multipart"] = None
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
            self.defects["missing-boundary"] = None
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
