"""A message's HTML in the admin pages: what is left of it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.admin.mail_html import document

_PIECES = st.sampled_from(
    """<script> </script> <style> </style> <svg/onload=alert(1)> </svg> <math> <mtext> <!-- --> onerror=alert(1)>
    <a/href='javascript:alert(1)'> <iframe/srcdoc=' <base/href=//evil.example/> </p> text &lt;script&gt; <![CDATA[ ]]> '
    <p/style='background:url(//evil.example)'> @import/**/url(http://evil.example); u\\rl(http://evil.example)
    <table/background=//evil.example> <img/src=http://evil.example/x \x00""".split()
)


@pytest.mark.parametrize(
    "html",
    [
        '<img src="http://evil.example/a.png">',
        '<img src="//evil.example/a.png" srcset="http://evil.example/b.png 2x">',
        '<table background="http://evil.example/c.png"></table>',
        "<p style=\"background: url( 'http://evil.example/d.png' )\">x</p>",
        "<style>p { background: URL(http://evil.example/f.png) }</style>",
        "<style>@import 'http://evil.example/g.css';</style>",
        '<style>p { background: image-set("http://evil.example/h.png" 1x) }</style>',
    ],
)
def test_nothing_is_left_that_would_be_fetched_and_it_is_counted(html: str) -> None:
    made = document(html, {})
    assert "evil.example" not in made.html
    assert made.blocked >= 1


@given(st.lists(_PIECES, max_size=30).map("".join))
def test_whatever_is_sent_no_script_no_handler_and_no_request_is_left(html: str) -> None:
    left = document(html, {}).html.lower()
    body = left.partition("<body>")[2]
    tags = [piece.partition(">")[0] for piece in body.split("<")[1:]]
    for tag in tags:
        name = tag.split(" ")[0].strip("/")
        assert name not in {"script", "svg", "iframe", "object", "embed", "base", "meta", "link", "form"}
        assert " onerror=" not in tag
        assert " onload=" not in tag
        assert "javascript:" not in tag
        assert "evil.example" not in tag or name == "a"
    assert body.count("</body>") == 1


def test_its_own_pictures_are_put_in_and_links_open_elsewhere() -> None:
    made = document(
        '<img src="cid:a@b"><img src="cid:unknown"><a href="https://example.org/">x</a>',
        {"a@b": "data:image/png;base64,AA"},
    )
    assert '<img src="data:image/png;base64,AA">' in made.html
    assert 'href="https://example.org/" target="_blank" rel="noopener noreferrer"' in made.html
    assert "unknown" not in made.html
    assert made.blocked == 0


def test_styles_that_fetch_nothing_stay() -> None:
    made = document('<style>p { color: red }</style><p style="color: rgb(1, 2, 3); width: calc(1px + 2px)">x</p>', {})
    assert "color: red" in made.html
    assert "rgb(1, 2, 3)" in made.html
    assert made.blocked == 0


@pytest.mark.parametrize(
    "piece", ["<div>", "<table><tr><td>", "<style>", "<a href=x>", "<b style='a:url('>", "\\", "url("]
)
def test_a_message_of_two_million_characters_takes_seconds_at_most(piece: str) -> None:
    html = (piece * (2_000_000 // len(piece) + 1))[:1_999_999]
    began = time.process_time()
    document(html, {})
    assert time.process_time() - began < 20


def test_an_escape_spells_no_request_either() -> None:
    made = document('<p style="background: u\\72l(http://evil.example/e.png)">x</p>', {})
    assert "\\" not in made.html.partition("<body>")[2]


def test_ten_thousand_closed_elements_are_not_deep() -> None:
    assert not document("<div><p>a<br>b</p></div>" * 10_000, {}).cut


def test_more_than_that_is_cut_and_says_so() -> None:
    assert document("x" * 2_000_001, {}).cut
