"""Flags: what a server tells of them, compared with what the rows hold. Pure: the clock is an argument.

1. What is on its way to a row is waited for before the row is compared, so a comparison is of two facts.
2. CONDSTORE (RFC 7162) tells what changed since a MODSEQ; without it, and once for rows of nobody knows when, all are
   compared, in slices.
3. A change of a message that has no row yet is not forgotten: the message is looked at again as soon as it is stored.

Times are monotonic seconds.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Final

from mailcore.imap.flag import named
from mailcore.imap.news import Hint
from mailcore.imap.response import Expunge, Fetch, Vanished
from mailcore.imap.sequence import UidSet

SLICE: Final = 5000  # messages asked for by UID at once: some 200 KB
GAP: Final = 0.5  # seconds between two looks: a burst of changes is one
WHOLE_EVERY: Final = 300.0  # seconds between two comparisons of all, at the least,
WHOLE_PACE: Final = 20.0  # and no more than so many messages a second


@dataclass(frozen=True, slots=True)
class Difference:
    """`flags` are all of them now, as `named` has them."""

    flags: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]


def difference(row: Iterable[str], told: Iterable[str]) -> Difference | None:
    """What has become of a row's flags; None: nothing, whatever their order and case."""
    before, now = named(row), named(told)
    was, has = {flag.lower() for flag in before}, {flag.lower() for flag in now}
    if was == has:
        return None
    return Difference(
        now,
        tuple(flag for flag in now if flag.lower() not in was),
        tuple(flag for flag in before if flag.lower() not in has),
    )


def hinted(hints: Iterable[Hint]) -> tuple[UidSet, UidSet]:
    """Whose flags changed, of what came unasked: UIDs, and where there was none, sequence numbers as they are after the
    last hint. After VANISHED nobody knows those."""
    uids: set[int] = set()
    numbers: list[int] = []
    for hint in hints:
        if isinstance(hint, Fetch) and hint.uid is not None:
            uids.add(hint.uid)
        elif isinstance(hint, Fetch):
            numbers.append(hint.seq)
        elif isinstance(hint, Expunge):  # RFC 9051 §7.5.1: those above move down
            numbers = [number - (number > hint.seq) for number in numbers if number != hint.seq]
        elif isinstance(hint, Vanished):
            numbers.clear()
    return UidSet(uids), UidSet(numbers)


class Told:
    """What a server told of the flags of any number of messages, in 16 bytes each: few sets of flags are different."""

    def __init__(self) -> None:
        self.highest = 0  # MODSEQ
        self.whole = True  # nothing came that we could not make out
        self._uids = array("I")
        self._modseqs = array("Q")
        self._which = array("I")
        self._sets: list[tuple[str, ...]] = []
        self._numbers: dict[tuple[str, ...], int] = {}  # by the flags as sent

    def __len__(self) -> int:
        return len(self._uids)

    def add(self, uid: int, flags: tuple[str, ...], modseq: int | None) -> None:
        self._uids.append(uid)
        self._modseqs.append(modseq or 0)
        number = self._numbers.setdefault(flags, len(self._sets))
        if number == len(self._sets):
            self._sets.append(named(flags))
        self._which.append(number)
        self.highest = max(self.highest, modseq or 0)

    def chunks(self, count: int) -> Iterator[dict[int, tuple[tuple[str, ...], int | None]]]:
        """Flags and MODSEQ by UID, so many messages at a time, in the order of their coming."""
        for start in range(0, len(self), count):
            part = slice(start, start + count)
            yield {
                uid: (self._sets[which], modseq or None)
                for uid, which, modseq in zip(self._uids[part], self._which[part], self._modseqs[part], strict=True)
            }


@dataclass(frozen=True, slots=True)
class Look:
    """What to ask for: what changed `since` a MODSEQ, or else the flags of these `uids`. `told` is HIGHESTMODSEQ from
    before; `stored` are the UIDs that had a row then."""

    since: int | None
    uids: UidSet
    told: int | None
    stored: UidSet


class Following:
    """How far the rows of one generation follow the server's flags.

    `reached`: what changed up to this MODSEQ is in the rows, but for `todo`: UIDs that are to be compared by
    themselves, as soon as they have a row. None: the server tells no MODSEQs of the mailbox, or nothing is known yet.
    `kept` is what an earlier `reached` was when nothing was to do: from there a new start goes on.
    """

    def __init__(self) -> None:
        self.modseqs = True  # the server has CHANGEDSINCE as far as we know
        self.reached: int | None = None
        self.kept: int | None = None
        self.todo = UidSet()
        self._asked = UidSet()  # of `todo`, by the look that is under way
        self._hinted = False
        self._not_before = self._whole_at = 0.0

    def opened(self, kept: int | None, now: float) -> None:
        """A generation begins, with what its row says of an earlier time."""
        self.modseqs = True
        self.reached = self.kept = kept
        self.todo, self._asked, self._hinted = UidSet(), UidSet(), False
        self._not_before = self._whole_at = now

    def without_modseqs(self) -> None:
        """The server tells MODSEQs and refuses CHANGEDSINCE."""
        self.modseqs, self.reached = False, None

    def hint(self) -> None:
        """Something changed, who knows of which message."""
        self._hinted = True

    def told(self, highestmodseq: int | None) -> None:
        """By a STATUS in between."""
        self._hinted |= highestmodseq is not None and highestmodseq != self.reached

    def doubt(self, uids: UidSet) -> None:
        """The rows of these may not follow."""
        self.todo |= uids

    def swept(self, highestmodseq: int | None, listed: UidSet) -> None:
        """A whole sweep: STATUS told the one, and nothing but `listed` up to the highest of these is in the mailbox."""
        self._hinted |= highestmodseq is None or highestmodseq != self.reached
        if listed and (gone := self.todo - listed):
            self.todo -= gone & UidSet.from_ranges([(1, listed.max)])
            self._note()

    def hurry(self, now: float) -> None:
        """A person asks: where there are no MODSEQs, all are compared now."""
        self._whole_at = min(self._whole_at, now)

    def due(self, stored: UidSet) -> float:
        """When the next look is due; `stored` are the UIDs that have a row."""
        if self.todo and self.todo & stored:
            return self._not_before
        if self.reached is None:
            return max(self._whole_at, self._not_before)
        return self._not_before if self._hinted else inf

    def begin(self, told: int | None, stored: UidSet, coming: UidSet, now: float) -> Look:
        """`told` is HIGHESTMODSEQ of this SELECT, None with NOMODSEQ or without CONDSTORE (RFC 7162 §3.1.2); `coming`
        are the UIDs that are listed and have no row yet."""
        told = told if self.modseqs else None
        if told is None or (self.reached is not None and told < self.reached):  # it was taken back to an earlier state
            self.reached = None
        if self.reached is not None and self._hinted:
            self._hinted = False
            if told != self.reached:
                return Look(self.reached, UidSet(), told, stored)
        if self.reached is None and now >= self._whole_at:
            self._whole_at = now + max(WHOLE_EVERY, len(stored) / WHOLE_PACE)
            self.reached, self.kept, self.todo = told, None, stored | coming
            self._note()
        # Taken out now, so that who is doubted meanwhile is looked at again.
        self._asked = next((self.todo & stored).chunks(SLICE), UidSet())
        self.todo -= self._asked
        return Look(None, self._asked, told, stored)

    def compared(self, look: Look, found: Told, without_row: UidSet, now: float) -> None:
        """The rows follow what the look told, but for UIDs `without_row`."""
        if look.since is not None and found.whole:
            self.reached = max(look.told or 0, found.highest, look.since)
        self.todo |= without_row
        self._asked = UidSet()
        self._not_before = now + (GAP if look.since is not None else 0.0)
        self._note()

    def failed(self, now: float, wait: float) -> None:
        """The look came to nothing; the next one is due in `wait` seconds."""
        self._hinted = True
        self._not_before = now + wait
        self.todo |= self._asked
        self._asked = UidSet()

    def _note(self) -> None:
        if not self.todo and not self._asked:
            self.kept = self.reached
