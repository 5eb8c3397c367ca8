"""HTML as text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.html.plaintext import readable


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a  <b>b</b>\n c</p><p>d<br>e</p>", "a b c\n\nd\ne"),
        ("<head><title>no</title></head><style>p{}</style>x<script>no</script>", "x"),
        ("<table><tr><td>1</td><td>2</td></tr><tr><th>3<td>4</table>", "1 2\n\n3 4"),
        ("1 &lt; 2 &amp;amp; &#x41;", "1 < 2 &amp; A"),
        ("un<b>bro</b>ken", "unbroken"),
        ("a < b", "a < b"),
        ("a<p class='cut", "a"),
        ("<style>never ended", ""),
        ("<p>Gr&uuml;&szlig;e<br>aus <b>K</b>öln</p>", "Grüße\naus Köln"),
        ("<style>p { color: red }</style><title>x</title>text<script>if (a<b) alert(1)</script> end", "text end"),
        ("<head><meta name=x>never ended", "never ended"),
        ("<option>one<option>two<img>three", "one two three"),
        ("<p>source\nlines", "source lines"),
        ("a < b & c > d", "a < b & c > d"),
        ("<!-- gone -->there", "there"),
        ("&#0;&#xd800;", "\ufffd\ufffd"),
        ("", ""),
    ],
)
def test_it_reads_as_a_page_would(html: str, text: str) -> None:
    assert readable(html) == text


@given(st.text(alphabet="<>/!-&;# \x00\näscriptbr", max_size=200))
def test_any_text_becomes_lines_that_both_databases_take(html: str) -> None:
    text = readable(html)
    assert text == "\n".join(" ".join(line.split()) for line in text.split("\n")).strip()
    assert not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text)
    assert "\n\n\n" not in text


@pytest.mark.parametrize("hostile", ["<", "<a ", "<style>", "</", "&", "&#", "<script", "<!--", "<br>"])
def test_it_takes_no_longer_than_its_length_deserves(hostile: str) -> None:
    started = time.process_time()
    readable((hostile * 500_000)[:1_000_000])
    assert time.process_time() - started < 5
