"""Bytes in any charset, declared or not, as text that can be stored. Never raises."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from encodings.aliases import aliases
from functools import lru_cache
from typing import Final

from chardetng_py import EncodingDetector
from webencodings.labels import LABELS

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
    "unicode11utf7": "utf_7",
    "utf8mb4": "utf_8",
    "utf8mac": "utf_8",
    "windows31j": "cp932",
    "koi8ru": "koi8_u",
    "cngb": "gb2312",
}
# Charsets in which bytes below 0x80 need not be ASCII: escapes, wide units, EBCDIC.
_OWN_ASCII: Final = tuple("utf_7 iso2022 hz utf_16 utf_32 cp037 cp1026 cp1140 cp500 cp273 cp424 cp875".split())
_WIDE: Final = ("utf_16", "utf_32")
_LETTERS: Final = b" abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SEVEN_BITS: Final = ("iso2022", "hz", "utf_7")
# Where the charsets of many bytes are used, for the detector.
_REGIONS: Final = {
    codec: region
    for region, names in {
        b"jp": "iso2022_jp iso2022_jp_1 iso2022_jp_2 iso2022_jp_2004 iso2022_jp_3 iso2022_jp_ext euc_jp cp932",
        b"kr": "iso2022_kr cp949 johab",
        b"cn": "hz gb18030",
        b"tw": "cp950 big5hkscs",
    }.items()
    for codec in names.split()
}
_META: Final = re.compile(
    rb"<meta[^>]{1,200}?charset\s{0,9}=\s{0,9}[\"']?\s{0,9}([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE
)
_XML: Final = re.compile(rb"\s{0,9}<\?xml\s[^>]{0,100}?encoding\s{0,9}=\s{0,9}[\"']([A-Za-z0-9_:.-]{1,40})")
_JIS: Final = re.compile(rb"\x1b(?:\$[@B]|\([BJI])")
_ESCAPES: Final = re.compile(rb"\x1b(?:\$[@B]|\$\([D@B]|\(I|\$\)C)")
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_EIGHT_BITS: Final = re.compile(rb"[\x80-\xff]")
_MAX_VENDOR_JIS: Final = 1 << 18
_SAMPLE: Final = 1 << 15
_CONTEXT: Final = 64  # bytes before the first of eight bits that the detector sees
# What mailers write, without what is no letter or digit ⇒ codec. The first that matches; pages are those of Windows.
_PATTERNS: Final = tuple(
    (re.compile(pattern), codec)
    for pattern, codec in (
        (r"(?:microsoft|windows|win|ansi|ms|cp|ibm|dos|oem|codepage|x)*0*(\d{2,5})[a-z]{0,8}", "page"),
        (r"(?:iso|is0)?(?:ir)?8859(?:part)?(\d\d?)(?:[eil]|(?:19|20)\d\d|windows|latin\d)?", "iso8859_"),
        (r"(?:iso|win|windows|ms)?(?:latin|l)1", "latin_1"),
        (r"(?:unicode\d*)?utf0?8[a-z0-9]{0,12}", "utf_8"),
        (r"(?:us|iso|ansi)*ascii[a-z0-9]{0,12}", "ascii"),
        (r"koi8?u", "koi8_u"),
        (r"koi8?[a-z0-9]{0,2}", "koi8_r"),
        (r"(?:cn|x|hz|euc)?gb(?:k|2312|18030?)[a-z0-9]{0,12}|euccn", "gb18030"),
        (r"(?:cn|chinese)?big5[a-z0-9]{0,12}", "big5"),
        (r"(?:shiftjis|sjis|mskanji)[a-z0-9]{0,12}", "shift_jis"),
        (r"(?:eucjp|ujis)[a-z0-9]{0,12}", "euc_jp"),
        (r"(?:euckr|ksc?c?5601)[a-z0-9]{0,12}", "euc_kr"),
        (r"(?:cs)?iso2022jp[a-z0-9]{0,12}|jis7?", "iso2022_jp"),
        (r"(?:ucs2?|unicode)", "utf_16"),
    )
)
_PAGES: Final = {
    "1200": "utf_16_le",
    "1201": "utf_16_be",
    "10000": "mac_roman",
    "10007": "mac_cyrillic",
    "12000": "utf_32_le",
    "12001": "utf_32_be",
    "20127": "ascii",
    "20866": "koi8_r",
    "20932": "euc_jp",
    "20936": "gb2312",
    "20949": "euc_kr",
    "21866": "koi8_u",
    "38598": "iso8859_8",
    "50220": "iso2022_jp",
    "50221": "iso2022_jp",
    "50222": "iso2022_jp",
    "50225": "iso2022_kr",
    "51932": "euc_jp",
    "51936": "gb2312",
    "51949": "euc_kr",
    "52936": "hz",
    "54936": "gb18030",
    "65000": "utf_7",
    "65001": "utf_8",
    "31": "cp932",  # windows-31j
    "936": "gbk",
} | {f"{28590 + part}": f"iso8859_{part}" for part in range(1, 17) if part != 12}
# The names of the Encoding Standard that no codec of Python has.
_STANDARD: Final = {
    "ibm866": "cp866",
    "iso-8859-8-i": "iso8859_8",
    "macintosh": "mac_roman",
    "windows-874": "cp874",
    "x-mac-cyrillic": "mac_cyrillic",
}


def _windows_table() -> str:
    """windows-1252 with its five holes filled by the code points of latin-1, so that any byte decodes."""
    return "".join(codecs.decode(bytes([i]), "cp1252", "ignore") or chr(i) for i in range(256))


_WINDOWS_TABLE: Final = _windows_table()


def _fold(name: str) -> str:
    return _NOT_A_WORD.sub("", name.lower())


def _table() -> dict[str, tuple[str, ...]]:
    """Every charset name that we know: Python's, and the labels of the Encoding Standard. Our own table: a codec lookup
    of an unknown name searches the disk, and a hostile header may hold 100,000 of them."""
    names = {_fold(alias): codec for alias, codec in aliases.items()}
    names |= {_fold(codec): codec for codec in aliases.values()}
    names |= {_fold(codec): codec for codec in "koi8_r koi8_u utf_8 utf_7 cp874 cp856 cp737 cp1006".split()}
    names |= {f"x{alias}": codec for alias, codec in list(names.items())}
    for label, encoding in LABELS.items():
        if encoding not in ("replacement", "x-user-defined"):
            codec = encoding.replace("-", "_")
            names.setdefault(_fold(label), _STANDARD.get(encoding) or aliases.get(codec, codec))
    names |= _NAMES
    out: dict[str, tuple[str, ...]] = {"xuserdefined": _DETECT}
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
    name = _fold(charset[:64])
    return _KNOWN.get(name) or _misspelt(name)


def _misspelt(name: str) -> tuple[str, ...] | None:
    name = name.lstrip("x")
    for pattern, codec in _PATTERNS:
        found = pattern.fullmatch(name)
        if found is None:
            continue
        if codec == "page":
            codec = _PAGES.get(found[1], f"cp{found[1]}")
        elif codec == "iso8859_":
            codec += found[1]
        known = _KNOWN.get(_fold(codec))
        if known is not None:
            return known
    return None


def decode(data: bytes, charset: str, defects: Defects, hints: Iterable[str] = (), *, named: str = "") -> str:
    """`data` as text without NUL or lone surrogates. `charset` is the declared name ("" when there is none), `named`
    what the text itself says (`<meta>`). Where the charset is missing, unknown or wrong, UTF-8 is tried, then `named`,
    then `hints` (what other parts of the message declare), then it is guessed. Defects: `unknown-charset`,
    `bad-charset` (the bytes are not in the declared charset), `undeclared-8bit`, `undeclared-iso-2022`, `nul`."""
    candidates = _codecs(charset) if charset else _DETECT
    if candidates is None:
        defects.add("unknown-charset")
        candidates = _DETECT
    codec = candidates[0]
    if data.isascii() and (not codec.startswith(_OWN_ASCII) or (codec.startswith(_WIDE) and _is_narrow(data))):
        if b"\x1b" in data and (found := _escaped(data)) is not None:
            defects.add("undeclared-iso-2022")
            return storable(found, defects)
        text = str(data, "ascii")
        return text if "\0" not in text else storable(text, defects)
    if codec.startswith(_WIDE) and _is_narrow(data):
        defects.add("bad-charset")
        found = _strict(data, "utf_8")
        return storable(found, defects) if found is not None else guess(data, defects, hints)
    if data.startswith(codecs.BOM_UTF8) and (found := _strict(data, "utf_8")) is not None:
        return storable(found, defects)
    if candidates is _DETECT:
        return storable(_undeclared(data, charset, defects, hints, named), defects)
    for codec in candidates:
        found = _strict(data, codec)
        if found is not None:
            return storable(found, defects)
    defects.add("bad-charset")
    return storable(_misdeclared(data, candidates[0], defects, named), defects)


def guess(data: bytes, defects: Defects, hints: Iterable[str] = ()) -> str:
    """Text that is not UTF-8 and has no declared charset. Its defect is the caller's."""
    for hint in sorted(hints, key=lambda hint: _codecs(hint) is _WINDOWS):  # which takes everything
        for codec in _codecs(hint) or ():
            found = _strict(data, codec) if codec and not codec.startswith("utf") else None
            if found is not None:
                return storable(found, defects)
    return storable(_guessed(data, defects), defects)


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
    """What a `<meta>` or an XML declaration at the head of HTML says, or "". What could be read as ASCII is no UTF-16:
    UTF-8 is meant (HTML Standard, "prescan")."""
    found = _META.search(data, 0, 2048) or _XML.match(data)
    name = found[1].decode("ascii") if found else ""
    known = _codecs(name)
    if known is None or known[0].startswith("utf"):
        return "utf-8" if known else ""
    return name


def _strict(data: bytes, codec: str) -> str | None:
    if codec == "windows":
        return codecs.charmap_decode(data, "strict", _WINDOWS_TABLE)[0]
    if codec == "vendor_jis":
        return _vendor_jis(data)
    if codec in ("utf_16", "utf_16_le", "utf_16_be"):
        codec = _byte_order(data, codec)
    try:
        return str(data, codec)
    except ValueError:  # UnicodeError is one
        return None


def _is_narrow(data: bytes) -> bool:
    """Whether bytes are no UTF-16 or UTF-32, whatever is declared: those have zeros, other controls or few letters."""
    other = data.translate(None, _LETTERS)
    return len(data) >= 8 and len(other) * 5 < len(data) * 2 and _CONTROLS.search(other) is None


def _byte_order(data: bytes, codec: str) -> str:
    """A byte order mark says more than a label does; without one and without a word of the label, the zeros tell."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf_16"
    if codec == "utf_16":
        return "utf_16_be" if data[0::2].count(0) > data[1::2].count(0) else "utf_16_le"
    return codec


def _escaped(data: bytes) -> str | None:
    """7-bit text in which ISO-2022 switches character sets, whatever was declared; None for any other."""
    found = _ESCAPES.search(data)
    if found is None:
        return None
    for codec in ("iso2022_kr",) if found[0] == b"\x1b$)C" else _MEANT["iso2022_jp"]:
        text = _strict(data, codec)
        if text is not None:
            return text
    text = str(data, "iso2022_jp", "replace")  # perhaps it was cut
    return text if not text.isascii() and text.count("\ufffd") <= 1 + len(text) // 20 else None


def _undeclared(data: bytes, charset: str, defects: Defects, hints: Iterable[str], named: str) -> str:
    text = _in_charset(data, named) if not charset else None
    if text is None:
        text = _strict(data, "utf_8")
    if text is None and data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = _strict(data, "utf_16")
    if text is None and charset:
        text = _in_charset(data, named)
        if text is not None and _codecs(charset) is not None:
            defects.add("bad-charset")
    if text is not None:
        return text
    defects.add("undeclared-8bit")
    return guess(data, defects, hints)


def _misdeclared(data: bytes, codec: str, defects: Defects, named: str) -> str:
    if codec == "utf_8":
        return _in_charset(data, named) or _guessed(data, defects)
    if not data.isascii():
        text = _strict(data, "utf_8") or _in_charset(data, named)
        if text is not None:
            return text
        if codec.startswith(_SEVEN_BITS) and _JIS.search(data) is None:
            return _guessed(data, defects, _REGIONS.get(codec))
    text = str(data, codec, "replace")
    if codec in _REGIONS and text.count("\ufffd") > 1 + (len(text) - len(text.encode("ascii", "ignore"))) // 20:
        return _guessed(data, defects)
    return text


def _in_charset(data: bytes, charset: str) -> str | None:
    for codec in (_codecs(charset) if charset else None) or ():
        text = _strict(data, codec) if codec else None
        if text is not None:
            return text
    return None


def _guessed(data: bytes, defects: Defects, region: bytes | None = None) -> str:
    """Not valid UTF-8. If most sequences are, the rest is damage; else the detector of Firefox decides, which knows
    the charsets of the Encoding Standard and is made for short texts."""
    text = data.decode(errors="replace")
    broken = text.count("\ufffd")
    if len(text) - len(text.encode("ascii", "ignore")) >= 2 * broken:
        return text
    first = _EIGHT_BITS.search(data)
    start = max(0, first.start() - _CONTEXT) if first is not None else 0
    sample = data[start : start + min(_SAMPLE, defects.detected)]
    defects.detected -= len(sample)
    detector = EncodingDetector()
    detector.feed(sample, last=True)
    label = detector.guess(tld=region, allow_utf8=False)
    # One byte is no evidence, and nobody sends ISO-8859-4, which the detector finds in Italian: mostly windows-1252.
    unlikely = (region is None and len(_EIGHT_BITS.findall(sample)) < 2) or label == "ISO-8859-4"
    candidates = (None if unlikely else _codecs(label)) or _WINDOWS
    for codec in candidates:
        found = _strict(data, codec)
        if found is not None:
            return found
    return str(data, candidates[0], "replace")


def _vendor_jis(data: bytes) -> str | None:
    """ISO-2022-JP with the vendors' rows (NEC, IBM: №, ①) and half-width kana, by way of their Shift_JIS."""
    if len(data) > _MAX_VENDOR_JIS or _JIS.search(data) is None:
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
