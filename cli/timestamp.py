"""Points in time on the command line: `90s`, `15min`, `1h`, `2d`, `1w` ago, or in that time, or an ISO 8601 time. Pure
but for the clock that the click types read."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import click

_SECONDS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AGO: Final = re.compile(r"([0-9]{1,9})\s?(s|m|min|h|d|w)")


def parse_deadline(text: str, now: datetime) -> datetime:
    """In UTC: a span from now on, or a time as `parse_timestamp` takes it. Raises ValueError."""
    if found := _AGO.fullmatch(text.strip()):
        try:
            return now.astimezone(UTC) + timedelta(seconds=int(found[1]) * _SECONDS[found[2]])
        except OverflowError:
            raise ValueError(f"{text!r} is longer than there are calendars") from None
    return parse_timestamp(text, now)


def parse_timestamp(text: str, now: datetime) -> datetime:
    """In UTC. A time without a zone is local time, a date is its beginning. Raises ValueError."""
    if found := _AGO.fullmatch(text.strip()):
        try:
            return now.astimezone(UTC) - timedelta(seconds=int(found[1]) * _SECONDS[found[2]])
        except OverflowError:
            raise ValueError(f"{text!r} is longer ago than there are calendars") from None
    try:
        # astimezone() takes what has no zone for local time.
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is neither a span like 90s, 15min, 1h, 2d, 1w nor a time (ISO 8601)") from None


class Timestamp(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """A click type for a point in time."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return parse_timestamp(str(value), datetime.now(UTC))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Deadline(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """A click type for a point in time to come."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return parse_deadline(str(value), datetime.now(UTC))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Start(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """Where to begin in a stream: a timestamp, `all`, or so many last events."""

    name = "when"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime | Literal["all"] | int:
        text = str(value).strip()
        if text == "all":
            return "all"
        if text.isascii() and text.isdecimal() and len(text) < 10:
            return int(text)
        try:
            return parse_timestamp(text, datetime.now(UTC))
        except ValueError as error:
            self.fail(f"{error}, nor `all`, nor a number of events", param, ctx)
