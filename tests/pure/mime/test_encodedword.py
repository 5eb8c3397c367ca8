"""RFC 2047 encoded words."""

import binascii
from email.header import Header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.mime.defects import MAX_WORDS, Defects
from mailcore.mime.encodedword import decode_words


def b_word(data: bytes, charset: str = "utf-8") -> str:
    return f"=?{charset}?b?{binascii.b2a_base64(data, newline=False).decode()}?="


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("=?UTF-8?B?R3LDvMOfZQ==?=", "Grüße"),
        ("=?utf-8?q?a_b?= c", "a b c"),
        ("=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        ("=?utf-8?q?a?= x =?utf-8?q?b?=", "a x b"),
        ("=?utf-8?q?a?=  \t =?latin1?q?=e9?=", "aé"),
        ("(=?utf-8?q?a?=)", "(a)"),
        ("=?utf-8*de?q?a?=", "a"),
        ("=?utf-8?q?a b?=", "a b"),  # blanks inside are wrong and common
        ("=?utf-8?B?R3LDvMOfZQ?=", "Grüße"),  # padding left out
        ("=?iso-2022-jp?B?GyRCJDMbKEI=?=", "こ"),
        ("=?nonsense?q?caf=e9?=", "café"),
        ("=?utf-8?q?broken", "=?utf-8?q?broken"),
        ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
        ("=??q?a?=", "=??q?a?="),
        ("=?utf-16?b?AADY?=", "\ufffd"),
    ],
)
def test_words_are_decoded(value: str, expected: str) -> None:
    assert decode_words(value, Defects()) == expected


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1), st.data())
def test_a_character_split_between_two_words_is_whole(text: str, data: st.DataObject) -> None:
    raw = text.encode()
    cut = data.draw(st.integers(0, len(raw)))
    assert decode_words(f"{b_word(raw[:cut])}\t {b_word(raw[cut:])}", Defects()) == text


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1), st.integers(1, 60))
def test_base64_split_anywhere_is_whole(text: str, cut: int) -> None:
    payload = binascii.b2a_base64(text.encode(), newline=False).decode()
    value = f"=?utf-8?b?{payload[:cut]}?= =?utf-8?b?{payload[cut:]}?="
    assert decode_words(value, Defects()) == text


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), min_size=1))
def test_what_the_standard_library_encodes_comes_back(text: str) -> None:
    value = Header(text, "utf-8").encode(linesep="\n").replace("\n ", " ")
    assert decode_words(value, Defects()) == text


@given(st.text(alphabet="=?qbQB_ aé-8utf*\udcff\ud800", max_size=80))
def test_anything_becomes_text(value: str) -> None:
    decode_words(value, Defects())


def test_no_more_words_are_decoded_than_a_message_may_have() -> None:
    defects = Defects()
    text = decode_words("=?utf-8?q?a?= " * (MAX_WORDS + 5), defects)
    assert text.startswith("a" * MAX_WORDS)
    assert text.count("=?utf-8?q?a?=") == 5
    assert "too-many-encoded-words" in defects
