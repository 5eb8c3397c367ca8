"""The Date field: read in whatever form it comes, and never wrong without a defect."""

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.mime.date import parse_date
from mailcore.mime.defects import Defects


def read(value: str) -> tuple[datetime | None, list[str]]:
    defects = Defects()
    return parse_date(value, defects), list(defects)


EVENING = datetime(2024, 7, 5, 19, 8, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "Fri, 5 Jul 2024 19:08:09 GMT",
        "Fri, 5 Jul 2024 19:08:09 -0000",
        "Fri, 05 Jul 2024 21:08:09 +02:00",
        "Fri, 5 Jul 2024 21:08:09 (summer) +0200",
        "(sent (first)) Fri, 5 (the) Jul 2024 21:08:09 +0200 (CEST)",
        "Fri, 5 Jul 2024 21:08:09 +0200,",
        "Fri, 5 Jul 2024 21:08:09 + 0200",
        "Fri, 5 Jul 2024 21:08:09 +2",
        "Fri, 5 Jul 2024 21:08:09 UTC+2",
        "Fri, 5 Jul 2024 21:08:09 GMT +0200",
        "Fri, 5 Jul 2024 21:08:09 CEST",
        "Fri, 5 Jul 2024 15:08:09 EDT",
        "fri, 5 jul 2024 15:08:09 edt",
        "Fri,5Jul2024 15:08:09-0400",
        "Fri, 5 Jul 2024 07:08:09 PM +0000",
        "Fri, 5 Jul 2024 7:08:09p.m. Z",
        "Fri, 5 Jul 24 19:08:09 +0000",
        "Fri, 5 Jul 124 19:08:09 +0000",
        "5-Jul-2024 19:08:09 +0000",
        "19:08:09 UTC 5 Jul 2024",
        "Fri, 5 Jul 2024 19.08.09 +0000",
        "Fri, 5 Jul 2024 19 : 08 : 09 +0000",
        "Fri Jul 05 2024 21:08:09 GMT+0200 (Central European Summer Time)",
        "Fri Jul  5 21:08:09 CEST 2024",
        "Fri Jul 05 19:08:09 +0000 2024",
        "July 5th, 2024 19:08:09 UTC",
        "2024-07-05T21:08:09+02:00",
        "2024-07-05T19:08:09.987654Z",
        "2024-07-05 15:08:09 -0400",
        "20240705T190809Z",
        "2024/07/05 19:08:09 +0000",
        "05.07.2024 21:08:09 MESZ",
        "2024年7月5日 下午7:08:09 +0000",
        "2024년 7월 5일 오후 7:08:09 +0000",
        "Fr., 5. Juli 2024 21:08:09 +0200 (MESZ)",
        "am 5. Juli 2024 um 21:08:09 +0200",
        "ven. 5 juil. 2024 à 21:08:09 +0200",
        "viernes, 5 de julio de 2024 21:08:09 +0200",
        "пт, 05 июл 2024 22:08:09 +0300",
        "pt, 5 lip 2024 21:08:09 +0200",
        "pe, 5 hei 2024 22:08:09 +0300",
        "Παρ, 5 Ιουλ 2024 22:08:09 +0300",
        "=?utf-8?q?Fr=2C_5_Jul_2024_21=3A08=3A09_+0200?=",
    ],
)
def test_forms_that_leave_no_doubt_have_no_defect(value: str) -> None:
    assert read(value) == (EVENING, [])


@pytest.mark.parametrize(
    "value",
    [
        "Fri, 5 Jul 2024 19:08:09",
        "Fri Jul  5 19:08:09 2024",
        "2024-07-05T19:08:09",
        "Fri, 5 Jul 2024 19:08:09 IST",
        "Fri, 5 Jul 2024 19:08:09 A",
        "Fri, 5 Jul 2024 19:08:09 Mars/Olympus",
        "Fri, 5 Jul 2024 19:08:09 +9900",
        "Fri, 5 Jul 2024 19:08:09 +0000 +0500",
        "Fri, 5 Jul 2024 19:08:09 GMT 0200",
        "Fri, 5 Jul 2024 19:08:09 (unclosed +0200",
        "Jul 5 xyz 2024 19:08:09 +0000",
        "1720206489",
        "1720206489000",
    ],
)
def test_what_is_guessed_has_a_defect(value: str) -> None:
    assert read(value) == (EVENING, ["guessed-date"])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("mar. 3 févr. 2026 10:00 +0000", datetime(2026, 2, 3, 10, tzinfo=UTC)),  # mardi, not mars
        ("mar. 03.02.2026 10:00 +0000", datetime(2026, 2, 3, 10, tzinfo=UTC)),
        ("Thu, 31 Dec 1998 23:59:60 +0000", datetime(1998, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("2024-07-05T24:00:00Z", datetime(2024, 7, 6, tzinfo=UTC)),
        ("Fri, 5 Jul 2024 12:30 AM +0000", datetime(2024, 7, 5, 0, 30, tzinfo=UTC)),
        ("Fri, 5 Jul 2024 12:30 PM +0000", datetime(2024, 7, 5, 12, 30, tzinfo=UTC)),
        ("7/25/2024 7:00 PM +0000", datetime(2024, 7, 25, 19, tzinfo=UTC)),
    ],
)
def test_odd_dates_mean_what_their_writer_meant(value: str, expected: datetime) -> None:
    assert read(value) == (expected, [])


@pytest.mark.parametrize(
    "value",
    [
        "yesterday",
        "Fri, 32 Jul 2024 19:08:09 +0000",
        "Fri, 5 Foo 2024 19:08:09 +0000",
        "Fri, 5 Jul 2024 25:08:09 +0000",
        "Fri, 5 Jul 2024 19:08:61 +0000",
        "Fri, 5 Jul 0024 19:08:09 +0000",
        "5/7/2024 19:08:09 +0000",  # May or July
        "",
        "(only a comment",
    ],
)
def test_what_nobody_can_read_is_no_date(value: str) -> None:
    assert read(value) == (None, ["bad-date"])


def test_a_year_of_another_calendar_is_told() -> None:
    assert read("Fri, 5 Jul 2567 19:08:09 +0700")[1] == ["guessed-date"]


MOMENTS = st.integers(-2_208_000_000, 7_258_000_000).map(
    lambda seconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
OFFSETS = st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(MOMENTS, OFFSETS)
def test_every_moment_comes_back_from_every_form(moment: datetime, zone: timezone) -> None:
    moment = moment.astimezone(zone)
    offset = format(moment, "%z")
    for value in (
        format_datetime(moment),
        moment.isoformat(),
        f"{moment:%Y%m%dT%H%M%S}{offset}",
        f"{moment:%a %b %d %Y %H:%M:%S} GMT{offset} (some time)",
        f"{moment:%a %b %d %H:%M:%S} {offset} %d" % moment.year,
        f"{moment:%d.%m.%Y, %H:%M:%S} UTC{offset[:3]}:{offset[3:]}",
        f"{moment:%A, %B %d, %Y %I:%M:%S %p} {offset}",
    ):
        assert read(value) == (moment, []), value


@given(st.text(max_size=60) | st.text("0123456789 :+-./,TZ()apmJulGMT年月", max_size=60))
def test_anything_is_a_time_in_utc_or_none_with_a_defect(value: str) -> None:
    moment, defects = read(value)
    if moment is None:
        assert defects[-1] == "bad-date"
    else:
        assert moment.utcoffset() == timedelta(0)


@given(MOMENTS, st.text("abcdefghi 0123:.,()[]", max_size=12))
def test_a_time_without_a_zone_is_never_given_in_silence(local: datetime, behind: str) -> None:
    moment, defects = read(f"{local:%d %b %Y %H:%M:%S} {behind}")
    assert moment is None or defects == ["guessed-date"]
