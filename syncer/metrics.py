"""What the syncer counts and how its mailboxes are. Labels are account and mailbox; nothing of a message is a label."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Protocol

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

from mailcore.events.control import AccountLive, MailboxLive
from mailcore.events.identity import MailboxKey
from mailcore.trouble import paused

_MAILBOX = ("account", "mailbox")
PUBLISHED = Counter("mozzart_published", "Messages put into JetStream", (*_MAILBOX, "found_by"))
FLAGS = Counter("mozzart_flag_changes", "Events of changed flags put into JetStream", _MAILBOX)
RECONNECTS = Counter("mozzart_reconnects", "Live connections that ended", _MAILBOX)
SWEEP_FOUND_MISSED = Counter(
    "mozzart_sweep_found_missed", "Mail found by a sweep that IDLE had not announced", _MAILBOX
)
SWEEP_SECONDS = Histogram("mozzart_sweep_seconds", "One comparison of server and ledger, without fetching")
STREAM_IN_ERROR = Gauge(
    "mozzart_stream_in_error", "1 while NATS stores nothing in a stream since a write failed", ("stream",)
)


class Watched(Protocol):
    """A mailbox. `swept_at` is the time (seconds since 1970) of the last comparison that came to its end; 0: none."""

    swept_at: float

    def live_state(self) -> MailboxLive: ...


def of(key: MailboxKey) -> tuple[str, str]:
    """The labels of a mailbox."""
    return key.account, key.mailbox


def watch(
    mailboxes: Callable[[], Iterable[Watched]],
    accounts: Callable[[], Iterable[AccountLive]],
    registry: CollectorRegistry = REGISTRY,
) -> Callable[[], None]:
    """From now on show how these are, asked anew each time: what is gone leaves no gauge behind. Call what it returns
    to end that."""
    collector = States(mailboxes, accounts)
    registry.register(collector)
    return lambda: registry.unregister(collector)


class States(Collector):
    def __init__(
        self, mailboxes: Callable[[], Iterable[Watched]], accounts: Callable[[], Iterable[AccountLive]]
    ) -> None:
        self._mailboxes = mailboxes
        self._accounts = accounts

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return _families().values()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        families, now = _families(), datetime.now(UTC)
        accounts: dict[str, bool] = {}
        for mailbox in self._mailboxes():
            state = mailbox.live_state()
            labels = (state.account, state.mailbox)
            accounts[state.account] = accounts.get(state.account, False) or paused(state, now)
            families["failing"].add_metric(labels, bool(state.error))
            families["refused"].add_metric(labels, state.refused_count)
            families["in_flight"].add_metric(labels, state.in_flight)
            families["in_flight_bytes"].add_metric(labels, state.in_flight_bytes)
            if mailbox.swept_at:
                families["swept"].add_metric(labels, mailbox.swept_at)
        for account, is_paused in accounts.items():
            families["paused"].add_metric((account,), is_paused)
        for one in self._accounts():
            families["account_failing"].add_metric((one.account,), one.state == "failing")
        yield from families.values()


def _families() -> dict[str, GaugeMetricFamily]:
    paused_accounts = GaugeMetricFamily(
        "mozzart_account_paused", "1: the server asked for a pause, and is asked for nothing", labels=_MAILBOX[:1]
    )
    failing_accounts = GaugeMetricFamily(
        "mozzart_account_failing", "1: it cannot be logged in to, or its server refuses it", labels=_MAILBOX[:1]
    )
    return {"paused": paused_accounts, "account_failing": failing_accounts} | {
        name: GaugeMetricFamily(metric, text, labels=_MAILBOX)
        for name, metric, text in (
            ("failing", "mozzart_mailbox_failing", "1: its connection failed or the account is refused"),
            ("refused", "mozzart_refused_messages", "Listed by the server and not given"),
            ("in_flight", "mozzart_in_flight_messages", "Published and not yet heard of as stored"),
            ("in_flight_bytes", "mozzart_in_flight_bytes", "Their RFC 5322 bytes"),
            ("swept", "mozzart_last_sweep_timestamp_seconds", "When a sweep last came to its end"),
        )
    }
