"""What the first page and Health say to be wrong: everything that is, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.admin.wrong import Look, wrong
from api.routes.states import KnownMailbox, Live, NewMailbox
from mailcore.events.control import RefusedMessage
from mailcore.store import VerifyReport

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
AGO = NOW - timedelta(minutes=5)
WELL = Look({}, dead=0, undelivered=0, free={"MEDIA_ROOT": 10**12})
REPORT = VerifyReport(1, AGO, "verifier", False, "equal", NOW)


def mailbox(name: str = "INBOX", **live: Any) -> NewMailbox:
    facts: dict[str, Any] = {"connection": "idling", "since": AGO, "in_flight": 0, "in_flight_bytes": 0, "error": ""}
    facts |= {"failing_since": None, "paused_until": None, "refused": [], "refused_count": 0, "dead_count": 0}
    facts |= {"older_left": 0, "older_at": None, "older_done_at": None}
    return NewMailbox(account="anna", mailbox=name, live=Live(**{**facts, **live}))


REFUSED = RefusedMessage(uid=7, reason="NO cannot read", since=AGO, tries=2, next_try=NOW + timedelta(minutes=2))
FAILING = mailbox(connection="backing off", error="NO down", failing_since=AGO)
SITUATIONS: dict[str, tuple[Look, str, str]] = {
    "NATS": (replace(WELL, faults={"nats": "away"}), "NATS does not work", "bad"),
    "consumer": (
        replace(WELL, faults={"consumer": "waits: the disk is full"}),
        "The consumer does not work",
        "bad",
    ),
    "failing": (replace(WELL, mailboxes=[FAILING]), "anna/INBOX is failing", "bad"),
    "paused": (
        replace(WELL, mailboxes=[mailbox(error="NO [LIMIT]", paused_until=NOW + timedelta(hours=1))]),
        "anna/INBOX is paused by its server",
        "warn",
    ),
    "refused": (
        replace(WELL, mailboxes=[mailbox(refused=[REFUSED], refused_count=1)]),
        "anna/INBOX: 1 message is refused",
        "warn",
    ),
    "disk": (replace(WELL, free={"MEDIA_ROOT": 5_000_000}), "5.0 MB are left where MEDIA_ROOT lies", "bad"),
    "dead": (replace(WELL, dead=2), "2 messages could not be stored", "bad"),
    "undelivered": (replace(WELL, undelivered=1), "The webhook's receiver did not take 1 event", "warn"),
    "differs": (
        replace(WELL, reports=[replace(REPORT, status="differs", totals={"missing": 2, "in_flight": 5})]),
        "The last verification found 2 differences",
        "warn",
    ),
    "incomplete": (
        replace(WELL, reports=[replace(REPORT, status="incomplete")]),
        "The last verification did not compare everything",
        "warn",
    ),
    "late": (
        replace(WELL, reports=[replace(REPORT, ended_at=NOW - timedelta(hours=4))], verify_interval=3600.0),
        "The next verification is late; the last one ended",
        "warn",
    ),
    "pruning": (replace(WELL, asks=("stopped: 8 of 8",)), "Pruning waits for you", "warn"),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_each_is_said_once(name: str) -> None:
    look, what, tone = SITUATIONS[name]
    assert [(one.what, one.tone) for one in wrong(look, NOW)] == [(what, tone)]


def test_all_together_the_worst_first() -> None:
    every = Look(
        faults={"nats": "away", "consumer": "waits"},
        mailboxes=[FAILING, mailbox("b", refused=[REFUSED], refused_count=1)],
        dead=2,
        free={"MEDIA_ROOT": 5},
        reports=[replace(REPORT, status="differs", totals={"gone": 1})],
        asks=("stopped",),
    )
    found = wrong(every, NOW)
    assert len(found) == 8
    tones = [one.tone for one in found]
    assert tones == sorted(tones)


def test_nothing_is_wrong_where_nothing_is() -> None:
    polling = mailbox("b", connection="polling", error="beyond the bound of connections")
    well = replace(WELL, mailboxes=[mailbox(), polling], reports=[REPORT], verify_interval=3600.0)
    assert wrong(well, NOW) == []
    unknown = Look({}, dead=None, undelivered=None)
    assert wrong(unknown, NOW) == []


def test_a_thousand_failing_mailboxes_are_no_thousand_lines() -> None:
    found = wrong(replace(WELL, mailboxes=[FAILING] * 1000), NOW)
    assert len(found) == 6
    assert found[-1].what == "995 more mailboxes are not whole"


def test_the_reason_and_the_times_are_with_it() -> None:
    (one,) = wrong(SITUATIONS["refused"][0], NOW)
    assert (one.words, one.since, one.until) == ("NO cannot read", AGO, NOW + timedelta(minutes=2))
    assert "/admin/" in one.advice


def test_a_verification_of_one_mailbox_says_nothing_of_the_others() -> None:
    partial = replace(REPORT, account="anna")
    assert [one.what for one in wrong(replace(WELL, reports=[partial, replace(REPORT, status="incomplete")]), NOW)]


def test_a_known_mailbox_whose_last_sweep_failed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    facts: dict[str, Any] = dict.fromkeys(KnownMailbox.model_fields)
    facts |= {"id": 1, "account": "anna", "mailbox": "INBOX", "message_count": 0, "stored_count": 0, "refused": []}
    facts |= {"sweep_found_missed": 0, "last_sync_status": "failed", "last_error": "NO", "objectid": ""}
    (one,) = wrong(replace(WELL, mailboxes=[KnownMailbox(**facts)]), NOW)
    assert (one.what, one.words) == ("anna/INBOX was not swept", "NO")


def test_older_mail_that_waits_for_its_budget_is_nothing_wrong() -> None:
    waits = mailbox(older_left=7, older_at=NOW + timedelta(hours=9), older_done_at=NOW + timedelta(days=2))
    assert wrong(replace(WELL, mailboxes=[waits]), NOW) == []
