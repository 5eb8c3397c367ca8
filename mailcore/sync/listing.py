"""What a server tells of the UIDs in a mailbox, and when that may be believed. Never a watermark, a date or a flag."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mailcore.imap.sequence import UidSet


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The four numbers of STATUS (RFC 9051 §6.3.11, RFC 7162 §3.1.7); None where the server does not tell."""

    uidvalidity: int | None
    uidnext: int | None
    messages: int | None
    highestmodseq: int | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """What one sweep saw on one connection. `scope` are those of `uids` that IMAP_BACKFILL asks for; `exists` is EXISTS
    as it stood after the listing, `messages` what STATUS said before; None where the server did not tell."""

    uidvalidity: int
    uids: UidSet
    scope: UidSet
    exists: int | None
    messages: int | None
    connection: object


def contradiction(found: Listing) -> str:
    """Why the listing is not whole, "" if it is: EXISTS is the number of messages (RFC 9051 §7.4.1), so as many UIDs
    must be listed; STATUS may have told fewer before, as mail arrives, but not more."""
    if found.exists is None:
        return (
            "the server does not tell how many messages there are, so what it does not list may be there all the same"
        )
    if found.exists != len(found.uids):
        return f"the server lists {len(found.uids)} messages and says that {found.exists} exist"
    if found.messages is not None and found.messages > found.exists:
        return f"the server lists {found.exists} messages and its STATUS says {found.messages}"
    return ""


def unchanged(before: Snapshot | None, now: Snapshot) -> bool:
    """Whether the UIDs on the server are provably those of `before`, whatever became of flags.

    UIDNEXT grows with each arrival (RFC 9051 §2.3.1.1) and MESSAGES falls with each expunge; without UIDNEXT an
    arrival and an expunge between two looks would cancel out, so then only an equal HIGHESTMODSEQ proves it.
    """
    if before is None or now.uidvalidity is None or now.messages is None:
        return False
    if (before.uidvalidity, before.uidnext, before.messages) != (now.uidvalidity, now.uidnext, now.messages):
        return False
    return now.uidnext is not None or (now.highestmodseq is not None and now.highestmodseq == before.highestmodseq)


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
