"""The comparison of server and ledger: a set difference over UIDs, never a watermark, a date or a flag."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass

from mailcore.imap.sequence import UidSet
from mailcore.sync.ledger import InFlight, Ledger


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The four numbers of STATUS (RFC 9051 §6.3.11, RFC 7162 §3.1.7); None where the server does not tell."""

    uidvalidity: int
    uidnext: int | None
    messages: int
    highestmodseq: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What one comparison asks for."""

    missing: UidSet
    gone: UidSet

    def __bool__(self) -> bool:
        return bool(self.missing or self.gone)


def unchanged(before: Snapshot | None, now: Snapshot) -> bool:
    """Whether the UIDs on the server are provably those of `before`.

    UIDNEXT grows with each arrival (RFC 9051 §2.3.1.1) and MESSAGES falls with each expunge; without UIDNEXT an
    arrival and an expunge between two looks would cancel out, so then only an equal HIGHESTMODSEQ proves it.
    """
    if before is None or before != now:
        return False
    return now.uidnext is not None or now.highestmodseq is not None


def plan(server: UidSet, stored_before: UidSet, ledger: Ledger) -> Plan:
    """`stored_before` is the ledger's stored set from before the server was asked: what was stored while the answer
    travelled must not be taken for gone."""
    return Plan(missing=ledger.missing(server), gone=stored_before - server)


def batches(sizes: Iterable[tuple[int, int]], *, count: int, octets: int) -> Iterator[tuple[list[int], int]]:
    """Group (UID, size) pairs, in their order, into (UIDs, total size): at most `count` UIDs and, unless one message
    alone is larger, `octets` bytes each."""
    uids: list[int] = []
    total = 0
    for uid, size in sizes:
        if uids and (len(uids) >= count or total + size > octets):
            yield uids, total
            uids, total = [], 0
        uids.append(uid)
        total += size
    if uids:
        yield uids, total


@dataclass(frozen=True, slots=True)
class Audit:
    """What became of messages that have been in flight for long."""

    stored: frozenset[int]
    lost: frozenset[int]


def audit(
    in_flight: Mapping[int, InFlight],
    stored: Set[int],
    *,
    ack_floor: int,
    first_seq: int,
    last_seq: int,
    made_anew: bool = False,
) -> Audit:
    """`stored` are the UIDs of `in_flight` that the database holds, read after `ack_floor` (a stream sequence: all up
    to it is acknowledged). What the stream has acknowledged, dropped or never had, and the database does not hold, is
    lost; all of it when the stream was `made_anew` since, with sequences from 1."""
    gone = {
        uid
        for uid, entry in in_flight.items()
        if uid not in stored and (made_anew or entry.seq <= ack_floor or entry.seq < first_seq or entry.seq > last_seq)
    }
    return Audit(stored=frozenset(uid for uid in in_flight if uid in stored), lost=frozenset(gone))
