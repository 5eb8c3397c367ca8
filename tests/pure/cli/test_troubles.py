"""What keeps a mailbox from being whole: what counts as such, and how a terminal says it."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cli import sync
from cli.doctor import running as checks_running
from cli.status.overview import Overview
from cli.status.screen import screen
from cli.troubles import lines
from mailcore.events.control import MailboxLive, MailboxResult, RefusedMessage, SyncRun
from mailcore.events.identity import MailboxKey
from mailcore.settings import Settings
from mailcore.store import MailboxState, Refused
from mailcore.trouble import Kind, Trouble, troubles

NOW = datetime(2026, 11, 22, 21, 57, 30, tzinfo=UTC)


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def refused(uid: int, reason: str = "NO [SERVERBUG] cannot read") -> Refused:
    return {
        "uid": uid,
        "reason": reason,
        "since": ago(120).isoformat(),
        "tries": 4,
        "next_try": ago(-8).isoformat(),
    }


def row(**columns: Any) -> MailboxState:
    return MailboxState(1, "default", "INBOX", **columns)


def live(**facts: Any) -> MailboxLive:
    given = {"connection": "idling", "since": ago(3), "in_flight": 0, "in_flight_bytes": 0, **facts}
    return MailboxLive(account="default", mailbox="INBOX", **given)


def shown(state: MailboxState | None, now: MailboxLive | None = None, most: int = 3) -> str:
    out = io.StringIO()
    console = Console(file=out, width=500, highlight=False, emoji=False)
    for trouble in troubles(state, now, NOW):
        for line in lines("default/INBOX", trouble, NOW, most):
            console.print(line, soft_wrap=True)
    return out.getvalue()


def test_where_all_is_well_there_is_no_trouble() -> None:
    assert troubles(row(last_sync_status="ok", last_error="of before", last_error_at=ago(9)), live(), NOW) == ()
    assert troubles(row(last_sync_status="running"), live(), NOW) == ()
    assert troubles(None, None, NOW) == ()


def test_a_pause_is_told_with_its_end_its_beginning_and_the_servers_words() -> None:
    state = live(
        connection="backing off", error="NO [OVERQUOTA] bandwidth", failing_since=ago(5), paused_until=ago(-125)
    )
    assert shown(row(last_sync_status="failed", last_error="NO [OVERQUOTA] bandwidth"), state) == (
        "! default/INBOX  paused until 2026-11-23 00:02 UTC (in 2 h), since 21:52 UTC (5 min ago):"
        " NO [OVERQUOTA] bandwidth\n"
    )


def test_a_pause_that_is_over_is_none() -> None:
    assert troubles(None, live(paused_until=NOW), NOW) == ()
    (trouble,) = troubles(None, live(paused_until=NOW, failing_since=ago(5), error="no route"), NOW)
    assert (trouble.kind, trouble.since) == (Kind.FAILING, ago(5))


def test_an_account_that_fails_is_told_since_when() -> None:
    state = live(connection="backing off", error="no route to host", failing_since=ago(70))
    assert shown(None, state) == "✗ default/INBOX  failing since 20:47 UTC (1 h ago): no route to host\n"


def test_a_mailbox_without_push_is_no_failing_one() -> None:
    (trouble,) = troubles(None, live(connection="polling", error="no push, the sweep alone finds mail"), NOW)
    assert trouble.kind is Kind.NOTE


def test_a_sweep_that_failed_is_told_when_nothing_younger_is() -> None:
    state = row(last_sync_status="failed", last_error="no route", last_error_at=ago(2))
    assert shown(state) == "✗ default/INBOX  the last sweep failed, 2 min ago: no route\n"
    assert shown(state, live(connection="backing off", error="refused", failing_since=ago(1))).count("\n") == 1


def test_refused_messages_are_named_with_their_reasons_and_times() -> None:
    state = row(last_sync_status="incomplete", refused=tuple(map(refused, (30, 31, 32, 33, 34))))
    assert shown(state, live(refused_count=5)) == (
        "! default/INBOX  5 messages refused since 19:57 UTC (2 h ago)\n"
        + "".join(
            f"    UID {uid}: NO [SERVERBUG] cannot read, since 19:57 UTC (2 h ago), 4 tries,"
            " next try 22:05 UTC (in 8 min)\n"
            for uid in (30, 31, 32)
        )
        + "    … and 2 more; `mozzart verify` names them\n"
    )


def test_refused_messages_are_told_without_a_syncer_and_before_there_is_a_row() -> None:
    (trouble,) = troubles(row(refused=(refused(3),)), None, NOW)
    assert (trouble.kind, trouble.count) == (Kind.REFUSED, 1)
    known = RefusedMessage.model_validate(refused(4))
    (trouble,) = troubles(None, live(refused=(known,), refused_count=1_500), NOW)
    assert (trouble.count, trouble.messages) == (1_500, (known,))
    # A syncer that has just started knows less than the row.
    (trouble,) = troubles(row(refused=(refused(3),)), live(), NOW)
    assert trouble.count == 1


def test_a_look_that_was_not_whole_is_told_beside_what_is_refused() -> None:
    both = row(
        last_sync_status="incomplete",
        last_error="SEARCH lists 3, EXISTS says 8",
        last_error_at=ago(1),
        refused=(refused(3),),
    )
    assert [one.kind for one in troubles(both, live(), NOW)] == [Kind.INCOMPLETE, Kind.REFUSED]
    same = row(
        last_sync_status="incomplete",
        last_error="UID 3: NO [SERVERBUG] cannot read",
        last_error_at=ago(1),
        refused=(refused(3),),
    )
    assert [one.kind for one in troubles(same, live(), NOW)] == [Kind.REFUSED]


@given(st.text() | st.text("\u202e\u2066\x1b\x9b[]/\n\\a"), st.sampled_from(Kind))
def test_what_a_server_said_is_one_line_that_moves_no_cursor_and_turns_no_direction(words: str, kind: Kind) -> None:
    words = words.encode("utf-8", "replace").decode()
    message = RefusedMessage.model_validate(refused(1, words))
    trouble = Trouble(kind, words, ago(1), ago(-1), 1, (message,))
    out = io.StringIO()
    console = Console(file=out, width=500, highlight=False, emoji=False)
    said = list(lines(words, trouble, NOW))
    for line in said:
        console.print(line, soft_wrap=True)
    printed = out.getvalue().split("\n")
    assert len(printed) == len(said) + 1
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in "".join(printed))
    assert not set("".join(printed)) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")


def test_status_says_what_is_paused_failing_and_refused_and_since_when() -> None:
    inbox, archive = MailboxKey("default", "INBOX"), MailboxKey("default", "Archive")
    found = Overview(NOW)
    found.rows = {inbox: row(last_sync_status="incomplete", last_sync_at=ago(1), refused=(refused(30, "\u202etxt"),))}
    found.live = {
        inbox: live(refused_count=1),
        archive: live(connection="backing off", error="NO [LIMIT] later", paused_until=ago(-9), failing_since=ago(1)),
    }
    out = io.StringIO()
    Console(file=out, width=200, highlight=False, emoji=False).print(screen(Settings(_env_file=None), found, 200))
    text = out.getvalue()
    assert "! default/Archive  paused until 22:06 UTC (in 9 min), since 21:56 UTC (1 min ago): NO [LIMIT] later" in text
    assert "1 message refused" in text
    assert "UID 30: \\u202etxt, since" in text
    assert "incomplete 1 min ago" in text
    (mailbox,) = [one for one in found.facts()["mailboxes"] if one["mailbox"] == "INBOX"]
    assert (mailbox["refused"][0]["uid"], mailbox["live"]["refused_count"]) == (30, 1)


def test_doctor_names_the_first_mailboxes_and_counts_the_others() -> None:
    quiet = live(connection="polling", error="no push")
    known = RefusedMessage.model_validate(refused(30))
    boxes = [quiet, live(refused=(known,), refused_count=1), *[live(failing_since=ago(1), error="no route")] * 6]
    found = list(checks_running._troubles(boxes, NOW))
    assert {one.verdict for one in found} == {"note"}
    assert len(found) == 6
    assert found[0].text == (
        "default/INBOX: 1 message refused since 19:57 UTC (2 h ago) (UID 30: NO [SERVERBUG] cannot read)"
    )
    assert "mozzart verify" in found[0].remedy
    assert found[1].text == "default/INBOX: failing since 21:56 UTC (1 min ago): no route"
    assert found[-1].text == "and 2 more"


def test_a_sync_that_ended_in_order_and_did_not_get_everything_says_so() -> None:
    def result(mailbox: str, error: str = "") -> MailboxResult:
        return MailboxResult(account="default", mailbox=mailbox, status="ok", error=error, duration_ms=41)

    def printed(*results: MailboxResult) -> str:
        out = io.StringIO()
        run = SyncRun(run_id="1", status="ok", started_at=NOW, results=results)
        sync._show(run, Console(file=out, width=200, highlight=False, emoji=False))
        return out.getvalue()

    text = printed(result("INBOX", "UID 30: NO [SERVERBUG] \u202e\x1b[2J"), result("Archive"))
    assert "! default/INBOX  found 0, published 0, stored 0, expunged 0  41 ms  UID 30: NO [SERVERBUG] " in text
    assert "\\u202e\\x1b[2J" in text
    assert "✓ default/Archive  in step, nothing was missing" in text
    assert "in step:" not in text
    assert "not all could be fetched: found 0" in text
    assert "all mailboxes are in step" in printed(result("INBOX"), result("Archive"))


def test_older_mail_that_waits_for_the_next_day_is_told_with_when_it_goes_on_and_when_it_is_done() -> None:
    waiting = live(older_left=20_000, older_at=ago(-120), older_done_at=NOW + timedelta(days=3.2))
    text = shown(row(last_sync_status="running"), waiting)
    assert "the budget of the day is fetched; older mail goes on at 23:57 UTC (in 2 h)" in text
    assert "20,000 older messages to come, done in about 3 days" in text
    assert "[yellow]" not in text
    soon = live(older_left=1, older_at=ago(-120), older_done_at=NOW + timedelta(hours=3))
    assert "1 older message to come, done in about 1 day" in shown(None, soon)
    assert "to come\n" in shown(None, live(older_left=2, older_at=ago(-120)))
    assert troubles(None, live(older_left=0, older_at=ago(-120)), NOW) == ()
