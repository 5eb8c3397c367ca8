"""Any bytes in any charset become text that can be stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.mime.charset import decode, html_charset, storable
from mailcore.mime.defects import Defects


def decoded(data: bytes, charset: str) -> tuple[str, list[str]]:
    defects = Defects()
    return decode(data, charset, defects), list(defects)


@pytest.mark.parametrize(
    ("data", "charset", "expected"),
    [
        ("Grüße".encode(), "utf-8", "Grüße"),
        ("Grüße".encode("latin-1"), "ISO-8859-1", "Grüße"),
        (b"\x93quoted\x94 \x80\x81", "iso-8859-1", "“quoted” €\x81"),
        ("Привет".encode("koi8-r"), "KOI8-R", "Привет"),
        ("Привіт".encode("koi8-u"), "koi8-u", "Привіт"),
        ("镕基".encode("gb18030"), "gb2312", "镕基"),
        ("사진 똠방".encode("cp949"), "ks_c_5601-1987", "사진 똠방"),
        ("こんにちは".encode("iso2022_jp"), "ISO-2022-JP", "こんにちは"),
        (b"\x1b$B\x2d\x62\x2d\x21\x1b(B 5", "iso-2022-jp", "№① 5"),
        (b"\x1b(I\x31\x1b(B.", "iso-2022-jp", "ｱ."),
        ("①髙".encode("cp932"), "shift_jis", "①髙"),
        ("漢字".encode("euc_jp"), "x-euc-jp", "漢字"),
        ("中文".encode("big5"), "Big5", "中文"),
        (b"Hi +AGE-", "unicode-1-1-utf-7", "Hi a"),
        ("שלום".encode("iso8859_8"), "ISO-8859-8-I", "שלום"),
        ("ไทย".encode("cp874"), "windows-874", "ไทย"),
        ("Ünïcode".encode("mac_roman"), "macintosh", "Ünïcode"),
        ("x".encode("utf-16"), "utf-16", "x"),
    ],
)
def test_charsets_mean_what_mailers_mean_by_them(data: bytes, charset: str, expected: str) -> None:
    assert decoded(data, charset) == (expected, [])


@pytest.mark.parametrize(
    ("data", "charset", "expected", "defects"),
    [
        ("é".encode(), "", "é", []),
        (b"\xe9", "", "é", ["undeclared-8bit"]),
        (b"\xe9", "us-ascii", "é", ["undeclared-8bit"]),
        ("é".encode(), "x-unknown-8bit", "é", ["unknown-charset"]),
        (b"\xe9", "unknown-8bit", "é", ["unknown-charset", "undeclared-8bit"]),
        (b"caf\xe9", "utf-8", "café", ["bad-charset"]),
        (b"caf\xc3\xa9 \xff", "utf-8", "café \ufffd", ["bad-charset"]),
        ("é漢".encode(), "euc-kr", "é漢", ["bad-charset"]),
        (b"a\0b", "utf-8", "ab", ["nul"]),
        (b"+2AA-", "utf-7", "\ufffd", ["bad-charset"]),
        (b"\\ud800", "unicode_escape", "\\ud800", ["unknown-charset"]),
    ],
)
def test_what_is_wrong_is_mended_and_named(data: bytes, charset: str, expected: str, defects: list[str]) -> None:
    assert decoded(data, charset) == (expected, defects)


@pytest.mark.parametrize("charset", ["idna", "punycode", "base64", "zlib", "hex", "rot13", "undefined", "uu", "quopri"])
def test_a_codec_that_is_no_charset_is_not_used(charset: str) -> None:
    assert decoded(b"xn--abc", charset)[0] == "xn--abc"


CHARSETS = st.sampled_from(
    "utf-8 utf-7 utf-16 utf-16-be utf-32 latin1 gb18030 big5 euc-kr shift_jis iso-2022-jp iso-2022-kr hz cp037 "
    "unicode_escape raw_unicode_escape idna punycode nonsense koi8-r us-ascii".split()
)


@given(st.binary(max_size=200), CHARSETS | st.text(max_size=20), st.lists(CHARSETS, max_size=2))
def test_any_bytes_in_any_charset_become_storable_text(data: bytes, charset: str, hints: list[str]) -> None:
    text = decode(data, charset, Defects(), hints)
    assert "\0" not in text
    text.encode()


@given(st.text(st.characters(codec=None), max_size=50))
def test_storable_text_holds_no_nul_and_no_lone_surrogate(text: str) -> None:
    stored = storable(text, Defects())
    assert "\0" not in stored
    stored.encode()


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50))
def test_storable_text_is_left_alone(text: str) -> None:
    assert storable(text, Defects()) == text


def test_html_names_its_charset() -> None:
    assert html_charset(b'<html><meta charset="koi8-r">') == "koi8-r"
    assert html_charset(b'<META http-equiv="Content-Type" content="text/html; charset=windows-1251">') == "windows-1251"
    assert html_charset(b"<p>charset=x") == ""
