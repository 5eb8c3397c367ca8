"""Points in time as a person writes them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.timestamp import Deadline, Start, Timestamp, parse_deadline, parse_timestamp

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def in_belgrade(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Belgrade")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("15min", timedelta(minutes=15)),
        ("1h", timedelta(hours=1)),
        ("2d", timedelta(days=2)),
        (" 1 w ", timedelta(weeks=1)),
        ("0s", timedelta(0)),
    ],
)
def test_a_span_is_so_long_ago(text: str, ago: timedelta) -> None:
    assert parse_timestamp(text, NOW) == NOW - ago


@given(st.timedeltas(timedelta(days=-9000), timedelta(days=9000)), st.integers(-14 * 60, 14 * 60))
def test_an_iso_time_with_a_zone_is_that_point_in_time(distance: timedelta, minutes_east: int) -> None:
    moment = (NOW + distance).astimezone(timezone(timedelta(minutes=minutes_east)))

    assert parse_timestamp(moment.isoformat(), NOW) == moment


@pytest.mark.usefixtures("in_belgrade")
def test_without_a_zone_it_is_local_time_and_a_date_is_its_beginning() -> None:
    assert parse_timestamp("2026-11-22T12:30", NOW) == datetime(2026, 11, 22, 11, 30, tzinfo=UTC)
    assert parse_timestamp("2026-11-22", NOW) == datetime(2026, 11, 21, 23, tzinfo=UTC)


@given(st.text(max_size=20))
def test_anything_is_a_time_in_utc_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_timestamp(text, NOW).tzinfo is UTC


def test_the_start_of_a_replay_is_a_timestamp_or_all_or_a_number() -> None:
    start = Start()
    assert start.convert("all", None, None) == "all"
    assert start.convert("20", None, None) == 20
    found = start.convert("1h", None, None)
    assert isinstance(found, datetime)
    assert abs((datetime.now(UTC) - timedelta(hours=1) - found).total_seconds()) < 10
    for nonsense in ("yesterday", "-5", "1y", ""):
        with pytest.raises(click.BadParameter):
            start.convert(nonsense, None, None)
        with pytest.raises(click.BadParameter):
            Timestamp().convert(nonsense, None, None)


def test_a_deadline_is_a_span_from_now_on_or_a_time() -> None:
    assert parse_deadline("90d", NOW) == NOW + timedelta(days=90)
    assert parse_deadline("2027-01-31T12:00:00Z", NOW) == datetime(2027, 1, 31, 12, tzinfo=UTC)
    with pytest.raises(ValueError, match="calendars"):
        parse_deadline("999999999w", NOW)
    with pytest.raises(click.BadParameter, match="neither a span"):
        Deadline().convert("soon", None, None)
