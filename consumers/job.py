"""A delivery on its way into the database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from consumers.draft import Draft
from mailcore.bus import Delivery
from mailcore.errors import EventError
from mailcore.events.message import Kind, MessageEvent
from mailcore.events.subject import parse_subject
from mailcore.events.thin import Rebind, decode_thin
from mailcore.store import Location, StoredMessage


@dataclass(slots=True, eq=False)
class Job:
    """`spooled` is the file that holds the bytes of a claim check; without it they are the delivery's own.

    `error` is what the parsing or the look into the database found wrong; `stored` is the row once there is one.
    """

    delivery: Delivery
    event: MessageEvent
    spooled: Path | None = None
    drafted: Draft | None = None
    location: Location | None = None
    error: Exception | None = None
    stored: StoredMessage | None = None

    def raw(self) -> bytes | Path:
        """The whole message, or the file that it is in. Raises EventError when the claim check has other bytes than the
        event says, and OSError."""
        if self.spooled is None:
            return self.delivery.data
        found = self.spooled.stat().st_size
        if found != self.event.size:
            raise EventError(f"{self.event.identity}: ce-size says {self.event.size} bytes, the object has {found}")
        return self.spooled

    def discard(self) -> None:
        """Remove the spooled file."""
        if self.spooled is not None:
            self.spooled.unlink(missing_ok=True)
            self.spooled = None


def decode(delivery: Delivery) -> MessageEvent | Rebind:
    """The event of a stream of messages that was delivered; raises EventError."""
    key, kind = parse_subject(delivery.subject)
    event: MessageEvent | Rebind
    if kind == Rebind.type:
        thin = decode_thin(kind, delivery.data)
        assert isinstance(thin, Rebind)
        event = thin
    elif kind in tuple(Kind):
        event = MessageEvent.decode(delivery.headers, delivery.data)
    else:
        raise EventError(f"no event of this kind is stored: {kind[:80]!r}")
    if event.identity.key != key:
        raise EventError(f"the subject {delivery.subject[:200]!r} and {event.identity} name different mailboxes")
    return event
