"""Files inside winmail.dat (TNEF, [MS-OXTNEF] §2.1). Never raises; linear, without a copy but the files themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from mailcore.mime.charset import decode
from mailcore.mime.defects import Defects

_SIGNATURE: Final = b"\x78\x9f\x3e\x22"
_TYPES: Final = frozenset({"application/ms-tnef", "application/vnd.ms-tnef", "application/octet-stream"})
_MAX_NESTING: Final = 8
_MAX_FILES: Final = 1_000
_MAX_PROPERTIES: Final = 100_000

_LEVEL_ATTACHMENT: Final = 2
_ATTACH_TITLE: Final = 0x8010
_ATTACH_DATA: Final = 0x800F
_ATTACH_REND_DATA: Final = 0x9002  # the first attribute of each attachment
_ATTACHMENT: Final = 0x9005  # its MAPI properties
_OEM_CODEPAGE: Final = 0x9007

# Property tags of [MS-OXPROPS].
_DATA_OBJECT: Final = 0x3701
_FILENAME: Final = 0x3704
_LONG_FILENAME: Final = 0x3707
_MIME_TAG: Final = 0x370E
_CONTENT_ID: Final = 0x3712
_DISPLAY_NAME: Final = 0x3001

_FIXED: Final = {0x0000: 0, 0x0001: 0, 0x0002: 4, 0x0003: 4, 0x0004: 4, 0x000A: 4, 0x000B: 4} | {
    0x0005: 8,
    0x0006: 8,
    0x0007: 8,
    0x0014: 8,
    0x0040: 8,
    0x0048: 16,
}
_STRING8: Final = 0x001E
_UNICODE: Final = 0x001F
_OBJECT: Final = 0x000D
_VARIABLE: Final = frozenset({_STRING8, _UNICODE, _OBJECT, 0x0102})
_MULTI: Final = 0x1000
_NAMED: Final = 0x8000
_IID_LENGTH: Final = 16


class TnefFile(NamedTuple):
    """One file. The strings are empty when the sender gave none."""

    name: str
    content_type: str
    content_id: str
    content: bytes


@dataclass(slots=True)
class _Draft:
    title: str = ""
    names: dict[int, str] | None = None
    data: memoryview | None = None
    nested: memoryview | None = None


class _Property(NamedTuple):
    tag: int
    kind: int
    value: memoryview


class _Damaged(Exception):
    """Where reading stops; it never leaves this module."""


def is_tnef(content_type: str, filename: str, content: bytes) -> bool:
    """Gateways send winmail.dat under its own type, under none, or under another name."""
    return content.startswith(_SIGNATURE) and (content_type in _TYPES or filename.lower() == "winmail.dat")


def tnef_files(content: bytes, defects: Defects) -> list[TnefFile]:
    """The attached files in order, those of attached messages among them. What can be read before damage is kept
    (defect `bad-tnef`)."""
    out: list[TnefFile] = []
    _collect(memoryview(content), 0, out, defects)
    return out


def _collect(view: memoryview, depth: int, out: list[TnefFile], defects: Defects) -> None:
    drafts: list[_Draft] = []
    codepage = "cp1252"
    try:
        for level, attribute, value in _attributes(view):
            if attribute == _OEM_CODEPAGE and len(value) >= 4:
                codepage = f"cp{_u32(value, 0)}"
            if attribute == _ATTACH_REND_DATA:
                drafts.append(_Draft())
                if len(drafts) > _MAX_FILES:
                    raise _Damaged
            if level == _LEVEL_ATTACHMENT and drafts:
                _fill(drafts[-1], attribute, value, codepage, defects)
    except _Damaged:
        defects.add("bad-tnef")
    for draft in drafts:
        if len(out) >= _MAX_FILES:
            defects.add("bad-tnef")
            return
        names = draft.names or {}
        if draft.nested is not None:
            if depth < _MAX_NESTING:
                _collect(draft.nested, depth + 1, out, defects)
            continue
        if draft.data is None:
            continue
        name = names.get(_LONG_FILENAME) or draft.title or names.get(_FILENAME) or names.get(_DISPLAY_NAME) or ""
        content_id = names.get(_CONTENT_ID, "").removeprefix("<").removesuffix(">")
        out.append(TnefFile(name, names.get(_MIME_TAG, "").lower(), content_id, bytes(draft.data)))


def _fill(draft: _Draft, attribute: int, value: memoryview, codepage: str, defects: Defects) -> None:
    if attribute == _ATTACH_TITLE:
        draft.title = _text(value, _STRING8, codepage, defects)
    elif attribute == _ATTACH_DATA:
        draft.data = value
    elif attribute == _ATTACHMENT:
        names: dict[int, str] = {}
        try:
            for tag, kind, found in _properties(value):
                if tag == _DATA_OBJECT:
                    inner = found[_IID_LENGTH:] if kind == _OBJECT else found
                    if bytes(inner[:4]) == _SIGNATURE:
                        draft.nested = inner
                    elif draft.data is None:
                        draft.data = inner
                elif kind in (_STRING8, _UNICODE):
                    names.setdefault(tag, _text(found, kind, codepage, defects) if len(found) < 4096 else "")
        except _Damaged:
            defects.add("bad-tnef")
        draft.names = names


def _attributes(view: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """(level, attribute id, value) of each attribute; the checksum is not looked at: mailers get it wrong."""
    position = 6  # signature and key
    while position + 9 <= len(view):
        level = view[position]
        length = _u32(view, position + 5)
        start = position + 9
        if level not in (1, _LEVEL_ATTACHMENT) or start + length > len(view):
            raise _Damaged
        yield level, _u16(view, position + 1), view[start : start + length]
        position = start + length + 2


def _properties(view: memoryview) -> Iterator[_Property]:
    """[MS-OXTNEF] §2.1.3.4: a count, then properties, everything padded to 4 bytes. Only a single value is given; lists
    of values are passed over."""
    count = _u32(view, 0)
    position = 4
    if count > _MAX_PROPERTIES:
        raise _Damaged
    for _ in range(count):
        kind, tag = _u16(view, position), _u16(view, position + 2)
        position += 4
        if tag >= _NAMED:  # a GUID, then a number or a name
            if _u32(view, position + 16) == 0:
                position += 24
            else:
                position += 24 + _padded(_u32(view, position + 20))
        single = not kind & _MULTI
        kind &= ~_MULTI
        if kind in _VARIABLE:
            values = _u32(view, position)
            if values > _MAX_PROPERTIES:
                raise _Damaged
            position += 4
            for _ in range(values):
                length = _u32(view, position)
                value = view[position + 4 : position + 4 + length]
                position += 4 + _padded(length)
                if single and values == 1:
                    yield _Property(tag, kind, value)
        elif kind in _FIXED:
            if single:
                position += _FIXED[kind]
            else:
                # 2-byte values of a list lie close together.
                width = 2 if kind in (0x0002, 0x000B) else _FIXED[kind]
                position += 4 + _padded(width * _u32(view, position))
        else:
            raise _Damaged


def _text(value: memoryview, kind: int, codepage: str, defects: Defects) -> str:
    text = decode(bytes(value), "utf-16-le" if kind == _UNICODE else codepage, Defects())
    return text.partition("\0")[0]


def _padded(length: int) -> int:
    return (length + 3) & ~3


def _u16(view: memoryview, position: int) -> int:
    return int.from_bytes(_exactly(view, position, 2), "little")


def _u32(view: memoryview, position: int) -> int:
    return int.from_bytes(_exactly(view, position, 4), "little")


def _exactly(view: memoryview, position: int, length: int) -> memoryview:
    if position + length > len(view):
        raise _Damaged
    return view[position : position + length]
