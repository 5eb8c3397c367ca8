"""Content-Transfer-Encodings (RFC 2045 §6), as broken as they come. Never raises; linear."""

from __future__ import annotations

import binascii
import re
from io import BytesIO
from typing import Final

from pybase64 import b64decode

from mailcore.mime.charset import decode
from mailcore.mime.defects import Defects

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64: Final = bytes(set(range(256)) - set(_ALPHABET + b"="))
_EXPECTED: Final = _ALPHABET + b"= \t\r\n"
_CHUNK: Final = 1 << 20
_LARGE: Final = 32 << 20
_QP_TRAILING: Final = re.compile(rb"(?<![ \t])[ \t]++(?=\r?\n|\Z)")
_QP_BROKEN: Final = re.compile(rb"=(?:[^0-9A-Fa-f\r\n]|[0-9A-Fa-f](?:[^0-9A-Fa-f]|\Z))")
_QP_BARE_CR: Final = re.compile(rb"=\r(?!\n)")
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_DATA_LINE: Final = re.compile(rb"^[ \t]*+[A-Za-z0-9+/]{24,}+=*+[ \t]*+\r?$", re.MULTILINE)
_MAX_LINES: Final = 10_000
_UU_MAX_FILES: Final = 1_000
_UU_MAX_EMPTY: Final = 1_000
_UU_BEGIN: Final = re.compile(rb"(?m)^begin(?:-base64)? [0-7]{3,4} ([^\r\n]{1,255})\r?\n")

_IDENTITY: Final = frozenset(
    {"", "7bit", "8bit", "binary", "none", "7-bit", "8-bit", "7bits", "8bits", "utf-8", "us-ascii"}
)
_UU: Final = frozenset({"x-uuencode", "uuencode", "x-uue", "uue", "x-uu"})


def decode_part(raw: bytes, start: int, end: int, encoding: str, defects: Defects) -> bytes:
    """`raw[start:end]` decoded by the value of a Content-Transfer-Encoding header. Defects: `bad-base64`,
    `bad-quoted-printable`, `bad-uuencode`, `unknown-transfer-encoding` (the bytes are then kept as they are)."""
    encoding = encoding.lower()
    if encoding not in ("base64", "quoted-printable"):
        encoding = encoding.partition(";")[0].partition("(")[0].strip(" \t\"'.").removesuffix("-encoding")
    if encoding == "base64":
        return decode_base64(raw, start, end, defects)
    if encoding == "quoted-printable":
        return decode_quoted_printable(raw, start, end, defects)
    if encoding in _UU:
        return _decode_uu_part(raw[start:end], defects)
    if encoding not in _IDENTITY:
        defects.add("unknown-transfer-encoding")
    return raw[start:end]


def decode_base64(raw: bytes, start: int, end: int, defects: Defects) -> bytes:
    """Everything that decodes: foreign bytes are skipped, a missing end is forgiven, padded pieces are joined. No copy
    of the encoded text is made when it is clean."""
    padding = raw.find(b"=", start, end)
    stop = end if padding < 0 else padding
    if padding >= 0 and raw[padding:end].strip(b"= \t\r\n"):
        defects.add("bad-base64")
        end = _footer(raw, start, end)
        padding = raw.find(b"=", start, end)
        if padding >= 0 and raw[padding:end].translate(None, _EXPECTED):
            end = padding  # below the end stands what a list or a gateway put there: not ours
        return _salvage(raw, start, end)  # else pieces were joined, each with its padding
    if end - start > _LARGE and any(
        raw[at : min(at + _CHUNK, stop)].translate(None, _EXPECTED) for at in range(start, stop, _CHUNK)
    ):
        defects.add("bad-base64")
        return _salvage(raw, start, end)  # the decoder would copy what it skips bytes of
    try:
        data = b64decode(memoryview(raw)[start:end])
    except binascii.Error:
        defects.add("bad-base64")
        return _salvage(raw, start, _footer(raw, start, end))
    if not _fits(data, _regular_letters(raw, start, stop)):
        letters = stop - start - sum(raw.count(blank, start, stop) for blank in (b"\n", b"\r", b" ", b"\t"))
        if not _fits(data, letters):
            defects.add("bad-base64")
            footer = _footer(raw, start, end)
            if footer < end:
                return _salvage(raw, start, footer)
    return data


def _footer(raw: bytes, start: int, end: int) -> int:
    """Where text begins that a list or a gateway put below base64, or `end`: behind the last line of data a line of
    punctuation alone, words with some, or anything of the kind after an empty line."""
    position = start
    for data in _DATA_LINE.finditer(raw, start, end):
        position = data.end() + 1
    empty = False
    for _ in range(_MAX_LINES):
        if position >= end:
            break
        eol = raw.find(b"\n", position, end)
        eol = end if eol < 0 else eol
        line = raw[position:eol].strip()
        words = len(line.split())
        foreign = bool(line.translate(None, _EXPECTED)) or (len(line) > 2 and not line.strip(b"="))
        lettered = bool(line.translate(None, _NOT_BASE64 + b"+/="))
        if (foreign and (words > 1 or not lettered or empty)) or (empty and words > 1):
            return position if raw[start:position].strip() else end
        empty = not line
        position = eol + 1
    return end


def is_plain(raw: bytes, start: int, end: int, data: bytes) -> bool:
    """Whether what claims to be base64 plainly is text: there are blanks inside its first line, and what was decoded of
    it (`data`) is none."""
    line = raw[start : min(start + 1000, end)].lstrip().partition(b"\n")[0].rstrip()
    if line.count(b" ") + line.count(b"\t") <= len(line) // 40:
        return False
    if _CONTROLS.search(data, 0, 1000) is not None:
        return True
    try:
        data[:1000].decode()
    except UnicodeDecodeError as error:
        return len(data) < 24 or error.start < 1  # a longer one without controls is in another charset
    return False


def _fits(data: bytes, letters: int) -> bool:
    return letters % 4 != 1 and len(data) == letters * 3 // 4


def _regular_letters(raw: bytes, start: int, stop: int) -> int:
    """How many letters there are if all lines are as long as the first: spares counting the line ends."""
    eol = raw.find(b"\n", start, stop)
    if eol <= start:
        return stop - start
    width = eol + 1 - start
    letters = width - (2 if raw[eol - 1] == 0x0D else 1)
    lines, rest = divmod(stop - start, width)
    return lines * letters + min(rest, letters)


def decode_base64_word(payload: bytes) -> tuple[bytes, bool]:
    """The payload of an encoded word and whether it was clean (missing padding counts as clean: it is common)."""
    try:
        return binascii.a2b_base64(payload, strict_mode=True), True
    except binascii.Error:
        clean = not payload.translate(None, _ALPHABET + b"=") and len(payload.rstrip(b"=")) % 4 != 1
        return _salvage(payload, 0, len(payload)), clean


def _salvage(raw: bytes, start: int, end: int) -> bytes:
    """Piece by piece, so that no second copy of a large part is made."""
    out = BytesIO()
    rest = b""
    for at in range(start, end, _CHUNK):
        text = rest + raw[at : min(at + _CHUNK, end)].translate(None, _NOT_BASE64)
        *padded, rest = text.split(b"=")
        for piece in padded:
            out.write(binascii.a2b_base64(_padded(piece)))
        cut = len(rest) - len(rest) % 4
        out.write(b64decode(rest[:cut]))
        rest = rest[cut:]
    out.write(binascii.a2b_base64(_padded(rest)))
    return out.getvalue()


def _padded(piece: bytes) -> bytes:
    left = len(piece) % 4
    if left == 1:  # six bits are no byte
        return piece[:-1]
    return piece + b"=" * (4 - left) if left else piece


def decode_quoted_printable(raw: bytes, start: int, end: int, defects: Defects) -> bytes:
    if end - start <= _CHUNK:
        return _decode_qp(raw[start:end], defects)
    out = BytesIO()
    while start < end:
        cut = end if end - start <= _CHUNK else raw.find(b"\n", start + _CHUNK, end) + 1 or end
        out.write(_decode_qp(raw[start:cut], defects))
        start = cut
    return out.getvalue()


def _decode_qp(text: bytes, defects: Defects) -> bytes:
    # RFC 2045 §6.7 (3): white space at the end of a line was put there on the way and must be deleted.
    crlf = b"\r\n" in text[:1000]
    eol = b"\r\n" if crlf else b"\n"
    if b" " + eol in text or (b"\t" in text and b"\t" + eol in text) or text.endswith((b" ", b"\t")):
        text = _QP_TRAILING.sub(b"", text)
    data = binascii.a2b_qp(text)
    soft = text.count(b"=" + eol)
    if len(data) == len(text) - 2 * (text.count(b"=") - soft) - soft * (1 + len(eol)):
        return data
    # Not every `=` was followed by two digits or a line end.
    if text.endswith((b"=", b"=\r")):
        text = text.rstrip(b"=\r")
    if text.count(b"=\r") != text.count(b"=\r\n"):
        text = _QP_BARE_CR.sub(b"=\r\n", text)
    if _QP_BROKEN.search(text) is not None:
        defects.add("bad-quoted-printable")
    return binascii.a2b_qp(text)


def _decode_uu_part(text: bytes, defects: Defects) -> bytes:
    found = uu_blocks(text)
    if not found:
        defects.add("bad-uuencode")
        return text
    return found[0][3]


def uu_blocks(text: bytes) -> list[tuple[int, int, str, bytes]]:
    """The uuencoded files in a text: (start, end, name, content), in order. What has no `end`, or a line that does not
    decode, is no file."""
    out: list[tuple[int, int, str, bytes]] = []
    position = 0
    while len(out) < _UU_MAX_FILES and (begin := _UU_BEGIN.search(text, position)) is not None:
        content, end = _decode_uu(text, begin.end(), b"begin-base64" in begin[0][:12])
        position = max(end, begin.end())
        if content is not None:
            out.append((begin.start(), end, decode(begin[1], "", Defects()).strip(), content))
    return out


def _decode_uu(text: bytes, position: int, is_base64: bool) -> tuple[bytes | None, int]:
    if is_base64:
        end = text.find(b"\n====", position - 1)
        if end < 0:  # nor will a later block of this kind find one
            return None, len(text)
        eol = text.find(b"\n", end + 1)
        return _salvage(text, position, end), len(text) if eol < 0 else eol + 1
    chunks: list[bytes] = []
    empty = 0
    while position < len(text):
        eol = text.find(b"\n", position)
        eol = len(text) if eol < 0 else eol
        line = text[position:eol].rstrip(b"\r")
        position = eol + 1
        if line.strip() == b"end":
            return (b"".join(chunks) or None), min(position, len(text))
        if not line.strip() or line == b"`":
            empty += 1
            if empty > _UU_MAX_EMPTY:
                return None, position
            continue
        try:
            chunks.append(binascii.a2b_uu(line))
        except binascii.Error:
            # Encoders that leave rubbish behind the last group: keep as many bytes as the first character says.
            length = ((line[0] - 32) & 63) * 4 + 5
            try:
                chunks.append(binascii.a2b_uu(line[: length // 3]))
            except binascii.Error:
                return None, position
    return None, position
