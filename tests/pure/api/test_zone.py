"""All times of all pages are in one zone: the browser's, when it has told one that there is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.admin.zone import key, named, words

WINTER, SUMMER = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "winter", "summer"),
    [
        ("Europe/Berlin", "Europe/Berlin (UTC+01:00)", "Europe/Berlin (UTC+02:00)"),
        ("Asia/Kolkata", "Asia/Kolkata (UTC+05:30)", "Asia/Kolkata (UTC+05:30)"),
        ("America/New_York", "America/New York (UTC-05:00)", "America/New York (UTC-04:00)"),
        ("UTC", "UTC", "UTC"),
    ],
)
def test_a_zone_is_told_with_its_offset(name: str, winter: str, summer: str) -> None:
    assert (words(named(name), WINTER), words(named(name), SUMMER)) == (winter, summer)
    assert key(named(name)) == name


@pytest.mark.parametrize(
    "name",
    ["", "Nowhere/At_All", "../../etc/passwd", "/etc/localtime", "America", "zone.tab", "Europe/Berlin\0", "x" * 5000],
)
def test_what_is_no_zone_is_utc(name: str) -> None:
    assert named(name) is UTC
    assert words(named(name), WINTER) == "UTC"


@given(st.text())
def test_whatever_the_cookie_says_there_is_a_zone(name: str) -> None:
    assert words(named(name), SUMMER)
