"""What is sent: a thin event as the receiver gets it. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from mailcore.errors import EventError
from mailcore.events.message import Kind, stamp
from mailcore.events.subject import parse_subject
from mailcore.events.thin import Stored, ThinEvent, decode_thin

BACKFILL = "backfill"
COPY = "copy"


@dataclass(frozen=True, slots=True)
class Notice:
    """`id` is the event's own, the same for each attempt; `word` is its name in WEBHOOK_EVENTS."""

    id: str
    word: str
    body: bytes


def decode(subject: str, headers: Mapping[str, str], payload: bytes) -> Notice:
    """The body has the members that Standard Webhooks recommends: type, timestamp, data. The same event gives the same
    bytes. Raises EventError."""
    _, kind = parse_subject(subject)
    event = decode_thin(kind, payload)
    if not headers.get("ce-id") or not headers.get("ce-type"):
        raise EventError(f"{subject[:200]}: an event without ce-id or ce-type")
    whole = {"type": headers["ce-type"], "timestamp": stamp(event.at), "data": json.loads(payload)}
    body = json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()
    return Notice(headers["ce-id"], _word(event), body)


def _word(event: ThinEvent) -> str:
    """Only mail that arrived is `stored`: neither what was there before nor what a new UIDVALIDITY renumbered."""
    if isinstance(event, Stored) and event.kind is not Kind.NEW:
        return COPY if event.kind is Kind.COPY else BACKFILL
    return event.type


def filters(words: Collection[str]) -> list[str]:
    """The subjects of MAIL_EVENTS that the events of these names have."""
    kinds = {"stored" if word in (BACKFILL, COPY) else word for word in words}
    return [f"mail.*.*.{kind}" for kind in sorted(kinds)]
