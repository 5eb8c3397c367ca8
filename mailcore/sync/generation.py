"""What a UIDVALIDITY means for the messages under it (I7), and what counts as new."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from mailcore.events.message import Kind
from mailcore.imap.sequence import MAX_UID, UidSet

_MONTHS: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()  # strftime would follow the locale


@dataclass(frozen=True, slots=True)
class Birth:
    """When we first saw the account and this mailbox of it, and UIDNEXT at the start of this generation.

    `first` says whether this is the generation under which we first saw the mailbox.
    """

    account_seen_at: datetime
    seen_at: datetime
    uidnext: int
    first: bool = True

    @property
    def dated(self) -> bool:
        """Whether mail below UIDNEXT may have come after the account was first seen, and its INTERNALDATE tells: the
        mailbox is younger, or a later generation has renumbered old mail from 1."""
        return not self.first or self.seen_at > self.account_seen_at

    def kind(self, uid: int, received_at: datetime) -> Kind:
        """Of bytes that the account does not have: `new` arrived since it was first seen. INTERNALDATE has whole
        seconds (RFC 9051 §9, date-time)."""
        since = self.account_seen_at.replace(microsecond=0)
        if uid >= self.uidnext or (self.dated and received_at >= since):
            return Kind.NEW
        return Kind.BACKFILL

    def arrived(self, uids: UidSet) -> UidSet:
        """Those of `uids` that are in scope whatever IMAP_BACKFILL says."""
        return uids & UidSet.from_ranges([(self.uidnext, MAX_UID)]) if self.uidnext <= MAX_UID else UidSet()

    def criteria(self, backfill: Literal["all", "none"] | int) -> str:
        """IMAP_BACKFILL as SEARCH criteria for what is in scope besides: "ALL", "" for nothing, or "SINCE …", which
        knows days only (RFC 9051 §6.4.4), so one day more is asked for than is needed."""
        if backfill == "all" or (backfill == "none" and not self.dated):
            return "ALL" if backfill == "all" else ""
        since = self.account_seen_at - timedelta(days=(0 if backfill == "none" else int(backfill)) + 1)
        return f"SINCE {since.day}-{_MONTHS[since.month - 1]}-{since.year}"


@dataclass(frozen=True, slots=True)
class OldPlace:
    """Where the same bytes were stored before."""

    uidvalidity: int
    uid: int


class OldGenerations:
    """The stored, not expunged messages of earlier UIDVALIDITYs by the SHA-256 of their bytes.

    Two mails with equal bytes are two entries: each is given out once, the oldest first.
    """

    def __init__(self, places: Iterable[tuple[str, int, int]] = ()) -> None:
        self._by_hash: defaultdict[str, list[OldPlace]] = defaultdict(list)
        self._settled: set[OldPlace] = set()
        for sha256, uidvalidity, uid in sorted(places, key=lambda place: place[1:], reverse=True):
            self._by_hash[sha256].append(OldPlace(uidvalidity, uid))

    def __bool__(self) -> bool:
        return bool(self._by_hash)

    def add(self, sha256: str, place: OldPlace) -> None:
        """It was stored when its generation had ended already."""
        if place not in self._settled and place not in self._by_hash.get(sha256, ()):
            self._by_hash[sha256].append(place)

    def take(self, sha256: str) -> OldPlace | None:
        """The place to rebind from, or None: the mail is unknown."""
        places = self._by_hash.get(sha256, [])
        found = None
        while places and found is None:
            place = places.pop()
            if place not in self._settled:
                found = place
        if not places:
            self._by_hash.pop(sha256, None)
        return found

    def give_back(self, sha256: str, place: OldPlace) -> None:
        """The rebinding failed; it may be tried again."""
        self._by_hash[sha256].append(place)

    def settled(self, place: OldPlace) -> None:
        """The row of `place` is bound to its new identity, perhaps by a rebinding from before this process began."""
        self._settled.add(place)

    def rest(self) -> list[OldPlace]:
        """What no message of the new generation has claimed."""
        return sorted(
            (place for places in self._by_hash.values() for place in places if place not in self._settled),
            key=lambda place: (place.uidvalidity, place.uid),
        )
