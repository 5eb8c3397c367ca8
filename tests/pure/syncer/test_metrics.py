"""The gauges of mailboxes: asked anew each time, and gone with their mailbox."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry, generate_latest

from mailcore.events.control import AccountLive, MailboxLive
from syncer import metrics


@dataclass
class Box:
    name: str
    error: str = ""
    swept_at: float = 0.0
    in_flight: int = 0
    account: str = "default"
    paused_for: float = 0.0
    refused: int = 0

    def live_state(self) -> MailboxLive:
        return MailboxLive(
            account=self.account,
            mailbox=self.name,
            connection="idling",
            since=datetime.now(UTC),
            in_flight=self.in_flight,
            in_flight_bytes=self.in_flight * 10,
            error=self.error,
            paused_until=datetime.now(UTC) + timedelta(seconds=self.paused_for) if self.paused_for else None,
            refused_count=self.refused,
        )


def test_each_mailbox_has_its_gauges_and_one_that_is_gone_has_none() -> None:
    boxes = [Box("INBOX", swept_at=1.5e9, in_flight=2), Box("Archive", error="refused")]
    registry = CollectorRegistry()
    unwatch = metrics.watch(lambda: boxes, lambda: (), registry)

    def value(name: str, mailbox: str) -> float | None:
        return registry.get_sample_value(name, {"account": "default", "mailbox": mailbox})

    assert value("mozzart_mailbox_failing", "INBOX") == 0
    assert value("mozzart_mailbox_failing", "Archive") == 1
    assert (value("mozzart_in_flight_messages", "INBOX"), value("mozzart_in_flight_bytes", "INBOX")) == (2, 20)
    assert value("mozzart_last_sweep_timestamp_seconds", "INBOX") == 1.5e9
    assert value("mozzart_last_sweep_timestamp_seconds", "Archive") is None, "it has never been swept"

    del boxes[1]
    assert b"Archive" not in generate_latest(registry)
    unwatch()
    assert b"INBOX" not in generate_latest(registry)


def test_what_is_refused_is_counted_and_a_pause_is_the_accounts() -> None:
    boxes = [
        Box("INBOX", account="a", refused=2),
        Box("Archive", account="a", paused_for=60),
        Box("INBOX", account="b", paused_for=-1),
    ]
    registry = CollectorRegistry()
    metrics.watch(lambda: boxes, lambda: (), registry)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert value("mozzart_refused_messages", account="a", mailbox="INBOX") == 2
    assert value("mozzart_refused_messages", account="a", mailbox="Archive") == 0
    assert value("mozzart_account_paused", account="a") == 1
    assert value("mozzart_account_paused", account="b") == 0, "its time has come"
    del boxes[:2]
    assert value("mozzart_account_paused", account="a") is None


def test_an_account_that_cannot_be_logged_in_to_is_told_also_without_a_mailbox() -> None:
    now = datetime.now(UTC)
    states = [
        AccountLive(account="a", source="database", state="failing", reason="no key", since=now),
        AccountLive(account="b", source="file", state="ok", since=now),
    ]
    registry = CollectorRegistry()
    metrics.watch(lambda: (), lambda: states, registry)

    assert registry.get_sample_value("mozzart_account_failing", {"account": "a"}) == 1
    assert registry.get_sample_value("mozzart_account_failing", {"account": "b"}) == 0
    del states[0]
    assert registry.get_sample_value("mozzart_account_failing", {"account": "a"}) is None
