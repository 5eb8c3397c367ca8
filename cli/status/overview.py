"""One look at the whole system: what `mozzart status` found out. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from mailcore.bus import StreamPosition
from mailcore.events.control import AccountLive, MailboxLive
from mailcore.events.identity import MailboxKey
from mailcore.events.message import stamp
from mailcore.store import MailboxState
from mailcore.trouble import Trouble, troubles


@dataclass
class Overview:
    """One look. `faults` are the parts that did not answer, with what they said; `asks` is what waits for a
    person's order; `undelivered` are events that the
    webhook's receiver did not take; `rate` is messages stored a second since the look before, None at the first one."""

    at: datetime
    nats: str = ""
    streams: dict[str, StreamPosition] = field(default_factory=dict)
    processes: dict[str, int] = field(default_factory=dict)
    live: dict[MailboxKey, MailboxLive] = field(default_factory=dict)
    rows: dict[MailboxKey, MailboxState] = field(default_factory=dict)
    accounts: tuple[AccountLive, ...] = ()
    messages: int = 0
    undelivered: int = 0
    rate: float | None = None
    faults: dict[str, str] = field(default_factory=dict)
    asks: tuple[str, ...] = ()

    @property
    def keys(self) -> list[MailboxKey]:
        return sorted(self.rows.keys() | self.live.keys())

    def troubles(self, key: MailboxKey) -> tuple[Trouble, ...]:
        """What keeps that mailbox from being whole."""
        return troubles(self.rows.get(key), self.live.get(key), self.at)

    def facts(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "at": stamp(self.at),
            "nats": {
                "server": self.nats,
                "streams": {
                    name: {"messages": one.messages, "bytes": one.size, "last_seq": one.last_seq}
                    for name, one in self.streams.items()
                },
            },
            "webhook": {"undelivered": self.undelivered},
            "database": {"messages": self.messages},
            "processes": self.processes,
            "accounts": [one.model_dump(mode="json") for one in self.accounts],
            "mailboxes": [self._mailbox(key) for key in self.keys],
            "faults": self.faults,
            "asks": self.asks,
        }

    def _mailbox(self, key: MailboxKey) -> dict[str, Any]:
        row, live = self.rows.get(key), self.live.get(key)
        facts = {} if row is None else {name: _plain(value) for name, value in asdict(row).items() if name != "id"}
        return {
            **facts,
            "account": key.account,
            "mailbox": key.mailbox,
            "live": None if live is None else live.model_dump(mode="json", exclude={"account", "mailbox"}),
        }


def _plain(value: Any) -> Any:
    return stamp(value) if isinstance(value, datetime) else value
