"""Events of the streams as server-sent events (WHATWG HTML §9.2): their ids and their bytes. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from mailcore.bus import MAIL, MAIL_BACKFILL, MAIL_EVENTS, MESSAGE_STREAMS, Delivery
from mailcore.errors import EventError
from mailcore.events.identity import Identity
from mailcore.events.message import ORIGIN
from mailcore.events.subject import parse_subject

# `rebind` is left out: it is between our own processes, and the `stored` that follows tells of it.
TYPES: Final = (
    *("new", "backfill", "copy", "stored", "flags", "expunged", "reset", "dead", "synced"),
    *("mailbox-created", "mailbox-renamed", "mailbox-deleted", "account"),
)
# Ids from before there was a MAIL_BACKFILL have two parts.
ID_PATTERN: Final = r"^([0-9]{1,19}|_)-([0-9]{1,19}|_)(-([0-9]{1,19}|_))?$"
_PARTS: Final = {MAIL: "mail", MAIL_EVENTS: "events", MAIL_BACKFILL: "backfill"}
_MESSAGE_HEADERS: Final = {
    "sha256": "ce-sha256",
    "found_by": "ce-foundby",
    "received_at": "ce-receivedat",
    "pushed_at": "ce-pushedat",
    "published_at": "ce-time",
    "origin": ORIGIN,
}


@dataclass(frozen=True, slots=True)
class Position:
    """Where a reader is: the sequence of the last event it has of MAIL, MAIL_EVENTS and MAIL_BACKFILL, None before the
    first."""

    mail: int | None = None
    events: int | None = None
    backfill: int | None = None

    def __str__(self) -> str:
        return "-".join("_" if seq is None else str(seq) for seq in (self.mail, self.events, self.backfill))

    @classmethod
    def parse(cls, text: str) -> Position:
        """The inverse of `str()`, of a text that fits ID_PATTERN."""
        return cls(*(None if part == "_" else int(part) for part in text.split("-")))

    def after(self, delivery: Delivery) -> Position:
        """Where a reader is that has `delivery` too."""
        return replace(self, **{_PARTS[delivery.stream]: delivery.seq})

    def start(self, beginning: datetime | int) -> dict[str, int | datetime]:
        """What `Bus.tail` begins with; `beginning` for a stream of which nothing was read."""
        places = {stream: getattr(self, part) for stream, part in _PARTS.items()}
        return {stream: beginning if seq is None else seq for stream, seq in places.items()}


def facts(delivery: Delivery) -> dict[str, Any] | None:
    """What an event says, with its type; None for one that is none of ours."""
    try:
        key, kind = parse_subject(delivery.subject)
        if kind not in TYPES:
            return None
        if delivery.stream in MESSAGE_STREAMS:
            return _message(kind, delivery.headers)
        said = json.loads(delivery.data)
        return {"type": kind, **said, "account": key.account, "mailbox": key.mailbox}
    except (EventError, ValueError, TypeError):
        return None


def encode(position: Position, said: Mapping[str, Any]) -> bytes:
    """One event on the wire. JSON has no line ends, so `data` is one line."""
    text = json.dumps(said, ensure_ascii=True, separators=(",", ":"))
    return f"event: {said['type']}\nid: {position}\ndata: {text}\n\n".encode()


def _message(kind: str, headers: Mapping[str, str]) -> dict[str, Any]:
    identity = Identity.parse(headers.get("ce-id", ""))
    return {
        "type": kind,
        "account": identity.account,
        "mailbox": identity.mailbox,
        "at": headers.get("ce-time", ""),
        "uidvalidity": identity.uidvalidity,
        "uid": identity.uid,
        "size": int(headers.get("ce-size", "0")),
        **{name: headers[header] for name, header in _MESSAGE_HEADERS.items() if header in headers},
    }
