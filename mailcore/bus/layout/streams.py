"""The streams and buckets that the processes share, as JetStream's own JSON. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from mailcore.events.dead_letter import DEAD_BUCKET
from mailcore.events.message import BODY_BUCKET

MAIL: Final = "MAIL"
MAIL_BACKFILL: Final = "MAIL_BACKFILL"
MAIL_EVENTS: Final = "MAIL_EVENTS"
MAIL_DEAD: Final = "MAIL_DEAD"

# Those whose events carry messages.
MESSAGE_STREAMS: Final = (MAIL, MAIL_BACKFILL)

SUBJECTS: Final[dict[str, tuple[str, ...]]] = {
    MAIL: ("mail.*.*.new", "mail.*.*.rebind"),
    MAIL_BACKFILL: ("mail.*.*.backfill", "mail.*.*.copy"),
    MAIL_EVENTS: tuple(
        f"mail.*.*.{kind}"
        for kind in (
            "stored",
            "flags",
            "expunged",
            "reset",
            "dead",
            "synced",
            "mailbox-created",
            "mailbox-renamed",
            "mailbox-deleted",
            "account",
        )
    ),
    MAIL_DEAD: ("dead.>",),
}

# Dead letters wait for a person, not for a clock.
_DEAD_AGE: Final = timedelta(days=365)
# A body must outlive the event that names it, also when the event came later than the body.
_BODY_GRACE: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Limits:
    """`max_age` and `max_bytes` of MAIL; those of MAIL_EVENTS are as old and an eighth as large unless told otherwise,
    and the other streams' limits follow from MAIL's: MAIL_BACKFILL is as old and half as large."""

    max_age: timedelta = timedelta(days=3)
    max_bytes: int = 4 << 30
    events_max_age: timedelta | None = None
    events_max_bytes: int | None = None

    def halved(self) -> Limits:
        """For a server that has less space."""
        events = None if self.events_max_bytes is None else self.events_max_bytes // 2
        return replace(self, max_bytes=self.max_bytes // 2, events_max_bytes=events)


def ns(span: timedelta) -> int:
    """JetStream's durations are nanoseconds."""
    return round(span.total_seconds() * 1_000_000) * 1_000


def streams(limits: Limits) -> dict[str, dict[str, Any]]:
    """Every stream's configuration by its name.

    `discard: old` may drop an event that no consumer has seen when a stream is full; the sweep finds such a message
    missing and publishes it again.

    What was there before is on the server, too, so nobody waits until the disk has it: its PubAcks come before any
    sync (`persist_mode`), whatever the server does for the other streams. What a power cut takes is found missing.
    """
    common = {"retention": "limits", "storage": "file", "discard": "old"}
    plain = {name: {**common, "name": name, "subjects": list(subjects)} for name, subjects in SUBJECTS.items()}
    return {
        # Narrowed before the next one is made: subjects of two streams must not overlap.
        MAIL: {**plain[MAIL], "max_age": ns(limits.max_age), "max_bytes": limits.max_bytes},
        MAIL_BACKFILL: {
            **plain[MAIL_BACKFILL],
            "max_age": ns(limits.max_age),
            "max_bytes": limits.max_bytes // 2,
            "persist_mode": "async",
        },
        MAIL_EVENTS: {
            **plain[MAIL_EVENTS],
            "max_age": ns(limits.events_max_age or limits.max_age),
            "max_bytes": max(limits.events_max_bytes or limits.max_bytes // 8, 1 << 20),
            "allow_atomic": True,
        },
        MAIL_DEAD: {**plain[MAIL_DEAD], "max_age": ns(_DEAD_AGE), "max_bytes": max(limits.max_bytes // 4, 1 << 20)},
        bucket_stream(BODY_BUCKET): _bucket(BODY_BUCKET, limits.max_age + _BODY_GRACE, limits.max_bytes),
        bucket_stream(DEAD_BUCKET): _bucket(DEAD_BUCKET, _DEAD_AGE, max(limits.max_bytes // 4, 1 << 20)),
    }


def room(limits: Limits) -> int:
    """Bytes that all of them together may take."""
    return sum(int(config["max_bytes"]) for config in streams(limits).values())


def bucket_stream(bucket: str) -> str:
    """The stream of an object store bucket (NATS ADR-20)."""
    return f"OBJ_{bucket}"


def _bucket(name: str, age: timedelta, size: int) -> dict[str, Any]:
    return {
        "name": bucket_stream(name),
        "subjects": [f"$O.{name}.C.>", f"$O.{name}.M.>"],
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "max_age": ns(age),
        "max_bytes": size,
        "allow_rollup_hdrs": True,
        "allow_direct": True,
    }
