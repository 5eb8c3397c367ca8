"""Parts of words."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailcore.store.parts import LETTERS, LOOKED_AT, SHORTEST, of_message, tokens
from mailcore.store.words import Phrase, phrase

LETTER = st.characters(categories=("Lu", "Ll", "Nd"), max_codepoint=0x5FF)
UNSPACED = st.text("会議東京都กินข้าว회의がパア々ー", min_size=1, max_size=12)


def indexed(**fields: str) -> set[str]:
    facts = {"subject": "", "people": "", "files": "", "text": ""} | fields
    return set(
        of_message(facts["subject"], [facts["people"]], [facts["files"]], facts["text"]).partition("\n")[2].split()
    )


def has(parts: set[str], wanted: Phrase | None) -> bool:
    """As an index finds it."""
    assert wanted is not None
    found = tokens(wanted)
    return bool(found) and all(
        any(part.startswith(each.text) for part in parts) if each.prefix else each.text in parts for each in found
    )


@given(st.sampled_from(["subject", "people", "files"]), st.text(LETTER, min_size=4, max_size=30), st.data())
def test_every_part_of_a_word_of_a_short_field_is_found(field: str, word: str, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(word) - SHORTEST))
    part = word[first : data.draw(st.integers(first + SHORTEST, len(word)))]
    assert has(indexed(**{field: f"a {word}-b"}), phrase(part, inside=True))


@given(st.sampled_from(["subject", "people", "files", "text"]), UNSPACED, UNSPACED, UNSPACED)
@example("text", "a" * (LOOKED_AT - 50), "議", "")
def test_what_is_written_without_blanks_is_found_wherever_it_stands(
    field: str, before: str, wanted: str, after: str
) -> None:
    parts = indexed(**{field: before + wanted + after})
    assert has(parts, phrase(wanted))
    assert has(parts, phrase(f'"{wanted}"', inside=True))


@pytest.mark.parametrize(
    ("text", "typed", "is_there"),
    [
        ("東京と京都", "東京都", False),
        ("東京都庁", "東京都", True),
        ("กินข้าว", "กัน", False),
        ("GitHubの使い方", "hub", True),
        ("GitHubの使い方", "githubの", True),
        ("第3四半期", "3四", True),
        ("ﾊﾟｽﾜｰﾄﾞ", "パスワード", True),
        ("die Rechnungsnummer", "nummer", True),
        ("die Nummern", "umm", False),
        ("x " * 300 + "Rechnungsnummer", "nummer", False),
    ],
)
def test_of_a_text_long_words_at_its_beginning_have_parts_and_unspaced_ones_all(
    text: str, typed: str, is_there: bool
) -> None:
    assert has(indexed(text=text), phrase(typed, inside=True)) is is_there


@given(st.lists(st.one_of(UNSPACED, st.text("aÖ議ท_-㈱ 1\n", min_size=1, max_size=8)), max_size=9))
def test_a_word_has_the_same_parts_whatever_stands_beside_it(words: list[str]) -> None:
    together = indexed(text=" ".join(["議", *words]))
    assert together == {part for word in words for part in indexed(text=f"議 {word}")} | indexed(text="議")


def test_names_of_files_stand_in_a_line_of_their_own() -> None:
    assert of_message("", (), ("a\nb.pdf", "c.txt"), "").split("\n")[0] == "a b.pdf c.txt"
    assert of_message("", (), (), "") == of_message("a b", ("c@d.e",), (), "words of it") == ""


def test_a_phrase_of_words_and_one_of_two_letters_have_no_parts() -> None:
    assert tokens(Phrase(("side", "by"), inside=True)) == tokens(Phrase(("ab",), inside=True)) == ()
    assert tokens(Phrase(("word",))) == ()
    assert [each.text for each in tokens(Phrase(("Q3", "会議")))] == ["q3", "ˑ会議"]


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=300))
def test_whatever_a_sender_writes_parts_are_short_and_of_letters_alone(subject: str, name: str, text: str) -> None:
    names, _, parts = of_message(subject, (name,), (name,), text).partition("\n")
    assert "\n" not in names
    assert all(2 <= len(each) <= LETTERS + 1 for each in parts.split())
    # Of what is no letter yet SQLite knows no better.
    assert {unicodedata.category(each)[0] for each in parts if each != " "} <= {"L", "N", "C"}


@pytest.mark.parametrize("hostile", ["a", "会", "ก", "a会", "\u0301", "가 ", "\U00020000", "ﷺ", "a" * 50 + " "])
def test_it_is_bounded_in_size_and_time(hostile: str) -> None:
    long = hostile * 1_000_000
    began = time.process_time()
    made = of_message(long, (long,), (long,), long)
    assert time.process_time() - began < 1
    names, _, parts = made.partition("\n")
    assert len(names) <= 10_000
    assert parts.count(" ") < 8_000
