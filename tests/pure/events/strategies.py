"""Events as hypothesis makes them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from hypothesis import strategies as st

from mailcore.events.identity import MAX_UID, Identity
from mailcore.events.message import FoundBy, Kind, MessageEvent

names = st.text(st.characters(exclude_categories=["Cs"]))
names_with_surrogates = st.text(st.characters())
numbers = st.integers(1, MAX_UID)
identities = st.builds(Identity, names, names, numbers, numbers)
times = st.datetimes(datetime(1000, 1, 2), datetime(9998, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001  # bounds
defects = st.lists(st.text("abz09-", min_size=1, max_size=9), max_size=3, unique=True).map(tuple)
flags = st.lists(st.text(min_size=1), max_size=5).map(tuple)
labels = flags
object_ids = st.none() | st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True)


@st.composite
def message_events(draw: st.DrawFn) -> MessageEvent:
    """Inline ones and claim checks."""
    body = draw(st.binary(max_size=200))
    object_name = draw(st.just("") | st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
    kind = draw(st.sampled_from(Kind))
    return MessageEvent(
        identity=draw(identities),
        kind=kind,
        found_by=draw(st.sampled_from(FoundBy)),
        size=draw(st.integers(0, 1 << 40)) if object_name else len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        received_at=draw(times),
        pushed_at=draw(times),
        published_at=draw(times),
        flags=draw(flags),
        defects=draw(defects),
        body=b"" if object_name else body,
        object_name=object_name,
        mailbox_id=draw(st.integers(0, 1 << 40)),
        origin=draw(identities) if kind is Kind.COPY else None,
        email_id=draw(object_ids),
        thread_id=draw(object_ids),
        labels=draw(st.none() | labels),
    )
