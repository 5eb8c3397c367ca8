"""What differs between a mailbox on the server and its rows. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from mailcore.imap.sequence import UidSet
from mailcore.store import StoredOrigin

Place = tuple[int, int]
"""UIDVALIDITY and UID of a message."""


@dataclass(frozen=True, slots=True)
class Difference:
    """`missing`: on the server, and neither stored nor on the way; `gone`: stored, but no longer on the server;
    `doubled`: rows of an earlier UIDVALIDITY whose bytes are stored under the present one as well."""

    missing: frozenset[Place] = frozenset()
    gone: frozenset[Place] = frozenset()
    doubled: frozenset[Place] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.missing or self.gone or self.doubled)

    def __and__(self, later: Difference) -> Difference:
        """What a second look found again: mail that was only on its way is in one of the two."""
        return Difference(self.missing & later.missing, self.gone & later.gone, self.doubled & later.doubled)


def compare(
    uidvalidity: int,
    *,
    server: UidSet,
    wanted: UidSet,
    stored: Iterable[int],
    on_the_way: Iterable[int] = (),
    older: Iterable[StoredOrigin] = (),
    hashes: Collection[str] = (),
) -> Difference:
    """`wanted` is that part of `server` that IMAP_BACKFILL asks for; `stored` are the UIDs of the rows that are not
    expunged, `hashes` the SHA-256 of those; `older` are such rows under another UIDVALIDITY; `on_the_way` is what is in
    flight or a dead letter."""
    rows = UidSet(stored)
    places = [(origin.sha256 in hashes, (origin.uidvalidity, origin.uid)) for origin in older]
    return Difference(
        missing=frozenset((uidvalidity, uid) for uid in wanted - rows - UidSet(on_the_way)),
        gone=frozenset((uidvalidity, uid) for uid in rows - server) | {place for known, place in places if not known},
        doubled=frozenset(place for known, place in places if known),
    )


def uids_text(places: Iterable[Place], limit: int = 60) -> str:
    """The UIDs as sequence sets, by UIDVALIDITY, each cut at `limit` characters: `UIDVALIDITY 7: 3,9:12`."""
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for uidvalidity, uid in places:
        groups[uidvalidity].append(uid)
    texts = ((uidvalidity, str(UidSet(uids))) for uidvalidity, uids in sorted(groups.items()))
    return "; ".join(
        f"UIDVALIDITY {uidvalidity}: UID {text if len(text) <= limit else text[:limit].rpartition(',')[0] + ',…'}"
        for uidvalidity, text in texts
    )
