"""One status for each UID of one generation (one UIDVALIDITY) of a mailbox. Pure.

    missing ──claim──▶ claimed ──PubAck──▶ in flight ──stored──▶ stored ──expunged──▶ (none)
       ▲ │                │ ▲                  └──────dead──────▶ dead
       │ └─a FETCH failed─┘ └─claimed again, alone, later── refused ◀──not given── (claimed)
       └── suspect: to be fetched apart from others

I2: a UID is in flight only after PubAck, stored only after the commit. A `stored` may overtake the PubAck.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from mailcore.imap.sequence import UidSet
from mailcore.sync.run import Run

_FOLD_AT: Final = 4096


class Status(Enum):
    MISSING = "missing"
    SUSPECT = "suspect"
    CLAIMED = "claimed"
    IN_FLIGHT = "in flight"
    STORED = "stored"
    DEAD = "dead"
    REFUSED = "refused"


OPEN: Final = frozenset((Status.MISSING, Status.SUSPECT, Status.CLAIMED, Status.IN_FLIGHT))
"""What a run waits for."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """Published, not yet stored. `stream` and `seq` are the PubAck's, `size` bytes, `since` monotonic seconds."""

    stream: str
    seq: int
    size: int
    since: float


@dataclass(frozen=True, slots=True)
class Standing:
    """Of a stream at a moment: all up to the sequence `settled` is settled, it holds `first` to `last`. `anew`: since
    it was looked at before it was made anew, or went back, so that its sequences are given a second time."""

    settled: int
    first: int
    last: int
    anew: bool = False

    def lost(self, seq: int) -> bool:
        """Whether what was acknowledged under that sequence is to be stored by nobody any more."""
        return self.anew or seq <= self.settled or not self.first <= seq <= self.last


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that the server lists and does not give: since when and until when (monotonic seconds), and how often
    it was asked for."""

    words: str
    since: float
    tries: int
    next_try: float


@dataclass(slots=True)
class Octets:
    """Bytes in flight of all mailboxes of the process: by definition the sum of theirs."""

    total: int = 0


class Statuses:
    """The only place where a status changes, so that the bytes in flight and what `run` waits for agree with it."""

    def __init__(
        self, octets: Octets, *, stored: Iterable[int] = (), dead: Iterable[int] = (), run: Run | None = None
    ) -> None:
        self.dead = UidSet(dead)
        self.missing = UidSet()
        self.suspects: deque[UidSet] = deque()
        self.claimed: set[int] = set()
        self.in_flight: dict[int, InFlight] = {}
        self.refused: dict[int, Refusal] = {}
        self.octets = 0
        self.run = run
        self._all_octets = octets
        self._stored = UidSet(stored)
        self._lately_stored: set[int] = set()  # folded into the ranges now and then: a union costs O(ranges)

    @property
    def stored(self) -> UidSet:
        """The value does not change afterwards."""
        if self._lately_stored:
            self._stored |= UidSet(self._lately_stored)
            self._lately_stored.clear()
        return self._stored

    @property
    def suspect(self) -> UidSet:
        return UidSet.from_ranges(span for group in self.suspects for span in group.ranges)

    @property
    def waiting(self) -> UidSet:
        """Listed, and neither stored nor on its way."""
        return self.missing | self.suspect | UidSet(self.refused)

    @property
    def open(self) -> UidSet:
        return self.missing | self.suspect | UidSet(self.claimed) | UidSet(self.in_flight)

    @property
    def left(self) -> int:
        """How many are listed and neither stored, dead nor refused."""
        return len(self.missing) + sum(map(len, self.suspects)) + len(self.claimed) + len(self.in_flight)

    def of(self, uid: int) -> Status | None:
        """None: never listed, or forgotten."""
        if uid in self.in_flight:
            return Status.IN_FLIGHT
        if uid in self.claimed:
            return Status.CLAIMED
        if uid in self._lately_stored or uid in self._stored:
            return Status.STORED
        if uid in self.refused:
            return Status.REFUSED
        if uid in self.missing:
            return Status.MISSING
        if uid in self.dead:
            return Status.DEAD
        return Status.SUSPECT if any(uid in group for group in self.suspects) else None

    def move(self, uid: int, to: Status | None, what: InFlight | Refusal | None = None) -> None:
        """`what` goes with IN_FLIGHT and REFUSED."""
        was = self.of(uid)
        if was is to:
            return
        if was is not None:
            self._take(uid, was)
        if to is not None:
            self._put(uid, to, what)
        if self.run is not None and (was in OPEN) != (to in OPEN):
            self.run.count(uid, 1 if to in OPEN else -1)

    def add(self, uids: UidSet) -> UidSet:
        """Those of `uids` that have no status are missing from now on; returned."""
        fresh = uids - self.stored - self.dead - self.open - UidSet(self.refused)
        self.missing |= fresh
        return fresh

    def claim(self, uids: UidSet) -> None:
        """Of what is missing, or was a group of suspects."""
        self.missing -= uids
        self.claimed.update(uids)

    def forget(self, uids: UidSet) -> None:
        """These have no status any more."""
        for uid in uids & self.waiting - self.missing:
            self.move(uid, None)
        if self.run is not None:
            self.run.left -= len(self.run.found & self.missing & uids)
        self.missing -= uids
        self._stored = self.stored - uids

    def close(self) -> None:
        """The generation ends: its bytes count no more."""
        self._all_octets.total -= self.octets
        self.octets = 0
        self.run = None

    def _take(self, uid: int, was: Status) -> None:
        if was is Status.IN_FLIGHT:
            self._count_octets(-self.in_flight.pop(uid).size)
        elif was is Status.CLAIMED:
            self.claimed.discard(uid)
        elif was is Status.REFUSED:
            del self.refused[uid]
        elif was is Status.MISSING:
            self.missing -= UidSet((uid,))
        elif was is Status.DEAD:
            self.dead -= UidSet((uid,))
        elif was is Status.SUSPECT:
            left = [group - UidSet((uid,)) for group in self.suspects]
            self.suspects = deque(group for group in left if group)
        else:
            self._stored = self.stored - UidSet((uid,))

    def _put(self, uid: int, to: Status, what: InFlight | Refusal | None) -> None:
        if to is Status.STORED:
            self._lately_stored.add(uid)
            if len(self._lately_stored) >= _FOLD_AT:
                self._stored = self.stored
        elif to is Status.IN_FLIGHT and isinstance(what, InFlight):
            self.in_flight[uid] = what
            self._count_octets(what.size)
        elif to is Status.REFUSED and isinstance(what, Refusal):
            self.refused[uid] = what
        elif to is Status.MISSING:
            self.missing |= UidSet((uid,))
        elif to is Status.CLAIMED:
            self.claimed.add(uid)
        elif to is Status.DEAD:
            self.dead |= UidSet((uid,))
        elif to is Status.SUSPECT:
            self.suspects.append(UidSet((uid,)))
        else:
            raise AssertionError(f"{to} without what goes with it")

    def _count_octets(self, change: int) -> None:
        self.octets += change
        self._all_octets.total += change
