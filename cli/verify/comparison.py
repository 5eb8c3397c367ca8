"""What differs between a mailbox on the server and its rows. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from mailcore.difference import Category
from mailcore.imap.sequence import UidSet
from mailcore.store import StoredOrigin

Place = tuple[int, int]
"""UIDVALIDITY and UID of a message."""

_NONE: Final[frozenset[Place]] = frozenset()


@dataclass(frozen=True, slots=True)
class Differences:
    """The messages that differ, each in one category; a category that is not named has none."""

    places: Mapping[Category, frozenset[Place]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any(self.places.values())

    def __getitem__(self, category: Category) -> frozenset[Place]:
        return self.places.get(category, _NONE)

    @property
    def all(self) -> frozenset[Place]:
        return _NONE.union(*self.places.values())

    def only(self, places: frozenset[Place]) -> Differences:
        """Those of them that are among `places`."""
        return Differences({category: kept for category, found in self.places.items() if (kept := found & places)})


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a mailbox that are not expunged: the UIDs under the present UIDVALIDITY, the places under others, and
    all that share their SHA-256 with another one."""

    uids: UidSet
    older: Collection[StoredOrigin] = ()
    equal: Collection[StoredOrigin] = ()


def compare(
    uidvalidity: int,
    *,
    server: UidSet,
    wanted: UidSet,
    whole: bool,
    rows: Rows,
    in_flight: Iterable[int] = (),
    dead: Iterable[int] = (),
    refused: Iterable[int] = (),
    unlike: Collection[int] = (),
) -> Differences:
    """`wanted` is that part of `server` that IMAP_BACKFILL asks for. Unless the list is `whole`, nothing is gone that
    it lacks. `in_flight`, `dead` and `refused` are UIDs, in any overlap: stored comes before dead, dead before in
    flight, that before refused. `unlike` are UIDs for which the server has other bytes than those of the row."""

    def here(one: StoredOrigin) -> bool:
        return one.uidvalidity == uidvalidity and one.uid in server

    open_ones = wanted - rows.uids
    found: dict[Category, frozenset[Place]] = {}
    for category, uids in ((Category.DEAD, dead), (Category.IN_FLIGHT, in_flight), (Category.REFUSED, refused)):
        these = UidSet(uids) & open_ones
        open_ones -= these
        found[category] = _places(uidvalidity, these)
    found[Category.MISSING] = _places(uidvalidity, open_ones)

    honest = {one.sha256 for one in rows.equal if here(one) and one.uid not in unlike}
    spare = {_place(one) for one in rows.equal if one.sha256 in honest and not (here(one) and one.uid not in unlike)}
    absent = _places(uidvalidity, rows.uids - server) | {_place(one) for one in rows.older}
    found[Category.ALTERED] = _places(uidvalidity, UidSet(unlike) & rows.uids & server) - spare
    if not whole:  # what the list lacks may be there: that leaves what it has, and other UIDVALIDITYs
        spare = {place for place in spare if place[0] != uidvalidity or place[1] in server}
        absent = _NONE
    found[Category.GONE] = absent - spare
    found[Category.DOUBLED] = frozenset(spare)
    return Differences({category: places for category, places in found.items() if places})


def _place(one: StoredOrigin) -> Place:
    return one.uidvalidity, one.uid


def _places(uidvalidity: int, uids: Iterable[int]) -> frozenset[Place]:
    return frozenset((uidvalidity, uid) for uid in uids)


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
