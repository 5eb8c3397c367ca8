"""Attachment paths: pure, unique for each identity and part, always below MEDIA_ROOT."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.events.identity import MAX_UID, Identity
from mailcore.mime.path import attachment_path

NAMES = st.text(st.characters(codec=None), max_size=60)
NUMBERS = st.integers(1, MAX_UID)
IDENTITIES = st.builds(Identity, NAMES, NAMES, NUMBERS, NUMBERS)
PART_IDS = st.from_regex(r"[1-9](\.[1-9]){0,3}(\.(tnef|uu)\.[1-9])?", fullmatch=True)
TIMES = st.datetimes(timezones=st.timezones() | st.just(timezone(timedelta(hours=14))))
IDENTITY = Identity("default", "INBOX", 1, 7)


def test_the_date_is_the_received_date_in_utc() -> None:
    late = datetime(2026, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=2)))
    path = attachment_path(IDENTITY, late, "2", "a.pdf")
    assert path.parent == PurePosixPath("mail_attachments/2025/12/31")
    assert path.name.endswith("-a.pdf")


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        attachment_path(IDENTITY, datetime(2026, 1, 1), "2", "a.pdf")  # noqa: DTZ001 - the point of the test


@given(IDENTITIES, TIMES, PART_IDS, NAMES)
def test_a_path_never_leaves_the_media_root(identity: Identity, at: datetime, part_id: str, name: str) -> None:
    path = attachment_path(identity, at, part_id, name)
    assert path == attachment_path(identity, at, part_id, name)
    assert len(path.parts) == 5
    assert path.parts[0] == "mail_attachments"
    assert not path.is_absolute()
    assert ".." not in path.parts
    root = Path("/media/root")
    assert Path(*(root / path).parts).resolve().is_relative_to(root)
    assert len(path.name.encode()) <= 143
    str(path).encode()  # storable


@pytest.mark.invariant("I1")
@given(st.lists(st.tuples(IDENTITIES, PART_IDS), unique=True, min_size=2, max_size=20), NAMES)
def test_two_parts_never_share_a_path(parts: list[tuple[Identity, str]], name: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    paths = {str(attachment_path(identity, now, part_id, name)).casefold() for identity, part_id in parts}
    assert len(paths) == len(parts)


@given(TIMES)
def test_the_ends_of_the_calendar_have_a_path(at: datetime) -> None:
    assert len(attachment_path(IDENTITY, at, "1", "x").parts) == 5
    for hours in (-14, 14):
        zone = timezone(timedelta(hours=hours))
        attachment_path(IDENTITY, datetime.min.replace(tzinfo=zone), "1", "x")
        attachment_path(IDENTITY, datetime.max.replace(tzinfo=zone), "1", "x")
