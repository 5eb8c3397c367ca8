"""The words of an HTML text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.plaintext import words_of


@pytest.mark.parametrize(
    ("html", "words"),
    [
        ("<p>Gr&uuml;&szlig;e<br>aus <b>K</b>öln</p>", "Grüße aus Köln"),
        ("<td>a</td><td>b</td>", "a b"),
        ("<style>p { color: red }</style><title>x</title>text<script>if (a<b) alert(1)</script> end", "text end"),
        ("<style>never closed", ""),
        ("a < b & c > d", "a < b & c > d"),
        ("<!-- gone -->there", "there"),
        ("&#0;&#xd800;", "\ufffd\ufffd"),
        ("", ""),
    ],
)
def test_what_a_reader_sees_is_kept(html: str, words: str) -> None:
    assert words_of(html) == words


@given(st.text(alphabet="<>/!-&;# \x00aäscript", max_size=200))
def test_any_text_becomes_one_line_that_both_databases_take(html: str) -> None:
    words = words_of(html)
    assert words == " ".join(words.split())
    assert not any("\ud800" <= character <= "\udfff" for character in words)


@pytest.mark.parametrize("hostile", ["<", "<a ", "<style>", "</", "&", "&#", "<script", "<!--"])
def test_it_takes_no_longer_than_its_length_deserves(hostile: str) -> None:
    started = time.process_time()
    assert len(words_of(hostile * 500_000)) <= 100_000
    assert time.process_time() - started < 5
