"""A message that lies in a file, parsed without what is long in it.

1. Long runs of base64 (lines of one width with nothing else in them) say nothing of a message's structure, so each is
replaced by one line, a mark: what is left fits into memory, and is parsed. 2. In which attachment a mark is found, and
whether decoded or as it stands, tells how the bytes of its run get there, piece by piece. 3. Where that is not plain
(text, winmail.dat, base64 out of step) the whole message is parsed instead.
"""

from __future__ import annotations

import errno
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

import pybase64

from mailcore.mime.model import ParsedMessage
from mailcore.mime.parse import parse

_BLOCK: Final = 1 << 16
_SHORTEST_RUN: Final = 1 << 18
_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
# A mark is a key, the number of its run, and filling: so wide must a line be at least.
_KEY: Final = 21
_NUMBER: Final = 6
_NARROWEST: Final = (_KEY + _NUMBER) * 4 // 3
_WIDEST: Final = 998


@dataclass(frozen=True, slots=True)
class Run:
    """Lines of `width` letters of base64, a multiple of four, each with the same line break: the bytes from `start` to
    `end` of the file."""

    start: int
    end: int
    width: int
    eol: bytes

    @property
    def decoded_size(self) -> int:
        return (self.end - self.start) // (self.width + len(self.eol)) * (self.width // 4 * 3)


@dataclass(frozen=True, slots=True)
class Piece:
    """A run as it is in a content: decoded, or as it stands, without its last line break."""

    run: Run
    decoded: bool

    @property
    def size(self) -> int:
        run = self.run
        return run.decoded_size if self.decoded else run.end - run.start - len(run.eol)


@dataclass(frozen=True, slots=True)
class Content:
    """What an attachment holds, of which the pieces are still in the file at `path`."""

    path: Path
    pieces: tuple[bytes | Piece, ...]

    @property
    def size(self) -> int:
        return sum(len(piece) if isinstance(piece, bytes) else piece.size for piece in self.pieces)

    def blocks(self) -> Iterator[bytes]:
        """All of it, in order. Raises OSError."""
        with self.path.open("rb") as file:
            for piece in self.pieces:
                if isinstance(piece, bytes):
                    yield piece
                else:
                    file.seek(piece.run.start)
                    yield from _read(file, piece)


@dataclass(frozen=True, slots=True)
class Spooled:
    """A message without its runs. `key` marks where they were; nobody else may know it."""

    path: Path
    rest: bytes
    runs: tuple[Run, ...]
    key: bytes


def parse_file(path: Path) -> tuple[ParsedMessage, tuple[bytes | Content, ...]]:
    """As `parse` of its bytes, and the contents of the attachments, which in the message are not complete. Raises
    OSError."""
    spooled = _without_runs(path, os.urandom(_KEY))
    if spooled.runs:
        parsed = parse(spooled.rest)
        contents = _contents(spooled, parsed)
        if contents is not None:
            return parsed, contents
    parsed = parse(path.read_bytes())
    return parsed, tuple(part.content for part in parsed.attachments)


def find_runs(blocks: Iterable[bytes]) -> Iterator[Run]:
    """Of at least 256 KiB. Pure, linear; the blocks follow each other. What is shorter than a block at either end of a
    run may be left out of it."""
    run: Run | None = None
    rest = b""  # of the last block: a line that goes on
    position = 0  # where `rest` begins
    for block in blocks:
        block = rest + block
        found = None if run is None else _regular(block, 0, run.width, run.eol)
        if run is not None and found:
            run = Run(run.start, position + found, run.width, run.eol)
        else:
            if run is not None and run.end - run.start >= _SHORTEST_RUN:
                yield run
            run, found = _begin(block, position)
        rest = block[found:]
        position += found
    if run is not None and run.end - run.start >= _SHORTEST_RUN:
        yield run


def _begin(block: bytes, position: int) -> tuple[Run | None, int]:
    """The run that all lines of the block are, from its first line break on; how much of the block is done."""
    start = block.find(b"\n") + 1
    lf = block.find(b"\n", start)
    if start and lf > start:
        eol = b"\r\n" if block[lf - 1] == 0x0D else b"\n"
        width = lf + 1 - len(eol) - start
        if _NARROWEST <= width <= _WIDEST and width % 4 == 0 and (end := _regular(block, start, width, eol)):
            return Run(position + start, position + end, width, eol), end
    return None, len(block)


def _regular(block: bytes, start: int, width: int, eol: bytes) -> int:
    """Where the last whole line ends, if all from `start` on are of this width and kind; else 0."""
    stride = width + len(eol)
    lines = (len(block) - start) // stride
    end = start + lines * stride
    part = block[start:end]
    breaks = part.translate(None, _LETTERS)
    if not lines or len(breaks) != lines * len(eol):
        return 0
    regular = all(part[width + place :: stride] == eol[place : place + 1] * lines for place in range(len(eol)))
    # What is behind the last whole line may be a line of this kind, too.
    return end if regular and not block[end : end + width].translate(None, _LETTERS) else 0


def _without_runs(path: Path, key: bytes) -> Spooled:
    with path.open("rb") as file:
        runs = tuple(find_runs(iter(lambda: file.read(_BLOCK), b"")))
        rest = BytesIO()
        position = 0
        file.seek(0)
        for number, run in enumerate(runs):
            rest.write(file.read(run.start - position))
            rest.write(_mark(key, number, run.width) + run.eol)
            file.seek(run.end)
            position = run.end
        if runs:
            rest.write(file.read())
    return Spooled(path, rest.getvalue(), runs, key)


def _mark(key: bytes, number: int, width: int) -> bytes:
    return b64encode((key + b"%0*d" % (_NUMBER, number)).ljust(width // 4 * 3, b"0"))


def _contents(spooled: Spooled, parsed: ParsedMessage) -> tuple[bytes | Content, ...] | None:
    """Of the attachments; None unless each run is in one of them, once, and has no part in any text."""
    if "tnef" in parsed.defects:
        return None
    found: list[int] = []
    contents: list[bytes | Content] = []
    for part in parsed.attachments:
        pieces = _pieces(spooled, part.content, found)
        if len(pieces) == 1:
            contents.append(part.content)
        elif part.content_type.startswith("text/"):
            return None  # it may be the body, too
        else:
            contents.append(Content(spooled.path, tuple(pieces)))
    return tuple(contents) if sorted(found) == list(range(len(spooled.runs))) else None


def _pieces(spooled: Spooled, content: bytes, found: list[int]) -> Sequence[bytes | Piece]:
    """Adds the numbers of the runs in it to `found`. Without any the content is the only piece."""
    key = spooled.key
    marks = re.compile(
        re.escape(key) + rb"([0-9]{%d})" % _NUMBER + b"|" + re.escape(b64encode(key)) + rb"([A-Za-z0-9+/]{8})"
    )
    pieces: list[bytes | Piece] = []
    position = 0
    for mark in marks.finditer(content):
        number = int(mark[1] or b64decode(mark[2]))
        run = spooled.runs[number]
        found.append(number)
        pieces += [content[position : mark.start()], Piece(run, mark[1] is not None)]
        position = mark.start() + (run.width // 4 * 3 if mark[1] else run.width)
    return [*pieces, content[position:]]


def _read(file: BinaryIO, piece: Piece) -> Iterator[bytes]:
    run = piece.run
    stride = run.width + len(run.eol)
    block = _BLOCK // stride * stride
    left = run.end - run.start - (0 if piece.decoded else len(run.eol))
    while left > 0:
        text = file.read(min(block, left))
        if not text:
            raise OSError(errno.EIO, "the spooled message was cut short")
        left -= len(text)
        yield pybase64.b64decode(text) if piece.decoded else text
