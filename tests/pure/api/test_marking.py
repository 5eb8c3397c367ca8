"""Hits of a search, marked."""

from __future__ import annotations

import re
import time
from html import unescape

from hypothesis import given
from hypothesis import strategies as st

from api.admin.marking import marked, marked_html
from mailcore.html.document import document
from mailcore.store import MessageFilter
from mailcore.store.hits import MOST, Hits


def hits(query: str) -> Hits:
    return Hits.of(MessageFilter(query=query))


def test_what_a_sender_wrote_stays_text() -> None:
    assert marked("<b>Käse & Brot</b>", hits("kase brot")) == (
        "&lt;b&gt;<mark>Käse</mark> &amp; <mark>Brot</mark>&lt;/b&gt;"
    )
    assert marked("a\u202eb", hits("zzz")) == r"a\u202eb"
    assert marked("Anna", hits("from:anna"), "sender") == "<mark>Anna</mark>"
    assert marked("Anna", hits("from:anna"), "subject") == "Anna"


def test_of_a_document_its_text_is_marked_and_nothing_else() -> None:
    mail = '<style>.p{color:red}</style><p title="p > q" class=p>P &amp; p&lt;q<a href="https://p.example/p">p</a>'
    made = marked_html(document(mail, {}).html, hits("p"))
    assert "<mark>P</mark> &amp; <mark>p</mark>&lt;q<a " in made
    assert made.count("<mark>") == 3
    assert ".p{color:red}" in made
    assert 'href="https://p.example/p"' in made


@given(st.text(alphabet='<>"&;p =abmrk/-!', max_size=200))
def test_without_marks_a_document_is_what_it_was(mail: str) -> None:
    before = document(mail, {}).html
    after = marked_html(before, hits("p ab amp"))
    bare = re.sub("</?mark>", "", after)
    assert [unescape(each) for each in re.split("(<[^>]*>)", bare)] == [
        unescape(each) for each in re.split("(<[^>]*>)", before)
    ]
    assert marked_html(before, hits("")) == before


def test_it_is_bounded_whatever_a_document_is() -> None:
    for html in ("<p>a</p>" * 100_000, "<" * 800_000, '<a b="' + "<" * 800_000, "a" * 900_000, "<style>" * 100_000):
        began = time.process_time()
        assert marked_html(html, hits("a")).count("<mark>") <= MOST
        assert time.process_time() - began < 3


def test_of_a_long_text_the_beginning_is_marked_and_the_rest_stays_as_it_is() -> None:
    for shift in range(6):
        before = "p " + "x" * shift + "&lt;" * 100_000 + " p"
        assert marked_html(before, hits("p")) == "<mark>p</mark>" + before[1:]
