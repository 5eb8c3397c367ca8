"""When a message was received, whatever the server says: never 1970 in silence."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.transfer import received

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SENT = datetime(2026, 4, 30, 8, 30, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HEAD = b"Date: Thu, 30 Apr 2026 10:30:00 +0200\r\n\r\n"


def test_internaldate_is_believed() -> None:
    assert received(SENT, b"", NOW) == (SENT, [])
    assert received(NOW + timedelta(days=1), HEAD, NOW) == (NOW + timedelta(days=1), [])


@pytest.mark.parametrize("said", [None, EPOCH, EPOCH + timedelta(hours=14), datetime(1904, 1, 1, tzinfo=UTC)])
def test_without_one_the_date_field_counts(said: datetime | None) -> None:
    assert received(said, HEAD, NOW) == (SENT, ["internaldate-invalid"])


@pytest.mark.parametrize(
    "date", [b"", b"nonsense", b"Thu, 01 Jan 1970 00:00:00 +0000", b"Fri, 1 May 2026 14:00:00 +0000"]
)
def test_where_that_cannot_be_it_is_now(date: bytes) -> None:
    assert received(None, b"Date: " + date + b"\r\n\r\n", NOW) == (NOW, ["internaldate-invalid"])


@given(st.none() | st.datetimes(timezones=st.just(UTC)), st.binary(max_size=80))
def test_it_is_never_1970_in_silence(said: datetime | None, date: bytes) -> None:
    moment, defects = received(said, b"Date: " + date + b"\r\n\r\n", NOW)
    assert moment > EPOCH + timedelta(hours=23)
    assert defects == ([] if moment == said else ["internaldate-invalid"]) or said == moment
