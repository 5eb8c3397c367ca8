"""Mailboxes, words and server-sent events as people and browsers are shown them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.admin.mailbox_view import MailboxView
from api.admin.words import ago, size, span, time_at, took
from api.live_event import Position
from api.states import KnownMailbox, Live
from mailcore.events.control import MailboxLive
from mailcore.store import MailboxState

NOW = datetime(2026, 11, 22, 21, 57, 30, tzinfo=UTC)


def view(stored: int, *, connection: str = "idling", in_flight: int = 0, error: str = "", **row: Any) -> MailboxView:
    facts = asdict(MailboxState(1, "default", "INBOX", message_count=10, **row))
    live = MailboxLive(
        account="default",
        mailbox="INBOX",
        connection=connection,
        since=NOW,
        in_flight=in_flight,
        in_flight_bytes=0,
        error=error,
    )
    shown = Live(**live.model_dump(exclude={"account", "mailbox"}))
    return MailboxView(KnownMailbox(**facts, live=shown), None, stored, NOW)


def test_what_is_neither_stored_nor_on_its_way_is_missing() -> None:
    assert view(10).difference == 0
    assert view(7).difference == 3
    assert view(7, in_flight=3).difference == 0
    assert view(12).difference == 0


def test_mail_that_was_pushed_a_moment_ago_is_not_missing_yet() -> None:
    assert view(9, last_push_at=NOW - timedelta(seconds=1)).difference == 0
    assert view(9, last_push_at=NOW - timedelta(seconds=60)).difference == 1


def test_an_error_is_shown_until_something_went_well() -> None:
    assert view(10, last_error="no route", last_sync_status="failed").error == "no route"
    assert view(10, last_error="no route", last_sync_status="ok").error == ""
    assert view(10, connection="backing off", error="refused").error == "refused"
    assert (view(10, connection="backing off", error="refused").tone, view(10).tone) == ("bad", "good")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.0412, "41 ms"), (1, "1 s"), (59.9, "59 s"), (3600, "1 h"), (200_000, "2 d")]
)
def test_spans_are_said_in_one_unit(seconds: float, words: str) -> None:
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0412, "41 ms"),
        (0.9999, "1000 ms"),
        (1, "1.0 s"),
        (1.96, "2.0 s"),
        (9.96, "9 s"),
        (12.7, "12 s"),
        (61, "1 min"),
    ],
)
def test_what_took_some_seconds_is_told_with_a_tenth(seconds: float, words: str) -> None:
    assert took(seconds) == words


def test_sizes_and_times_are_words() -> None:
    assert [size(one) for one in (0, 999, 1000, 35_649, 10**13)] == ["0 B", "999 B", "1.0 kB", "35.6 kB", "10.0 TB"]
    assert ago(NOW, NOW) == "just now"
    assert 'datetime="2026-11-22T21:57:30.000Z"' in time_at(NOW)


@given(st.none() | st.integers(0, 10**18), st.none() | st.integers(0, 10**18))
def test_the_id_of_an_event_says_where_its_reader_is(mail: int | None, events: int | None) -> None:
    position = Position(mail, events)
    assert Position.parse(str(position)) == position
