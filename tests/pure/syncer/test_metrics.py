"""The gauges of mailboxes: asked anew each time, and gone with their mailbox."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, generate_latest

from mailcore.events.control import MailboxLive
from syncer import metrics


@dataclass
class Box:
    name: str
    error: str = ""
    swept_at: float = 0.0
    in_flight: int = 0

    def live_state(self) -> MailboxLive:
        return MailboxLive(
            account="default",
            mailbox=self.name,
            connection="idling",
            since=datetime.now(UTC),
            in_flight=self.in_flight,
            in_flight_bytes=self.in_flight * 10,
            error=self.error,
        )


def test_each_mailbox_has_its_gauges_and_one_that_is_gone_has_none() -> None:
    boxes = [Box("INBOX", swept_at=1.5e9, in_flight=2), Box("Archive", error="refused")]
    registry = CollectorRegistry()
    unwatch = metrics.watch(lambda: boxes, registry)

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
