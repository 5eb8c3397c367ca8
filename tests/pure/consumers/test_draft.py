"""Any bytes become one row and files with paths of their own."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.draft import draft, message_row, stored_event
from mailcore.bus.jetstream.publish import HEADER_ROOM
from mailcore.events.identity import MAX_UID, Identity
from mailcore.events.message import FoundBy, Kind, MessageEvent
from mailcore.events.thin import Origin, Rebind, Stored, StoredFile
from mailcore.mime.path import attachment_path
from mailcore.store import AttachmentRow, Slot, StoredMessage

identities = st.builds(
    Identity, st.text(max_size=5), st.text(max_size=9), st.integers(1, MAX_UID), st.integers(1, MAX_UID)
)
moments = st.datetimes(datetime(1970, 1, 2), datetime(9999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # bounds are naive
lines = st.lists(
    st.one_of(
        st.binary(max_size=30),
        st.sampled_from(
            [
                b"Content-Type: multipart/mixed; boundary=b",
                b"Content-Type: message/rfc822",
                b'Content-Disposition: attachment; filename="../../a\0b.pdf"',
                b"Content-Transfer-Encoding: base64",
                b"Content-Type: application/ms-tnef; name=winmail.dat",
                b"Subject: =?utf-8?q?=00=ed=a0=80?=",
                b"begin 644 x.txt",
                b"#0V%T",
                b"end",
                b"--b",
                b"--b--",
                b"",
            ]
        ),
    ),
    max_size=30,
)
bodies = lines.map(b"\r\n".join)


def event_of(identity: Identity, received_at: datetime, raw: bytes) -> MessageEvent:
    return MessageEvent(
        identity=identity,
        kind=Kind.NEW,
        found_by=FoundBy.SWEEP,
        size=len(raw),
        sha256=sha256(raw).hexdigest(),
        received_at=received_at,
        pushed_at=received_at,
        published_at=received_at,
        body=raw,
    )


@given(identities, moments, bodies)
def test_any_bytes_become_rows_that_every_database_takes(identity: Identity, moment: datetime, raw: bytes) -> None:
    drafted = draft(identity, moment, raw)
    row = message_row(event_of(identity, moment, raw), drafted, Slot(1, identity.uidvalidity, identity.uid), moment)
    text = json.dumps(asdict(row), default=str, ensure_ascii=False)
    assert "\\u0000" not in text
    text.encode()  # no lone surrogate
    assert len({part.part_id for part in row.attachments}) == len(row.attachments)


@given(identities, moments, bodies)
def test_files_lie_below_the_day_and_none_shares_a_path(identity: Identity, moment: datetime, raw: bytes) -> None:
    drafted = draft(identity, moment, raw)
    day = PurePosixPath(f"mail_attachments/{moment:%Y}".replace(f"{moment:%Y}", f"{moment.year:04d}"))
    assert len({path for path, _ in drafted.files}) == len(drafted.files)
    for (path, content), part in zip(drafted.files, drafted.attachments, strict=True):
        assert path.is_relative_to(day / f"{moment:%m}" / f"{moment:%d}")
        assert ".." not in path.parts
        assert part.file == str(path)
        assert (part.size, part.sha256) == (len(content), sha256(content).hexdigest())


@given(identities, moments, bodies)
def test_the_same_event_gives_the_same_draft_for_ever(identity: Identity, moment: datetime, raw: bytes) -> None:
    assert draft(identity, moment, raw) == draft(identity, moment, raw)


def test_what_fetching_showed_stands_before_what_parsing_shows() -> None:
    identity, moment = Identity("a", "b", 1, 2), datetime(2024, 1, 1, tzinfo=UTC)
    raw = b"Date: never\r\n\r\n"
    event = replace(event_of(identity, moment, raw), defects=("size-differs", "bad-date"))
    row = message_row(event, draft(identity, moment, raw), Slot(1, 1, 2), moment)
    assert row.defects == ("size-differs", "bad-date")


@given(identities, moments, st.one_of(st.none(), st.integers(1, MAX_UID)))
def test_a_redelivery_tells_the_same_under_the_same_id(
    identity: Identity, moment: datetime, old_uid: int | None
) -> None:
    event: MessageEvent | Rebind = event_of(identity, moment, b"")
    row = stored(identity, moment, b"Subject: x\r\n\r\ny")
    if old_uid is not None:
        event = Rebind(
            account=identity.account,
            mailbox=identity.mailbox,
            at=moment,
            uidvalidity=identity.uidvalidity,
            uid=identity.uid,
            origin=Origin(uidvalidity=1, uid=old_uid),
            sha256="a" * 64,
        )
    told = stored_event(event, row)
    assert told == stored_event(event, row)
    assert told.id == f"{identity}/stored"
    assert (told.rebound_from is None) == (old_uid is None) == (told.kind is not None)


def stored(identity: Identity, moment: datetime, raw: bytes) -> StoredMessage:
    return message_row(event_of(identity, moment, raw), draft(identity, moment, raw), Slot(1, 7, 1), moment).stored(
        5, moment
    )


def test_what_is_told_of_a_message_is_what_its_row_and_its_files_are() -> None:
    identity, moment = Identity("a", "INBOX", 7, 2), datetime(2024, 1, 1, tzinfo=UTC)
    raw = (
        b"From: Anna <anna@example.org>\r\nTo: b@example.org, c@example.org\r\nCc: d@example.org\r\nSubject: Bill\r\n"
        b"Date: Tue, 3 Feb 2026 10:00:00 +0100\r\nMessage-ID: <1@example.org>\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n--x\r\nContent-Type: text/html\r\n\r\n<p>hello\r\n--x\r\n'
        b'Content-Type: application/pdf; name="bill.pdf"\r\nContent-Disposition: attachment\r\n\r\npdf\r\n--x--\r\n'
    )
    event = replace(event_of(identity, moment, raw), kind=Kind.COPY, origin=Identity("a", "Archive", 7, 1))
    drafted = draft(identity, moment, raw)
    row = message_row(event, drafted, Slot(1, 7, 2), moment).stored(5, moment)
    told = stored_event(event, row)
    (part,) = drafted.attachments
    assert (told.subject, told.from_name, told.from_email) == ("Bill", "Anna", "anna@example.org")
    assert (told.to_emails, told.cc_emails) == (("b@example.org", "c@example.org"), ("d@example.org",))
    assert (told.sent_at, told.message_id) == (datetime(2026, 2, 3, 9, tzinfo=UTC), row.message_id)
    assert (told.has_text, told.has_html, told.origin) == (False, True, "a/Archive/7/1")
    assert not told.files_truncated
    (file,) = told.files
    assert {name: getattr(part, name) for name in StoredFile.model_fields} == file.model_dump()
    assert (file.filename, file.content_type, file.size) == ("bill.pdf", "application/pdf", 3)


@pytest.mark.parametrize("character", ["\x01", "\U0001f4b6", "a"])
def test_whatever_the_mail_the_event_fits_into_a_nats_message(character: str) -> None:
    """1 MiB is the max_payload of a nats-server that nobody has configured."""
    long = character * 1_000_000
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    identity = Identity("a", "INBOX", 7, 2)
    path = str(attachment_path(identity, moment, long, long))
    part = AttachmentRow(long, long, long, 1, "a" * 64, long, False, path)
    row = replace(
        stored(identity, moment, b""),
        subject=long,
        from_name=long,
        from_email=long,
        to_emails=(long,) * 1_000,
        cc_emails=(long,) * 1_000,
        message_id=long,
        attachments=(part,) * 1_000,
    )
    told = stored_event(event_of(identity, moment, b""), row)
    assert (told.attachments, len(told.files), told.files_truncated) == (1_000, 100, True)
    assert len(told.payload()) < (1 << 20) - HEADER_ROOM
    assert Stored.model_validate_json(told.payload()) == told
