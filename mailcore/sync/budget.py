"""How many bytes a day an account may fetch, and when older mail may be fetched again. Pure: the clock is an argument.

A day is the 24 hours that end now, counted by whole hours: no provider tells where its day begins, and in whichever one
it counts, no more than the budget is fetched. (Of two UTC days both budgets could be fetched around midnight.) So what
an hour fetched counts until a day after its end.

Times are seconds since 1970, sizes bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
_COUNTS: Final = 25  # hours, from the beginning of the one in which it was fetched
_KEPT: Final = 10  # one part in so many is kept for new mail


class Budget:
    """Of one account; `limit` 0: there is none. What arrives is fetched whatever is left, and counts.

    `messages` of older mail, with `octets` together, were seen so far: their mean tells what is still to come.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.hours: dict[int, int] = {}  # bytes fetched, by the hour since 1970
        self.messages = self.octets = 0
        self._under_way = 0

    @property
    def for_older(self) -> int:
        """What of a day older mail may have."""
        return self.limit - self.piece

    @property
    def piece(self) -> int:
        """What of older mail may be asked for at once, so that it does not fetch what is kept for new mail."""
        return max(1, self.limit // _KEPT)

    def restore(self, hours: Mapping[int, int], messages: int, octets: int) -> None:
        """What an earlier process counted."""
        for hour, count in hours.items():
            self.hours[hour] = self.hours.get(hour, 0) + count
        self.messages, self.octets = self.messages + messages, self.octets + octets

    def fetched(self, octets: int, now: float) -> None:
        """So much came from the server, whatever it was."""
        hour = int(now // HOUR)
        if hour not in self.hours:
            self.hours = {one: count for one, count in self.hours.items() if hour < one + _COUNTS}
        self.hours[hour] = self.hours.get(hour, 0) + octets

    def saw(self, size: int) -> None:
        """The size of an older message that is to be fetched."""
        self.messages, self.octets = self.messages + 1, self.octets + size

    def begin(self, octets: int) -> None:
        """So much of older mail is asked for: it counts until end() besides what has come."""
        self._under_way += octets

    def end(self, octets: int) -> None:
        self._under_way -= octets

    def spent(self, now: float) -> int:
        """Of the budget of the day that ends now."""
        hour = int(now // HOUR)
        return sum(count for one, count in self.hours.items() if hour < one + _COUNTS)

    def due(self, octets: int, now: float) -> float:
        """When so many bytes of older mail may be asked for, `now` for at once. A message larger than a piece may when
        there is room for a piece: otherwise it could never be had."""
        if not self.limit:
            return now
        room = self.for_older - min(octets, self.piece)
        spent = self.spent(now) + self._under_way
        for hour in sorted(self.hours):
            if spent <= room:
                break
            if (ends := (hour + _COUNTS) * HOUR) > now:
                spent -= self.hours[hour]
                now = ends
        return now if spent <= room else now + _COUNTS * HOUR

    def done(self, messages: int, now: float) -> float | None:
        """About when the last of so many older messages is fetched; None where nobody can tell."""
        if not self.limit or not self.messages:
            return None
        return self.due(1, now) + messages * self.octets / self.messages / self.for_older * DAY
