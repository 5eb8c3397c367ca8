"""Bytes in any charset, declared or not, as text that can be stored. Never raises."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from encodings.aliases import aliases
from functools import lru_cache
from typing import Final

from mailcore.mime.defects import Defects

_NOT_A_WORD: Final = re.compile(r"[^a-z0-9]+")
_DETECT: Final = ("",)
_WINDOWS: Final = ("windows",)
# No charset at all.
_REFUSED: Final = frozenset(
    {"base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec", "zlib_codec", "mbcs"}
)
# What mail says ⇒ what it means: the superset that mailers write under the name of the subset, as in the Encoding
# Standard of the WHATWG. Tried in turn.
_MEANT: Final = {
    "ascii": _DETECT,
    "latin_1": _WINDOWS,
    "cp1252": _WINDOWS,
    "iso8859_9": ("cp1254", "iso8859_9"),
    "iso8859_11": ("cp874",),
    "tis_620": ("cp874",),
    "gb2312": ("gb18030",),
    "gbk": ("gb18030",),
    "euc_kr": ("cp949",),
    "big5": ("cp950", "big5hkscs"),
    "cp950": ("cp950", "big5hkscs"),
    "shift_jis": ("cp932", "shift_jis_2004"),
    "iso2022_jp": ("iso2022_jp", "vendor_jis", "iso2022_jp_ext", "iso2022_jp_2004"),
    "euc_jp": ("euc_jp", "euc_jis_2004"),
}
_NAMES: Final = {
    "iso_8859_8_i": "iso8859_8",
    "iso_8859_8_e": "iso8859_8",
    "iso_8859_6_i": "iso8859_6",
    "unicode_1_1_utf_7": "utf_7",
    "unicode_1_1_utf_8": "utf_8",
    "utf8mb4": "utf_8",
    "utf_8_mac": "utf_8",
    "x_sjis": "shift_jis",
    "x_gbk": "gbk",
    "x_euc_jp": "euc_jp",
    "x_mac_roman": "mac_roman",
    "macintosh": "mac_roman",
    "x_mac_cyrillic": "mac_cyrillic",
    "dos_874": "cp874",
    "windows_874": "cp874",
    "windows_31j": "cp932",
    "windows_949": "cp949",
    "ks_c_5601": "euc_kr",
    "koi8": "koi8_r",
    "koi8_ru": "koi8_u",
    "cn_gb": "gb2312",
    "latin1": "latin_1",
}
# Charsets in which bytes below 0x80 need not be ASCII: escapes, wide units, EBCDIC.
_OWN_ASCII: Final = tuple("utf_7 iso2022 hz utf_16 utf_32 cp037 cp1026 cp1140 cp500 cp273 cp424 cp875".split())
_META: Final = re.compile(
    rb"<meta[^>]{1,200}?charset\s{0,9}=\s{0,9}[\"']?\s{0,9}([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE
)
_JIS: Final = re.compile(rb"\x1b(?:\$[@B]|\([BJI])")
_MAX_VENDOR_JIS: Final = 1 << 18


def _windows_table() -> str:
    """windows-1252 with its five holes filled by the code points of latin-1, so that any byte decodes."""
    return "".join(codecs.decode(bytes([i]), "cp1252", "ignore") or chr(i) for i in range(256))


_WINDOWS_TABLE: Final = _windows_table()


def _fold(name: str) -> str:
    return _NOT_A_WORD.sub("_", name.lower()).strip("_")


def _table() -> dict[str, tuple[str, ...]]:
    """Every charset name that we know. Our own table: a codec lookup of an unknown name searches the disk, and a
    hostile header may hold 100,000 of them."""
    names = {_fold(alias): codec for alias, codec in aliases.items()}
    names |= {_fold(codec): codec for codec in aliases.values()}
    names |= {codec: codec for codec in ("koi8_r", "koi8_u", "utf_8", "utf_7", "cp874", "cp856", "cp737", "cp1006")}
    names |= {f"x_{alias}": codec for alias, codec in list(names.items())}
    names |= _NAMES
    out: dict[str, tuple[str, ...]] = {}
    for name, codec in names.items():
        if codec in _REFUSED:
            continue
        try:
            codecs.lookup(codec)
        except LookupError:  # a codec of another platform
            continue
        out[name] = _MEANT.get(codec, (codec,))
    return out


_KNOWN: Final = _table()


@lru_cache(maxsize=256)  # the same few names, for every part
def _codecs(charset: str) -> tuple[str, ...] | None:
    name = charset.lower()
    return _KNOWN.get(name) or _KNOWN.get(_fold(name[:64]))


def decode(data: bytes, charset: str, defects: Defects, hints: Iterable[str] = ()) -> str:
    """`data` as text without NUL or lone surrogates. `charset` is the declared name ("" when there is none); when it is
    missing, unknown or wrong, UTF-8, then `hints`, then windows-1252 are tried. Defects: `unknown-charset`,
    `bad-charset` (the bytes are not in the declared charset), `undeclared-8bit`, `nul`."""
    candidates = _codecs(charset) if charset else _DETECT
    if candidates is None:
        defects.add("unknown-charset")
        candidates = _DETECT
    if data.isascii() and not candidates[0].startswith(_OWN_ASCII):
        text = str(data, "ascii")
        return text if "\0" not in text else storable(text, defects)
    if candidates is _DETECT:
        return storable(_detect(data, defects, hints), defects)
    for codec in candidates:
        found = _strict(data, codec)
        if found is not None:
            return storable(found, defects)
    defects.add("bad-charset")
    if candidates[0] == "utf_8":
        return storable(_mended_utf8(data), defects)
    guess = None if data.isascii() else _strict(data, "utf_8")
    return storable(guess if guess is not None else str(data, candidates[0], "replace"), defects)


def storable(text: str, defects: Defects) -> str:
    """Without NUL (defect `nul`); surrogate pairs joined, lone ones replaced (defect `bad-charset`)."""
    if "\0" in text:
        defects.add("nul")
        text = text.replace("\0", "")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        defects.add("bad-charset")
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def html_charset(data: bytes) -> str:
    """What a `<meta>` at the head of HTML declares, or ""."""
    found = _META.search(data[:2048])
    return found[1].decode("ascii") if found else ""


def _strict(data: bytes, codec: str) -> str | None:
    if codec == "windows":
        return codecs.charmap_decode(data, "strict", _WINDOWS_TABLE)[0]
    if codec == "vendor_jis":
        return _vendor_jis(data)
    try:
        return str(data, codec)
    except ValueError:  # UnicodeError is one
        return None


def _detect(data: bytes, defects: Defects, hints: Iterable[str]) -> str:
    text = _strict(data, "utf_8")
    if text is not None:
        return text
    defects.add("undeclared-8bit")
    for hint in hints:
        for codec in _codecs(hint) or ():
            found = _strict(data, codec) if codec and not codec.startswith(("utf", "windows")) else None
            if found is not None:
                return found
    return _mended_utf8(data)


def _mended_utf8(data: bytes) -> str:
    """Not valid UTF-8. If some sequences are, the rest is damage; if none is, it was windows-1252 all along."""
    text = data.decode(errors="replace")
    if text.isascii() or max(text.replace("\ufffd", "") or "\0") > "\x7f":
        return text
    return codecs.charmap_decode(data, "strict", _WINDOWS_TABLE)[0]


def _vendor_jis(data: bytes) -> str | None:
    """ISO-2022-JP with the vendors' rows (NEC, IBM: №, ①) and half-width kana, by way of their Shift_JIS."""
    if len(data) > _MAX_VENDOR_JIS:
        return None
    out: list[bytes] = []
    position, wide, kana = 0, False, False
    for found in [*_JIS.finditer(data), None]:
        piece = data[position : found.start() if found else len(data)]
        if wide:
            if len(piece) % 2:
                return None
            piece = bytes([byte for pair in zip(piece[::2], piece[1::2], strict=True) for byte in _shifted(*pair)])
        elif kana:
            piece = bytes([byte | 0x80 for byte in piece])
        out.append(piece)
        if found:
            position, wide, kana = found.end(), found[0][1] == 0x24, found[0][2] == 0x49
    return _strict(b"".join(out), "cp932")


def _shifted(row: int, cell: int) -> tuple[int, int]:
    """JIS X 0208 row and cell (0x21 to 0x7e) as Shift_JIS."""
    lead = ((row - 0x21) >> 1) + 0x81
    if lead > 0x9F:
        lead += 0x40
    trail = cell + 0x7E if row % 2 == 0 else cell + (0x1F if cell < 0x60 else 0x20)
    return lead & 0xFF, trail & 0xFF
