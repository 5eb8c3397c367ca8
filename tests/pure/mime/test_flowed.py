"""format=flowed: what was broken into lines is whole again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.mime.flowed import joined


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("one \ntwo \nthree\nfour\n", "one two three\nfour\n"),
        ("one \r\ntwo\r\nthree\r\n", "one two\r\nthree\r\n"),
        ("> one \n> two\nthree", "> one two\nthree"),
        ("> one \n>> two \n>> three\n", "> one \n>> two three\n"),
        ("one \n> two", "one \n> two"),
        (">one \n>two", "> one two"),
        (" > no quote\n From me\n  two", "> no quote\nFrom me\n two"),
        ("one \n-- \nEva\n", "one \n-- \nEva\n"),
        ("> -- \n> Eva \n> Otto", "> -- \n> Eva Otto"),
        ("no \n\nend ", "no \nend "),
        ("fixed\nlines\n", "fixed\nlines\n"),
        ("", ""),
    ],
)
def test_paragraphs_are_joined(text: str, whole: str) -> None:
    assert joined(text, delsp=False) == whole


def test_delsp_takes_the_blank_away() -> None:
    assert joined("会議の \r\n資料\r\n", delsp=True) == "会議の資料\r\n"
    assert joined("one  \ntwo", delsp=True) == "one two"


WORDS = st.lists(st.from_regex("[a-zäé.]{1,8}", fullmatch=True), min_size=1, max_size=30)


@given(st.lists(st.tuples(WORDS, st.integers(0, 3)), min_size=1, max_size=6), st.integers(1, 40), st.booleans())
def test_what_was_broken_anywhere_comes_back(paragraphs: list[tuple[list[str], int]], width: int, delsp: bool) -> None:
    written, whole = [], []
    for words, depth in paragraphs:
        lines = [""]
        for word in words:
            if len(lines[-1]) > width:
                lines.append("")
            lines[-1] += word + " "
        lines[-1] = lines[-1].rstrip()
        broken = [line + " " * delsp if number < len(lines) - 1 else line for number, line in enumerate(lines)]
        written += [">" * depth + " " * (depth > 0) + line for line in broken]
        whole.append(">" * depth + " " * (depth > 0) + " ".join(words))
    assert joined("\r\n".join(written), delsp=delsp) == "\r\n".join(whole)


@given(st.text(" >-ab\r\n", max_size=60), st.booleans())
def test_nothing_but_blanks_line_ends_and_marks_is_lost(text: str, delsp: bool) -> None:
    kept = [char for char in joined(text, delsp=delsp) if char in "-ab"]
    assert kept == [char for char in text if char in "-ab"]
