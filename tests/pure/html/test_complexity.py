"""What is too much HTML, and that the look itself is quick."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.html.complexity import ATTRIBUTES, DEEPEST, TAGS, fault
from mailcore.html.plaintext import readable

PIECES = """<div> </div> <p> <table> <td> <!-- --> <!--> --!> <style> </style> <a <a= ' " = ="x" / > &lt; & < </ <x/y=z
<![CDATA[ <?x \x00 \u2028 <svg> <textarea> a b""".split(" ")


def attributes(count: int, form: str = "a{}=1") -> str:
    return "<p " + " ".join(form.format(number) for number in range(count)) + ">x</p>"


@pytest.mark.parametrize("form", ["a{}", "a{}=1", "a{}='x > y'", 'a{} = "b c d"', "a{}\n"])
def test_so_many_attributes_and_no_more(form: str) -> None:
    assert fault(attributes(ATTRIBUTES, form)) == ""
    assert "attributes" in fault(attributes(ATTRIBUTES + 1, form))


def test_attributes_that_are_not_separated_count_too() -> None:
    assert "attributes" in fault("<p " + "a='1'" * 201 + ">")
    assert "attributes" in fault("<p " + "a/" * 400 + ">")


def test_words_in_a_value_are_no_attributes() -> None:
    assert fault(f"<p style='{'color: red; ' * 2_000}' title=\"{'a b ' * 2_000}\">") == ""
    assert fault(f"<img src='data:image/png;base64,{'A' * 200_000}'>") == ""


def test_so_deep_and_no_deeper() -> None:
    assert fault("<div>" * DEEPEST + "</div>" * DEEPEST) == ""
    assert "deep" in fault("<div>" * (DEEPEST + 1))
    assert "deep" in fault(">x<SPAN class='<'>" * (DEEPEST + 1))


def test_what_ends_by_itself_is_not_deep() -> None:
    assert fault("<p>a<br>" * 5_000 + "<ul>" + "<li>b" * 5_000 + "<table>" + "<tr><td>c" * 2_000) == ""


def test_tags_in_comments_are_not_deep_and_a_comment_may_end_at_once() -> None:
    assert fault("<!--[if mso]><table><tr><td><![endif]-->" * 2_000) == ""
    assert "deep" in fault("<!-->" + "<div>" * 500)
    assert "deep" in fault("<!-- x --!>" + "<div>" * 500)


def test_so_many_tags_and_no_more() -> None:
    assert fault("<br>" * TAGS) == ""
    assert "tags" in fault("<br>" * (TAGS + 1))


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_whatever_it_is_there_is_an_answer(html: str) -> None:
    fault(html)
    readable(html)


@pytest.mark.parametrize(
    "piece", [*PIECES, "<a =' =\"", "<style ", "<head><", "&#32;", "<br>&#32;", "<a b='", "</a ", " "]
)
def test_the_look_is_linear(piece: str) -> None:
    """A quarter of a million characters take a tenth of a second: squared it would be minutes."""
    html = "<p>" + piece * (250_000 // len(piece))
    began = time.process_time()
    fault(html)
    fault(html[: TAGS * len(piece)])
    readable(html)
    assert time.process_time() - began < 2
