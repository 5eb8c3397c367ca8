"""Which events `account` follow from how the accounts are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from mailcore.events.control import AccountLive
from mailcore.log import hide
from syncer.standing import changes

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def live(name: str, state: Any, reason: str = "") -> AccountLive:
    return AccountLive(account=name, source="database", state=state, reason=reason, since=NOW)


def told(before: dict[str, str], *now: AccountLive) -> list[tuple[str, str, str]]:
    return [(one.account, one.state, one.reason) for one in changes(before, now, NOW)]


def test_a_change_is_told_once() -> None:
    assert told({}, live("a", "ok"), live("b", "failing", "no")) == [("a", "ok", ""), ("b", "failing", "no")]
    assert told({"a": "ok", "b": "failing"}, live("a", "ok"), live("b", "failing", "no longer")) == []
    assert told({"a": "ok"}, live("a", "paused", "by a person")) == [("a", "paused", "by a person")]


def test_what_is_no_more_was_removed_and_what_begins_is_nothing_yet() -> None:
    assert told({"a": "ok", "b": "ok"}, live("b", "starting")) == [("a", "removed", "")]


def test_no_secret_is_told() -> None:
    hide("hidden-8864")
    assert told({}, live("a", "failing", "no such hidden-8864")) == [("a", "failing", "no such [secret]")]


def test_the_subject_speaks_of_the_account_as_a_whole() -> None:
    (event,) = changes({}, [live("a.b", "ok")], NOW)
    assert event.nats_subject == "mail.a%2Eb._.account"
    assert event.headers()["ce-id"] == event.headers()["Nats-Msg-Id"] == event.id
