from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.errors import EventError
from mailcore.events.identity import Identity
from mailcore.events.message import FoundBy, Kind
from mailcore.events.subject import parse_subject
from mailcore.events.thin import (
    TYPES,
    Dead,
    Expunged,
    Flags,
    Origin,
    Rebind,
    Reset,
    Stored,
    StoredFile,
    Synced,
    ThinEvent,
    decode_thin,
)
from tests.pure.events.strategies import identities, names, numbers, times
from tests.support.events import NOW

_counts = st.integers(0, 1 << 40)
_where: dict[str, Any] = {"account": names, "mailbox": names, "at": times}
_which: dict[str, Any] = {**_where, "uidvalidity": numbers, "uid": numbers}
_flags = st.lists(names, max_size=3).map(tuple)
_origins = st.builds(Origin, uidvalidity=numbers, uid=numbers)
_files = st.builds(
    StoredFile, part_id=names, filename=names, content_type=names, size=_counts, sha256=names, file=names,
    inline=st.booleans(),
)  # fmt: skip

thin_events: st.SearchStrategy[ThinEvent] = st.one_of(
    st.builds(
        Stored,
        **_which,
        row_id=_counts,
        sha256=names,
        size=_counts,
        attachments=_counts,
        defects=st.lists(names, max_size=3).map(tuple),
        kind=st.none() | st.sampled_from(Kind),
        found_by=st.none() | st.sampled_from(FoundBy),
        pushed_at=st.none() | times,
        published_at=st.none() | times,
        rebound_from=st.none() | _origins,
        subject=st.text(),
        to_emails=st.lists(names, max_size=3).map(tuple),
        sent_at=st.none() | times,
        has_html=st.booleans(),
        email_id=st.none() | st.just("M1"),
        labels=st.none() | st.lists(names, max_size=3).map(tuple),
        files=st.lists(_files, max_size=3).map(tuple),
    ),
    st.builds(Expunged, **_which),
    st.builds(
        Flags,
        **_which,
        flags=_flags,
        added=_flags,
        removed=_flags,
        modseq=st.none() | st.integers(1, (1 << 63) - 1),
    ),
    st.builds(Dead, **_which, error=st.text(), deliveries=_counts),
    st.builds(Rebind, **_which, origin=_origins, sha256=names),
    st.builds(Reset, **_where, old_uidvalidity=numbers, uidvalidity=numbers),
    st.builds(
        Synced,
        **_where,
        run_id=names,
        status=st.sampled_from(["ok", "failed"]),
        found_by=st.sampled_from(FoundBy),
        found=_counts,
        error=st.text(),
    ),
)


@given(thin_events)
def test_a_thin_event_comes_back(event: ThinEvent) -> None:
    key, kind = parse_subject(event.nats_subject)
    assert key == event.key
    assert decode_thin(kind, event.payload()) == event


@given(identities)
def test_the_event_of_a_message_has_the_identity_and_the_type_as_id(identity: Identity) -> None:
    event = Expunged(
        account=identity.account, mailbox=identity.mailbox, uidvalidity=identity.uidvalidity, uid=identity.uid, at=NOW
    )
    assert event.identity == identity
    assert event.headers()["Nats-Msg-Id"] == f"{identity}/expunged"


@given(st.sampled_from([*TYPES, "other"]), st.binary())
def test_what_is_no_event_is_refused_and_nothing_else_raised(kind: str, payload: bytes) -> None:
    with pytest.raises(EventError):
        decode_thin(kind, payload)


def test_fields_of_a_later_version_are_ignored() -> None:
    payload = Expunged(account="a", mailbox="b", uidvalidity=1, uid=2, at=NOW).payload()
    assert decode_thin("expunged", payload.replace(b"{", b'{"colour": "red", ', 1)).payload() == payload


def test_a_refusal_does_not_repeat_the_payload() -> None:
    with pytest.raises(EventError, match="not a stored event") as caught:
        decode_thin("stored", b'{"account": "a", "sha256": ["sesame-secret"]}')
    assert not re.search("sesame", str(caught.value))


def test_an_error_with_lone_surrogates_and_no_end_fits_into_an_event() -> None:
    event = Dead(account="a", mailbox="b", uidvalidity=1, uid=2, at=NOW, error="\udcff" + "x" * 100_000)
    assert event.error.startswith("?xxx")
    assert len(event.payload()) < 3_000


@pytest.mark.parametrize(("uidvalidity", "uid"), [(0, 1), (1, 0), (1, 1 << 32)])
def test_numbers_no_server_gives_are_refused(uidvalidity: int, uid: int) -> None:
    with pytest.raises(EventError):
        decode_thin(
            "expunged",
            b'{"account":"a","mailbox":"b","at":"2024-01-01T00:00:00Z","uidvalidity":%d,"uid":%d}' % (uidvalidity, uid),
        )
