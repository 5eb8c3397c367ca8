"""What a page tells of dead letters: who wrote what, and which reasons several share."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from api.admin.letters import Content, content_of, groups, key_of
from mailcore.events.dead_letter import DeadLetter
from mailcore.events.identity import Identity

LETTER = DeadLetter(1, Identity("default", "INBOX", 7, 1), "", 5, "", {})


def letters(*errors: str) -> list[DeadLetter]:
    return [replace(LETTER, seq=seq, error=error) for seq, error in enumerate(errors, start=1)]


def test_reasons_that_differ_in_numbers_alone_are_one() -> None:
    found = groups(letters("disk full, 3 bytes left", "row refused", "disk full, 17 bytes left", ""))

    assert [(one.words, one.count) for one in found] == [("disk full, 3 bytes left", 2), ("row refused", 1), ("", 1)]


@given(st.lists(st.text(max_size=30), max_size=30))
def test_every_letter_is_in_the_group_of_its_key(errors: list[str]) -> None:
    every = letters(*errors)
    found = groups(every)

    assert sum(one.count for one in found) == len(every)
    for one in found:
        assert one.count == sum(key_of(letter) == one.key for letter in every)


def test_subject_and_sender_are_read_of_a_message_that_is_cut() -> None:
    raw = "From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>\r\nSubject: Größe\r\nX-Long: ".encode() + b"x" * 100_000

    assert content_of(raw[:2000]) == Content("Größe", "Jürgen")
    assert content_of(b"From: a@example.org\r\n\r\n") == Content("", "a@example.org")


@given(st.binary(max_size=300))
def test_whatever_died_something_can_be_told(raw: bytes) -> None:
    content = content_of(raw)
    assert len(content.subject) <= 500
    assert len(content.sender) <= 500
