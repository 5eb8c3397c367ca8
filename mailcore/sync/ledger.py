"""What the syncer knows of every UID of one mailbox generation.

    missing ──claim──▶ claimed ──published──▶ in flight ──stored──▶ stored ──forget──▶ (expunged)
                          │                       ├─────dead──────▶ dead
                          └──────release──────────┴─────release───▶ missing again

I2: a UID is in flight only after PubAck, stored only after the database commit. A `stored` may overtake the PubAck
of the same message; then `published` changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mailcore.imap.sequence import UidSet

_FOLD_AT = 4096


@dataclass(frozen=True, slots=True)
class InFlight:
    """Published, not yet stored. `seq` is the PubAck's stream sequence, `size` bytes, `since` monotonic seconds."""

    seq: int
    size: int
    since: float


class Ledger:
    """One generation (one UIDVALIDITY) of one mailbox. Not thread-safe; all calls come from the event loop's thread."""

    def __init__(self, uidvalidity: int, stored: Iterable[int] = (), dead: Iterable[int] = ()) -> None:
        self.uidvalidity = uidvalidity
        self._stored = UidSet(stored)
        self._lately_stored: set[int] = set()  # folded into the ranges now and then: a union costs O(ranges)
        self.dead: set[int] = set(dead)
        self.claimed: set[int] = set()
        self.in_flight: dict[int, InFlight] = {}

    @property
    def stored(self) -> UidSet:
        """All stored UIDs. The value does not change afterwards: it can be kept as a snapshot."""
        if self._lately_stored:
            self._stored |= UidSet(self._lately_stored)
            self._lately_stored.clear()
        return self._stored

    def knows(self, uid: int) -> bool:
        """Whether somebody already takes care of `uid`."""
        return (
            uid in self.claimed
            or uid in self.in_flight
            or uid in self._lately_stored
            or uid in self.dead
            or uid in self._stored
        )

    def missing(self, server: UidSet) -> UidSet:
        """I3: what the server has and nobody takes care of."""
        return server - self.stored - UidSet(self.in_flight) - UidSet(self.claimed) - UidSet(self.dead)

    def claim(self, uid: int) -> bool:
        """Take care of `uid`; False if somebody already does."""
        if self.knows(uid):
            return False
        self.claimed.add(uid)
        return True

    def release(self, uid: int) -> None:
        """Nobody takes care of `uid` any more; the next comparison finds it missing if it is still there."""
        self.claimed.discard(uid)
        self.in_flight.pop(uid, None)

    def published(self, uid: int, seq: int, size: int, now: float) -> bool:
        """The PubAck came. False if the message was settled before."""
        self.claimed.discard(uid)
        if self.knows(uid):
            return False
        self.in_flight[uid] = InFlight(seq, size, now)
        return True

    def settle(self, uid: int, *, dead: bool = False) -> InFlight | None:
        """The message is stored (or dead-lettered): returns what was in flight for it, once."""
        if dead:
            self.dead.add(uid)
        else:
            self.dead.discard(uid)
            self._lately_stored.add(uid)
            if len(self._lately_stored) >= _FOLD_AT:
                self._stored |= UidSet(self._lately_stored)
                self._lately_stored.clear()
        return self.in_flight.pop(uid, None)

    def forget(self, uids: UidSet) -> None:
        """These stored messages are gone from the server, and that was published."""
        self._stored = self.stored - uids

    @property
    def bytes_in_flight(self) -> int:
        return sum(entry.size for entry in self.in_flight.values())

    def older_than(self, moment: float) -> dict[int, InFlight]:
        """What has been in flight since before `moment` (monotonic seconds)."""
        return {uid: entry for uid, entry in self.in_flight.items() if entry.since < moment}
