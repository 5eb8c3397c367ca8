"""Where a text has what was searched for."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.store import MessageFilter
from mailcore.store.hits import MOST, Hits
from mailcore.store.query import Place
from mailcore.store.snippet import snippet


def found(query: str, text: str, place: Place = Place.ANYWHERE, **fields: str) -> list[str]:
    hits = Hits.of(MessageFilter(query=query, **fields))
    return [text[begin:end] for begin, end in hits.find(text, place)]


@pytest.mark.parametrize(
    ("query", "text", "marked"),
    [
        ("kaese", "Käse", []),
        ("kase", "KÄSE, Ka\u0308se", ["KÄSE", "Ka\u0308se"]),
        ("schiff", "Dampfschifffahrt", ["schiff"]),
        ('"schiff"', "Dampfschifffahrt, ein Schiff", ["Schiff"]),
        ("an", "an Anna", ["an"]),
        ("an*", "an Anna, Susan", ["an", "An"]),
        ('"side by side"', "side-by\n side, side to side", ["side-by\n side"]),
        ("-gone here", "gone here", ["here"]),
        ("一", "一二一", ["一", "一"]),
        ("会議室", "会議 第2会議室で", ["会議室"]),
        ("กิน", "จะกินข้าว กัน", ["กิน"]),
        ("パスワード", "ﾊﾟｽﾜｰﾄﾞ", ["ﾊﾟｽﾜｰﾄﾞ"]),
        ("githubの", "GitHubの使い方", ["GitHubの"]),
        ("has:attachment in:inbox", "inbox attachment", []),
        ("", "text", []),
        ("(a+)+$", "a(a+)+$a", ["a", "a", "a"]),
    ],
)
def test_hits_are_what_the_search_looks_for(query: str, text: str, marked: list[str]) -> None:
    assert found(query, text) == marked


def test_what_must_stand_in_one_place_is_marked_there_alone() -> None:
    assert found("from:anna", "Anna", Place.SENDER) == ["Anna"]
    assert found("from:anna", "Anna", Place.SUBJECT) == found("from:anna", "Anna") == []
    assert found("anna", "Anna", Place.SUBJECT) == ["Anna"]
    assert found("", "Anna", Place.RECIPIENTS, recipients="ann") == ["Ann"]


@given(st.text(max_size=80), st.text(max_size=200))
def test_hits_follow_each_other_within_the_text(query: str, text: str) -> None:
    spans = Hits.of(MessageFilter(query=query)).find(text)
    ends = [0, *(place for span in spans for place in span), len(text)]
    assert ends == sorted(ends)
    assert all(begin < end for begin, end in spans)


@given(st.text(max_size=10), st.text("abc会がé-", min_size=1, max_size=8), st.text(max_size=10))
def test_what_is_there_is_marked(before: str, word: str, after: str) -> None:
    if any(each.isalnum() for each in word):
        assert found(f'"{word}"', f"{before} {word} {after}")


@pytest.mark.parametrize("text", ["a" * 1_000_000, "ä " * 500_000, "- " * 500_000, "a-" * 500_000])
def test_it_is_bounded(text: str) -> None:
    began = time.process_time()
    hits = Hits.of(MessageFilter(query='a "a a a b" aaa "ä ä c" x*'))
    assert len(hits.find(text)) <= MOST
    assert time.process_time() - began < 1


def test_the_line_of_a_text_is_where_the_hit_is() -> None:
    text = "Guten Tag,\n" + "wort " * 100 + "\n> zitiert Käse\n" + "ende " * 100

    def line(query: str) -> str:
        return snippet(text, Hits.of(MessageFilter(query=query)))

    assert line("tag") == line("nowhere") == snippet(text)
    assert snippet(text).startswith("Guten Tag, wort")
    shown = line("ende")
    assert shown.startswith("…wort ")
    assert shown.endswith("…")
    assert "ende" in shown
    assert len(shown) <= 200
    assert "zitiert Käse" in line("kase")


@given(st.text("ab >\n会", max_size=3_000), st.sampled_from(["ab", "会", "a b"]))
def test_a_line_has_two_hundred_characters_at_most(text: str, query: str) -> None:
    shown = snippet(text, Hits.of(MessageFilter(query=query)))
    assert len(shown) <= 200
    assert "\n" not in shown
