"""Mailboxes, words and server-sent events as people and browsers are shown them."""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import api.admin  # noqa: F401  # its filters
from api.admin.mailbox_view import MailboxView, RunView, totals
from api.admin.quantity import ago, exact, size, span, took
from api.admin.templates import environment
from api.admin.wrong import Wrong
from api.routes.sse import ID_PATTERN, Position
from api.routes.states import KnownMailbox, Live
from mailcore.events.control import MailboxLive, MailboxResult, SyncRun
from mailcore.store import MailboxState, Refused

NOW = datetime(2026, 11, 22, 21, 57, 30, tzinfo=UTC)


def view(
    stored: int,
    *,
    connection: str = "idling",
    in_flight: int = 0,
    error: str = "",
    paused_until: datetime | None = None,
    **row: Any,
) -> MailboxView:
    facts = asdict(MailboxState(1, "default", "INBOX", **{"message_count": 10, **row}))
    live = MailboxLive(
        account="default",
        mailbox="INBOX",
        connection=connection,
        since=NOW,
        in_flight=in_flight,
        in_flight_bytes=0,
        error=error,
        paused_until=paused_until,
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
    def told(shown: MailboxView) -> list[tuple[str, str, str]]:
        return [(one.trouble.kind.value, one.trouble.words, one.tone) for one in shown.troubles]

    assert told(view(10, last_error="no route", last_sync_status="failed")) == [("failed", "no route", "bad")]
    assert told(view(10, last_error="cut", last_sync_status="incomplete")) == [("incomplete", "cut", "warn")]
    assert told(view(10, last_error="no route", last_sync_status="ok")) == []
    assert told(view(10, connection="backing off", error="refused")) == [("failing", "refused", "bad")]
    assert told(view(10, connection="polling", error="no push")) == [("note", "no push", "")]
    assert (view(10, connection="backing off", error="refused").tone, view(10).tone) == ("bad", "good")


def test_a_pause_is_shown_as_one_until_its_time_has_come() -> None:
    soon = view(10, connection="backing off", error="NO [OVERQUOTA]", paused_until=NOW + timedelta(minutes=5))
    assert (soon.connection, soon.tone) == ("paused", "warn")
    assert [(one.trouble.kind, one.trouble.until) for one in soon.troubles] == [("paused", NOW + timedelta(minutes=5))]
    over = view(10, connection="idling", paused_until=NOW)
    assert (over.connection, over.tone, over.troubles) == ("live", "good", [])


def test_what_is_refused_is_told_apart_from_what_is_missing() -> None:
    refused: list[Refused] = [
        {"uid": uid, "reason": "no", "since": NOW.isoformat(), "tries": 1, "next_try": NOW.isoformat()}
        for uid in range(1, 31)
    ]
    shown = view(8, message_count=40, last_sync_status="incomplete", last_error="", refused=tuple(refused))
    assert (shown.refused, shown.difference) == (30, 2)
    (one,) = shown.troubles
    assert (len(one.messages), one.more, one.tone) == (5, 25, "warn")


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


def test_a_time_is_told_in_the_zone_of_the_page() -> None:
    template = environment.from_string("{{ moment | time_at }}{{ moment | time_ago }}")

    for zone, words in ((UTC, "2026-11-22 21:57:30 UTC"), (ZoneInfo("Asia/Kolkata"), "2026-11-23 03:27:30 IST")):
        drawn = template.render(moment=NOW, zone=zone)
        assert drawn.count('datetime="2026-11-22T21:57:30.000Z"') == 2
        assert drawn.count(words) == 3


SEQS = st.none() | st.integers(0, 10**18)


@given(SEQS, SEQS, SEQS)
def test_the_id_of_an_event_says_where_its_reader_is(
    mail: int | None, events: int | None, backfill: int | None
) -> None:
    position = Position(mail, events, backfill)
    assert re.match(ID_PATTERN, str(position))
    assert Position.parse(str(position)) == position


def test_an_id_of_before_the_backfill_had_a_stream_of_its_own_is_understood() -> None:
    assert re.match(ID_PATTERN, "12-_")
    assert Position.parse("12-_") == Position(12)


def test_the_page_shows_what_a_server_said_as_what_it_is() -> None:
    words = "\u202egnp.exe\u2066 \x1b[2J <b>NO</b>"
    refused: Refused = {
        "uid": 30,
        "reason": words,
        "since": NOW.isoformat(),
        "tries": 4,
        "next_try": (NOW + timedelta(minutes=8)).isoformat(),
    }
    views = [
        view(9, last_sync_status="incomplete", refused=(refused,)),
        view(10, connection="backing off", error=words, paused_until=NOW + timedelta(minutes=5)),
        view(10, connection="backing off", error=words),
        view(10, last_sync_status="failed", last_error=words),
        view(10, last_sync_status="incomplete", last_error=words),
        view(10, last_sync_status="running"),
    ]
    result = MailboxResult(account="default", mailbox="INBOX", status="ok", error=words)
    run = SyncRun(run_id="1", status="ok", started_at=NOW, results=(result,))
    page = environment.get_template("admin/mailboxes.html").render(
        views=views,
        totals=totals(views),
        run=RunView(run),
        dead=0,
        wrong=[Wrong("anna/INBOX is failing", words)],
        fault="",
        silent=False,
        not_configured="",
        problem="",
        csrf_token="",
        csrf_input="",
        user="admin",
        navigation=[],
    )
    assert not set(page) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\x1b")
    assert "<b>NO</b>" not in page
    assert page.count("\\u202egnp.exe\\u2066 \\x1b[2J &lt;b&gt;NO&lt;/b&gt;") == 7
    assert re.findall(r'data-trouble="(\w+)"', page) == ["refused", "paused", "failing", "failed", "incomplete"]
    for said in ("UID 30", "1 refused", "asked for 4 times", ">incomplete<", ">fetching<", ">failed<", ">paused<"):
        assert said in page, said


@given(st.text())
def test_the_value_of_a_field_comes_back_as_it_was(text: str) -> None:
    kept = "".join(one for one in text if one >= "\xa0" and unicodedata.category(one) not in {"Cn", "Cs"})
    assert html.unescape(exact(kept)) == kept
    assert exact(f'"{text}\u202e').encode().startswith(b"&#34;")
    assert "\u202e" not in exact(f"{text}\u202e")
