"""A message's HTML in the admin pages: what is left of it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.html.document import LONGEST, asks_elsewhere, document

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


@pytest.mark.parametrize(
    ("address", "fetched"),
    [
        ("http://evil.example/a.png", "http://evil.example/a.png"),
        (" HTTPS://img.evil.example:8443/a?b=c#d ", "HTTPS://img.evil.example:8443/a?b=c#d"),
        ("//xn--3ya.evil.example", "https://xn--3ya.evil.example"),
        ("http://localhost/a", ""),
        ("http://router/a", ""),
        ("http://fritz.local/a", ""),
        ("http://a.localhost./a", ""),
        ("http://127.0.0.1:8000/admin/", ""),
        ("http://127.1/", ""),
        ("http://a.0x7f000001/", ""),
        ("http://[::1]/", ""),
        ("http://evil.example@127.0.0.1/", ""),
        ("http://evil.example\\@127.0.0.1/", ""),
        ("http:127.0.0.1", ""),
        ("http://１２７.0.0.1/", ""),
        ("/admin/logout/", ""),
        ("ftp://evil.example/a", ""),
    ],
)
def test_pictures_from_elsewhere_are_left_for_those_who_ask_for_them(address: str, fetched: str) -> None:
    html = f'<img alt="a" src="{address}"><p style="background: url(http://evil.example/b)">x</p><script>x</script>'
    made = document(html, {}, elsewhere=True)
    assert (f'<img alt="a" src="{fetched}">' if fetched else '<img alt="a">') in made.html
    assert made.html.count("evil.example") == ("evil" in fetched)
    assert made.blocked == 1 or not fetched, "what the style asks for"
    assert "<script" not in made.html
    assert document(html, {}).html.count('<img alt="a">') == 1


@pytest.mark.parametrize(
    ("html", "asks"),
    [
        ("<IMG alt=x SRC = 'http://evil.example/'>", True),
        ("<td width=1\nbackground=//evil.example>", True),
        ("<img src=cid:a><a href=http://evil.example>", False),
        ("<img " * 50_000, False),
        ("<img src=" + " " * 250_000, False),
        ("<img" + " src=" * 50_000, False),
    ],
)
def test_whether_there_are_any_is_seen_quickly(html: str, asks: bool) -> None:
    began = time.process_time()
    assert asks_elsewhere(html) is asks
    assert time.process_time() - began < 1


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
        {"a@b": "/admin/messages/1/pictures/2/?signature=3"},
    )
    assert '<img src="/admin/messages/1/pictures/2/?signature=3">' in made.html
    assert 'href="https://example.org/" target="_blank" rel="noopener noreferrer"' in made.html
    assert "unknown" not in made.html
    assert made.blocked == 0


def test_styles_that_fetch_nothing_stay() -> None:
    made = document('<style>p { color: red }</style><p style="color: rgb(1, 2, 3); width: calc(1px + 2px)">x</p>', {})
    assert "color: red" in made.html
    assert "rgb(1, 2, 3)" in made.html
    assert made.blocked == 0


@pytest.mark.parametrize(
    ("html", "why"),
    [
        ("<div>" * 401, "It has elements in one another, more than 400 deep."),
        ("<p " + " ".join(f"a{number}" for number in range(201)) + ">", "It has a tag of more than 200 attributes."),
        ("<br>" * 20_001, "It has more than 20,000 tags."),
        ("&lt;" * 50_001, "It has more than 50,000 character references."),
    ],
)
def test_what_is_too_much_is_text_and_says_why(html: str, why: str) -> None:
    made = document("<p>What a person may read.</p>" + html, {})
    assert made.cut
    assert f"Shown as text, not as HTML. {why}" in made.html
    assert "<pre>What a person may read." in made.html


def test_an_escape_spells_no_request_either() -> None:
    made = document('<p style="background: u\\72l(http://evil.example/e.png)">x</p>', {})
    assert "\\" not in made.html.partition("<body>")[2]


def test_thousands_of_closed_elements_are_not_deep() -> None:
    assert not document("<div><p>a<br>b</p></div>" * 3_000, {}).cut


def test_more_than_that_is_cut_and_says_so() -> None:
    made = document("x" * (LONGEST + 1), {})
    assert made.cut
    assert "only the beginning" in made.html
    assert not document("x" * LONGEST, {}).cut


@pytest.mark.parametrize(
    "piece", ["<", '<a href="x">y</a>', "&", "é", "\U0001f600", '"', "<b>x</b>", "<img src=cid:a>"]
)
def test_a_document_is_never_larger_than_its_bound(piece: str) -> None:
    html = (piece * (LONGEST // len(piece)))[:LONGEST]
    assert len(document(html, {"a": "/admin/messages/1/pictures/1/?signature=" + "0" * 80}).html.encode()) < 1_000_000


def test_what_would_have_told_the_sender_is_counted_in_words() -> None:
    assert "1 picture from elsewhere was not loaded" in document('<img src="http://a/b">', {}).html
    assert "2 pictures from elsewhere were not loaded" in document('<img src="http://a/b"><img src="//a/c">', {}).html
    assert "not loaded" not in document("<img src=cid:a>", {}).html


def test_a_content_id_may_be_percent_encoded() -> None:
    assert 'src="/1/"' in document("<img src='cid:a%40b'>", {"a@b": "/1/"}).html
    assert 'src="/1/"' in document("<img src='CID:a&amp;b'>", {"a&b": "/1/"}).html
