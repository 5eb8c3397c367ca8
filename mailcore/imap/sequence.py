"""Sets of UIDs as IMAP writes them: `1:3,7` (sequence-set, RFC 9051 §9). Pure.

Everything costs by ranges, not by UIDs: a mailbox of 200,000 messages is one range until somebody expunges.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from mailcore.errors import ProtocolError

MAX_UID: Final = 0xFFFF_FFFF  # nz-number, RFC 9051 §9

Range = tuple[int, int]


class UidSet:
    """An immutable set of UIDs, kept as sorted ranges that neither overlap nor touch; both ends are included."""

    __slots__ = ("_len", "_ranges", "_starts")

    def __init__(self, uids: Iterable[int] = ()) -> None:
        """Raises ValueError for a number that is no UID (1 … 2**32 - 1)."""
        if isinstance(uids, UidSet):
            self._adopt(uids._ranges)
            return
        ordered = sorted(uids)
        if not ordered:
            self._adopt(())
            return
        _check(ordered[0], ordered[-1])
        ranges: list[Range] = []
        low = high = ordered[0]
        for uid in ordered:
            if uid > high + 1:
                ranges.append((low, high))
                low = uid
            high = uid
        ranges.append((low, high))
        self._adopt(tuple(ranges))

    def _adopt(self, ranges: tuple[Range, ...]) -> None:
        self._ranges = ranges
        self._len = sum(high - low + 1 for low, high in ranges)
        self._starts: list[int] | None = None

    @classmethod
    def _of(cls, ranges: Sequence[Range]) -> UidSet:
        """From ranges that are already sorted, disjoint and apart."""
        made = cls.__new__(cls)
        made._adopt(tuple(ranges))
        return made

    @classmethod
    def from_ranges(cls, ranges: Iterable[Range]) -> UidSet:
        """Ranges in any order, overlapping or not, either end first (RFC 9051 §9: 2:4 is 4:2). Raises ValueError."""
        ordered = sorted((low, high) if low <= high else (high, low) for low, high in ranges)
        merged: list[Range] = []
        for low, high in ordered:
            _check(low, high)
            if merged and low <= merged[-1][1] + 1:
                if high > merged[-1][1]:
                    merged[-1] = (merged[-1][0], high)
            else:
                merged.append((low, high))
        return cls._of(merged)

    @classmethod
    def parse(cls, text: str, *, lax: bool = False) -> UidSet:
        """The inverse of `str()`; takes any sequence-set of numbers (no `*`). With `lax` a 0, which some servers list
        and which is no UID (nz-number), is left out. Raises ProtocolError."""
        if not text:
            return cls()
        ranges: list[Range] = []
        for part in text.split(","):
            low, colon, high = part.partition(":")
            if not (_is_number(low) and (_is_number(high) if colon else True)):
                raise ProtocolError(f"not a set of UIDs: {text[:80]!r}")
            ranges.append((int(low), int(high) if colon else int(low)))
        if lax:
            ranges = [(max(1, min(pair)), max(pair)) for pair in ranges if max(pair) > 0]
        try:
            return cls.from_ranges(ranges)
        except ValueError as error:
            raise ProtocolError(f"not a set of UIDs: {text[:80]!r}") from error

    @property
    def ranges(self) -> tuple[Range, ...]:
        """Sorted, disjoint, never touching; both ends included."""
        return self._ranges

    @property
    def min(self) -> int:
        """Raises ValueError when empty."""
        if not self._ranges:
            raise ValueError("an empty UidSet has no min")
        return self._ranges[0][0]

    @property
    def max(self) -> int:
        """Raises ValueError when empty."""
        if not self._ranges:
            raise ValueError("an empty UidSet has no max")
        return self._ranges[-1][1]

    def __str__(self) -> str:
        return ",".join(str(low) if low == high else f"{low}:{high}" for low, high in self._ranges)

    def __repr__(self) -> str:
        text = str(self) if len(self._ranges) <= 8 else f"{len(self._ranges)} ranges, {self.min} … {self.max}"
        return f"UidSet({text})"

    def __len__(self) -> int:
        return self._len

    def __bool__(self) -> bool:
        return bool(self._ranges)

    def __contains__(self, uid: object) -> bool:
        if not isinstance(uid, int):
            return False
        if self._starts is None:
            self._starts = [low for low, _ in self._ranges]
        index = bisect_right(self._starts, uid) - 1
        return index >= 0 and uid <= self._ranges[index][1]

    def __iter__(self) -> Iterator[int]:
        for low, high in self._ranges:
            yield from range(low, high + 1)

    def __reversed__(self) -> Iterator[int]:
        for low, high in reversed(self._ranges):
            yield from range(high, low - 1, -1)

    def __eq__(self, other: object) -> bool:
        return self._ranges == other._ranges if isinstance(other, UidSet) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._ranges)

    def __or__(self, other: UidSet) -> UidSet:
        if not self._ranges:
            return other
        if not other._ranges:
            return self
        return UidSet.from_ranges(self._ranges + other._ranges)  # two sorted runs: timsort merges them linearly

    def __and__(self, other: UidSet) -> UidSet:
        mine, theirs = self._ranges, other._ranges
        found: list[Range] = []
        i = j = 0
        while i < len(mine) and j < len(theirs):
            low, high = max(mine[i][0], theirs[j][0]), min(mine[i][1], theirs[j][1])
            if low <= high:
                found.append((low, high))
            if mine[i][1] < theirs[j][1]:
                i += 1
            else:
                j += 1
        return UidSet._of(found)

    def __sub__(self, other: UidSet) -> UidSet:
        theirs = other._ranges
        if not self._ranges or not theirs:
            return self
        left: list[Range] = []
        j = 0
        for low, high in self._ranges:
            while j < len(theirs) and theirs[j][1] < low:
                j += 1
            k = j  # theirs[j] may also reach into my next range, so j itself stays
            while k < len(theirs) and theirs[k][0] <= high:
                if theirs[k][0] > low:
                    left.append((low, theirs[k][0] - 1))
                low = theirs[k][1] + 1
                k += 1
            if low <= high:
                left.append((low, high))
            j = max(j, k - 1)
        return UidSet._of(left)

    def chunks(self, n: int) -> Iterator[UidSet]:
        """Consecutive subsets of `n` UIDs each (the last may be smaller), ascending."""
        if n < 1:
            raise ValueError(f"chunks of {n} UIDs")
        part: list[Range] = []
        room = n
        for low, high in self._ranges:
            start = low
            while start <= high:
                end = min(high, start + room - 1)
                part.append((start, end))
                room -= end - start + 1
                start = end + 1
                if not room:
                    yield UidSet._of(part)
                    part, room = [], n
        if part:
            yield UidSet._of(part)

    def lines(self, limit: int) -> Iterator[UidSet]:
        """Consecutive subsets whose text has at most `limit` characters: servers cap command lines (RFC 7162 §4)."""
        part: list[Range] = []
        size = 0
        for low, high in self._ranges:
            width = len(str(low)) + (len(str(high)) + 1 if high != low else 0) + 1
            if part and size + width - 1 > limit:
                yield UidSet._of(part)
                part, size = [], 0
            part.append((low, high))
            size += width
        if part:
            yield UidSet._of(part)

    def newest(self, n: int) -> UidSet:
        """The `n` highest UIDs (all, when there are fewer)."""
        taken: list[Range] = []
        for low, high in reversed(self._ranges):
            if n <= 0:
                break
            start = max(low, high - n + 1)
            taken.append((start, high))
            n -= high - start + 1
        return UidSet._of(taken[::-1])


def _check(low: int, high: int) -> None:
    if low < 1 or high > MAX_UID:
        raise ValueError(f"not a UID (1 … {MAX_UID}): {low if low < 1 else high}")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10
