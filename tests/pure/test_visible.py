"""What somebody else wrote cannot pretend, and stays readable."""

from __future__ import annotations

import html
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.visible import PATTERN, lines, one_line, references
from tests.support.pretending import PRETENDING, READABLE

# Format characters that are seen: signs of numbers and verses that reach over what follows.
SEEN = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")


@pytest.mark.parametrize("name", READABLE)
def test_what_has_its_use_where_it_stands_stays(name: str) -> None:
    text = READABLE[name]
    assert one_line(text) == text
    assert one_line(f"x {text} y") == f"x {text} y"


@pytest.mark.parametrize(("text", "shown"), PRETENDING.items(), ids=ascii)
def test_what_pretends_is_shown(text: str, shown: str) -> None:
    assert one_line(text) == shown
    assert lines(text) == shown


def test_a_text_keeps_its_lines_and_tabs_and_a_name_is_one_line() -> None:
    assert lines("a\tb\nc\r\nd") == "a\tb\nc\nd"
    assert one_line("a\tb\nc") == "a\\tb\\nc"


def test_no_control_and_no_format_character_is_forgotten() -> None:
    """In a word of plain letters none of them has a use."""
    hidden = [
        chr(code)
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and chr(code) not in SEEN
    ]
    assert [one for one in hidden if one in one_line(f"a{one}b")] == []


def test_every_virama_is_known() -> None:
    for code in range(sys.maxunicode + 1):
        if unicodedata.combining(chr(code)) == 9:
            assert one_line(f"{chr(code)}\u200d") == f"{chr(code)}\u200d", hex(code)


TRICKS = st.text(st.sampled_from("".join(PRETENDING) + "".join(READABLE.values()) + "ab<&\n\t"), max_size=40)


@given(TRICKS | st.text())
def test_what_was_shown_once_is_not_changed_again(text: str) -> None:
    assert one_line(one_line(text)) == one_line(text)
    assert lines(lines(text)) == lines(text)
    assert "\n" not in one_line(text)
    assert all(one not in lines(text) for one in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\x1b\x9b")


@given(TRICKS)
def test_references_stand_for_the_same_text(text: str) -> None:
    kept = "".join(one for one in text if (one >= "\xa0" and one != "\ufffe") or one in "ab\n\t")
    assert html.unescape(references(kept)) == kept
    assert "\u202e" not in references(kept)


def test_the_pattern_is_one_for_scripts_too() -> None:
    """Named groups, flags in brackets and escapes of Python alone are none of ECMAScript's."""
    assert not {"(?P", "(?i", "(?s", "\\U", "\\A", "\\Z"} & {PATTERN[at : at + 3] for at in range(len(PATTERN))}
    assert not {"\\U", "\\A", "\\Z"} & {PATTERN[at : at + 2] for at in range(len(PATTERN))}
