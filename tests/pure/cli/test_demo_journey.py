"""What the demo tells of a mail's way: never that it was pushed before the server had it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cli.demo.screen import Journey
from mailcore.events.message import FoundBy, Kind
from mailcore.events.thin import Stored

NOW = datetime(2026, 11, 22, 21, 57, 30, tzinfo=UTC)


def journey(pushed: int, published: int, stored: int) -> Journey:
    """The stages in ms after the answer to APPEND."""
    at = [NOW + timedelta(milliseconds=one) for one in (0, pushed, published, stored)]
    event = Stored(account="a", mailbox="b", at=at[3], uidvalidity=1, uid=1, row_id=1, sha256="0" * 64, size=1,
                   attachments=0, kind=Kind.NEW, found_by=FoundBy.PUSH)  # fmt: skip
    return Journey(1, "Anna", "hello", 1, at[0], at[1], at[2], event, [])


def test_a_push_that_comes_before_the_answer_to_append_is_the_beginning() -> None:
    assert journey(-2, 5, 30).milliseconds() == {"pushed": 0, "published": 7, "stored": 32}
    assert journey(3, 5, 30).milliseconds() == {"pushed": 3, "published": 5, "stored": 30}


@given(st.integers(-50, 50), st.integers(0, 50), st.integers(0, 50))
def test_no_stage_is_before_the_one_before(pushed: int, until_published: int, until_stored: int) -> None:
    ms = journey(pushed, pushed + until_published, pushed + until_published + until_stored).milliseconds()
    assert 0 <= ms["pushed"] <= ms["published"] <= ms["stored"]
