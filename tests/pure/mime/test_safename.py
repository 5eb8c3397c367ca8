"""A sender's file name becomes one path component that points nowhere else."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailcore.mime.safename import MAX_BYTES, nameless, safe_filename

ANY_NAME = st.text(st.characters(codec=None), max_size=300)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("report.pdf", "report.pdf"),
        ("Rechnung März.pdf", "Rechnung März.pdf"),
        ("Rechnung Ma\u0308rz.pdf", "Rechnung März.pdf"),
        ("AC/DC.mp3", "AC_DC.mp3"),
        ("C:\\TEMP\\x.png", "C__TEMP_x.png"),
        ("../../etc/passwd", "_.._etc_passwd"),
        (".bashrc", "bashrc"),
        ("CON.txt", "_CON.txt"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("a\r\nb.txt", "a b.txt"),
        ("x\0y.txt", "xy.txt"),
    ],
)
def test_a_name_keeps_what_is_harmless(name: str, expected: str) -> None:
    assert safe_filename(name, "fallback") == expected


@pytest.mark.parametrize("name", ["", ".", "..", "...", " ", "\0", "/", "\ud800", "\u202e", "~", "___"])
def test_a_name_of_which_nothing_is_left_gives_the_fallback(name: str) -> None:
    assert safe_filename(name, "part-2.bin") == "part-2.bin"
    assert safe_filename(name, name) == "attachment"


@given(ANY_NAME, ANY_NAME)
@example("a" * 300 + ".pdf", "")
@example("=\u0338", "")
@example("\u037e/\u2260", "")
def test_any_name_is_one_short_visible_component(name: str, fallback: str) -> None:
    safe = safe_filename(name, fallback)
    assert 0 < len(safe.encode()) <= MAX_BYTES
    assert not set('/\\<>:"|?*\0\r\n') & set(safe)
    assert safe.strip(" .~") == safe
    assert unicodedata.is_normalized("NFC", safe)
    assert not any(unicodedata.category(char).startswith("C") for char in safe)


@given(ANY_NAME)
def test_a_safe_name_is_left_as_it_is(name: str) -> None:
    safe = safe_filename(name, "x")
    assert safe_filename(safe, "y") == safe


@given(st.text(min_size=1, max_size=300), st.from_regex(r"\.[A-Za-z0-9]{1,8}", fullmatch=True))
def test_the_extension_survives_the_cut(stem: str, extension: str) -> None:
    safe = safe_filename("n" + stem + extension, "x")
    assert safe.endswith(extension)


def test_a_megabyte_of_name_costs_nothing() -> None:
    assert safe_filename("é" * 1_000_000 + ".pdf", "x").endswith("é.pdf")


def test_a_file_without_a_name_has_the_extension_of_its_type() -> None:
    assert nameless("part-2", "application/pdf") == "part-2.pdf"
    assert nameless("part-2", "Image/JPEG") == "part-2.jpg"
    assert nameless("part-2", "message/rfc822") == "part-2.eml"
    assert nameless("part-2", "application/x-nothing") == "part-2"
