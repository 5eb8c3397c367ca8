"""The header section of a message or part: bytes ⇒ fields in order. Never raises; linear."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from mailcore.mime.charset import decode, guess
from mailcore.mime.defects import Defects
from mailcore.mime.encodedword import decode_words

MAX_BYTES: Final = 8 << 20
MAX_FIELDS: Final = 10_000
"""Of one header section; what is beyond is not read (defect `header-too-large`)."""

_MAX_HINTS: Final = 10
_MAX_HINT_LENGTH: Final = 1000

Fields = list[tuple[str, str]]
"""(name as written, value unfolded with its encoded words still encoded), in order, with repetition."""

_NAME: Final = re.compile(r"[!-9;-~]+[ \t]*:")
_NAME_BYTES: Final = re.compile(rb"[!-9;-~]+[ \t]*:")
# A folded line, or a parameter that should have been one.
_CONTINUED: Final = re.compile(rb"[ \t]|[A-Za-z][A-Za-z0-9*-]{0,40}=[^\s=]")
_WELL_KNOWN: Final = (
    rb"(?:(?:X|DKIM|ARC)-[\w-]{1,80}|Received|Return-Path|Delivered-To|From|To|Subject|Date|Message-ID|MIME-Version"
    rb"|Content-Type|Sender|Reply-To|Authentication-Results)[ \t]{0,9}:"
)
_WELL_KNOWN_FIELD: Final = re.compile(_WELL_KNOWN, re.IGNORECASE)
_BYTE_ORDER_MARK: Final = rb"(?:\xef\xbb\xbf|\xc3\xaf\xc2\xbb\xc2\xbf)"  # of UTF-8; the same, encoded once more
_BYTE_ORDER_MARKS: Final = re.compile(_BYTE_ORDER_MARK + b"++")
_BLANK_START: Final = re.compile(
    rb"(?:\s|" + _BYTE_ORDER_MARK + rb")++(?=>?From |" + _WELL_KNOWN + rb")", re.IGNORECASE
)
_BEFORE: Final = frozenset(bytes([byte]) for byte in b" \t\n\r\f\v\xef\xc3")  # what such a beginning begins with
_EMPTY_LINE: Final = re.compile(rb"\n\r?\n")
_MAX_ODD_LINES: Final = 10
_MAX_ODD_BYTES: Final = 1 << 16
_Q_WORD: Final = re.compile(r"=\?[^?\s]{1,64}\?[qQ]\?[^?]*\?=")
_ESCAPED_BYTE: Final = re.compile("[\udc80-\udcff]")
_WORD_CHARSET: Final = re.compile(r"=\?([^?\s*]{1,40})[?*]")
_CHARSET: Final = re.compile(r"charset\s{0,9}\*?\s{0,9}=\s{0,9}[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)


def starts_header(raw: bytes, start: int, end: int) -> bool:
    """Whether a header field, or an mbox `From ` line, begins at `start`."""
    if raw.startswith((b"From ", b">From "), start, end):
        return True
    return _NAME_BYTES.match(raw, start, min(end, start + 1000)) is not None


def header_start(raw: bytes, defects: Defects) -> int:
    """Where the header begins: behind byte order marks, and behind blanks and empty lines before a well-known field."""
    if raw[:1] not in _BEFORE:
        return 0
    start = 0
    if (found := _BYTE_ORDER_MARKS.match(raw)) is not None:
        defects.add("byte-order-mark")
        start = found.end()
    if (found := _BLANK_START.match(raw, start)) is not None:
        defects.add("blank-before-header")
        start = found.end()
    return start


def fields_follow(raw: bytes, start: int) -> bool:
    """Whether a header begins behind some odd lines at `start`: two fields up to the empty line, a well-known one
    among them, and nothing else; or two that are well-known."""
    empty = _EMPTY_LINE.search(raw, start, start + _MAX_ODD_BYTES)
    lines = raw[start : empty.start() if empty else start + _MAX_ODD_BYTES].split(b"\n")
    first = next((n for n, line in enumerate(lines[: _MAX_ODD_LINES + 1]) if _NAME_BYTES.match(line, 0, 1000)), None)
    if first is None:
        return False
    lines = lines[first:]
    fields = [line for line in lines if _NAME_BYTES.match(line, 0, 1000) is not None]
    known = sum(_WELL_KNOWN_FIELD.match(line) is not None for line in fields)
    odd = sum(not line.startswith((b" ", b"\t")) for line in lines) - len(fields)
    return known > 1 or (known == 1 and len(fields) > 1 and not odd)


def read_fields(block: bytes, defects: Defects, hints: Sequence[str] = ()) -> Fields:
    """The fields of a header section. Lines that are none are left out (defect `bad-header`; a leading mbox line is no
    defect). 8-bit values are UTF-8 (RFC 6532) or, with the defect `8bit-header`, in a charset that the header names
    somewhere, or else one of `hints`, or guessed."""
    if len(block) > MAX_BYTES:
        defects.add("header-too-large")
        block = block[:MAX_BYTES]
    mixed = False
    try:
        text = block.decode()
    except UnicodeDecodeError:
        mixed = True
        text = block.decode("utf-8", "surrogateescape")
    if "\0" in text:
        defects.add("nul")
        text = text.replace("\0", "")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = text.replace("\n ", " ").replace("\n\t", " ")  # RFC 5322 §2.2.3
    fields: Fields = []
    lines = text.split("\n", MAX_FIELDS)
    if len(lines) > MAX_FIELDS:
        defects.add("header-too-large")
        lines.pop()
    for number, line in enumerate(lines):
        name, colon, value = line.partition(":")
        if colon and " " not in name and "\t" not in name and name:
            fields.append((name, value.strip(" \t")))
        elif line and not line.isspace():
            found = _NAME.match(line)
            if found is not None:
                fields.append((name.rstrip(" \t"), value.strip(" \t")))
            elif number or not line.startswith(("From ", ">From ")):
                defects.add("bad-header")
                if fields and "=" in line and fields[-1][1].endswith(";"):  # a parameter on an unfolded line
                    fields[-1] = (fields[-1][0], f"{fields[-1][1]} {line}")
    if mixed:
        fields = _repaired(fields, defects, hints)
    if "\x1b" in text:
        fields = [
            (name, decode(value.encode(), "", defects) if "\x1b" in value and value.isascii() else value)
            for name, value in fields
        ]
    return fields


def text_in_header(block: bytes) -> int:
    """Where the lines at the end of a header section that belong to no field begin, or the length of `block`: a body
    that no empty line sets apart."""
    position = len(block)
    for _ in range(MAX_FIELDS):
        if position <= 0:
            break
        start = block.rfind(b"\n", 0, position - 1) + 1
        if starts_header(block, start, position):
            break
        position = start
    while _CONTINUED.match(block, position) is not None:  # what the last field is folded into
        position = block.find(b"\n", position) + 1 or len(block)
    return position if block[position:].strip() else len(block)


def _repaired(fields: Fields, defects: Defects, others: Sequence[str]) -> Fields:
    """Values that are not UTF-8, by the charsets that Content-Type, encoded words or other headers name."""
    hints = [found[1] for name, value in fields if name.lower() == "content-type" and (found := _CHARSET.search(value))]
    for _, value in fields:
        if len(hints) < _MAX_HINTS and "=?" in value:
            hints += _WORD_CHARSET.findall(value[:_MAX_HINT_LENGTH])
    hints = list(dict.fromkeys([*hints, *others]))[:_MAX_HINTS]
    out: Fields = []
    for name, value in fields:
        if not value.isascii():
            value = _guess(value, hints, defects)
        if not name.isascii():
            name = _guess(name, hints, defects)
        out.append((name, value))
    return out


def _guess(text: str, hints: list[str], defects: Defects) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        defects.add("8bit-header")
        if "=?" in text:  # raw bytes inside an encoded word are in its charset
            text = _Q_WORD.sub(lambda word: _ESCAPED_BYTE.sub(lambda b: f"={ord(b[0]) & 0xFF:02X}", word[0]), text)
        return guess(text.encode("utf-8", "surrogateescape"), defects, hints)
    return text


class Header:
    """Values by lower-case name. A field without one hides no other of its name."""

    __slots__ = ("_first", "_more", "fields")

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        first: dict[str, str] = {}
        more: dict[str, list[str]] = {}
        for written, value in fields:
            name = written.lower()
            if name not in first or not first[name]:
                first[name] = value
            elif value:
                more.setdefault(name, []).append(value)
        self._first, self._more = first, more

    def get(self, name: str) -> str:
        """The raw value of the first field of this (lower-case) name, or ""."""
        return self._first.get(name, "")

    def more(self, name: str) -> Sequence[str]:
        """The raw values of the further fields of this name that have one."""
        return self._more.get(name, ())

    def text(self, name: str, defects: Defects) -> str:
        """The same with encoded words decoded."""
        return decode_words(self._first.get(name, ""), defects)
