from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.errors import EventError
from mailcore.events.dead_letter import DeadLetter, dead_headers, dead_subject
from mailcore.events.message import MessageEvent
from tests.pure.events.strategies import message_events, names
from tests.support.events import message

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


@given(message_events(), st.text(max_size=300), st.integers(0, 1000), st.just("") | names.filter(bool))
def test_a_dead_letter_tells_message_error_and_place(event: MessageEvent, error: str, tries: int, name: str) -> None:
    headers = dead_headers(event.headers(), error, tries, name)
    assert all(value.isascii() and (value.isprintable() or not value) for value in headers.values())
    letter = DeadLetter.decode(1, headers)
    assert (letter.identity, letter.deliveries, letter.object_name) == (event.identity, tries, name)
    assert letter.error == error.encode("utf-8", "replace").decode().strip(" ")
    assert headers["Nats-Msg-Id"] == f"{event.identity}/dead"


@given(message_events(), st.text())
def test_a_dead_message_is_still_that_message(event: MessageEvent, error: str) -> None:
    if not event.object_name:
        assert MessageEvent.decode(dead_headers(event.headers(), error, 1), event.body) == event


@given(message_events(), st.text(), st.integers(1, 2**64 - 1))
def test_a_redriven_event_is_the_event_that_died_under_another_id(event: MessageEvent, error: str, seq: int) -> None:
    letter = DeadLetter.decode(seq, dead_headers(event.headers(), error, 5, "body" if event.object_name else ""))
    assert (letter.kind, letter.size) == (event.kind, event.size)
    headers = letter.redrive_headers(NOW, event.object_name)
    assert MessageEvent.decode(headers, event.body) == replace(event, pushed_at=NOW), "how long it takes counts anew"
    assert headers["Nats-Msg-Id"] == f"{event.identity}/redrive/{seq}"
    assert headers == letter.redrive_headers(NOW, event.object_name)
    # The second letter is another one than the first, though the event is the same.
    assert dead_headers(headers, error, 5)["Nats-Msg-Id"] == f"{event.identity}/dead/{seq}"


def test_an_endless_error_is_cut() -> None:
    assert max(map(len, dead_headers(message(1).headers(), "ž" * 100_000, 1).values())) == 4_000


def test_a_letter_that_names_no_message_is_refused() -> None:
    with pytest.raises(EventError, match="not a message identity"):
        dead_headers({"ce-id": "what"}, "error", 1)
    with pytest.raises(EventError, match="not a dead letter"):
        DeadLetter.decode(1, {**message(1).headers(), "mozzart-deliveries": "many"})


def test_subjects_keep_names_apart() -> None:
    assert dead_subject(message(1, mailbox="a.b").identity.key) == "dead.default.a%2Eb"
