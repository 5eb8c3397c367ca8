"""What is known of one mailbox generation while the process runs: the ledger, and who wants to hear of its changes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import trio

from mailcore.events.control import MailboxResult
from mailcore.events.identity import Identity, MailboxKey
from mailcore.events.message import FoundBy
from mailcore.imap.sequence import UidSet
from mailcore.sync.generation import Birth, OldGenerations
from mailcore.sync.ledger import Ledger
from syncer.credit import Credit


@dataclass(slots=True)
class Tally:
    """One sync run over one mailbox: what it found and what has become of it."""

    run_id: str
    found_by: FoundBy
    asked: bool = False  # by a person, perhaps after it began
    found: set[int] = field(default_factory=set)
    published: set[int] = field(default_factory=set)
    stored: set[int] = field(default_factory=set)
    pending: set[int] = field(default_factory=set)
    errors: dict[int, str] = field(default_factory=dict)
    expunged: int = 0
    looked: bool = False
    reported: bool = False
    error: str = ""
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    settled: trio.Event = field(default_factory=trio.Event)

    def add(self, uids: UidSet) -> None:
        fresh = set(uids) - self.found
        self.found |= fresh
        self.pending |= fresh

    def drop(self, uid: int) -> None:
        """`uid` is settled, whichever way."""
        self.pending.discard(uid)
        self.check()

    def check(self) -> None:
        if self.looked and not self.pending and not self.settled.is_set():
            self.ended = time.monotonic()
            self.settled.set()

    def fail(self, error: str) -> None:
        """The mailbox could not be compared at all."""
        self.error = error
        self.looked = True
        self.pending.clear()
        self.check()

    def result(self, key: MailboxKey) -> MailboxResult:
        error = self.error or (
            f"{len(self.errors)} message(s) could not be taken, UID {next(iter(self.errors))}: "
            f"{next(iter(self.errors.values()))}"
            if self.errors
            else ""
        )
        running = not self.settled.is_set()
        return MailboxResult(
            account=key.account,
            mailbox=key.mailbox,
            status="running" if running else ("failed" if error else "ok"),
            error=error,
            found=len(self.found),
            published=len(self.published),
            stored=len(self.stored),
            expunged=self.expunged,
            duration_ms=round(((self.ended or time.monotonic()) - self.began) * 1000),
        )


class Book:
    """The ledger of one generation with its byte credit and the runs that wait on it."""

    def __init__(
        self, key: MailboxKey, mailbox_id: int, ledger: Ledger, birth: Birth, old: OldGenerations, credit: Credit
    ) -> None:
        self.key = key
        self.mailbox_id = mailbox_id
        self.ledger = ledger
        self.birth = birth
        self.old = old
        self.credit = credit
        self.failed: dict[int, str] = {}
        self.tallies: list[Tally] = []

    def identity(self, uid: int) -> Identity:
        return Identity(self.key.account, self.key.mailbox, self.ledger.uidvalidity, uid)

    def published(self, uid: int, seq: int, size: int) -> None:
        """PubAck came for `uid`."""
        self.failed.pop(uid, None)
        if self.ledger.published(uid, seq, size, time.monotonic()):
            self.credit.take(size)
        for tally in self.tallies:
            if uid in tally.found:
                tally.published.add(uid)

    def settled(self, uid: int, *, dead: str = "") -> None:
        """The consumer stored it, or dead-lettered it for the reason `dead`."""
        entry = self.ledger.settle(uid, dead=bool(dead))
        self.failed.pop(uid, None)
        if entry is not None:
            self.credit.give(entry.size)
        for tally in self.tallies:
            if uid in tally.found:
                if dead:
                    tally.errors[uid] = f"dead-lettered: {dead}"
                else:
                    tally.stored.add(uid)
                tally.drop(uid)

    def release(self, uid: int) -> None:
        """Nobody takes care of `uid` now; it stays pending in the runs that found it, for the next look."""
        entry = self.ledger.in_flight.get(uid)
        self.ledger.release(uid)
        if entry is not None:
            self.credit.give(entry.size)

    def vanished(self, uid: int) -> None:
        """The server has it no longer."""
        self.release(uid)
        self.failed.pop(uid, None)
        for tally in self.tallies:
            tally.drop(uid)

    def fail(self, uid: int, error: str) -> None:
        """The server would not give this message; every look tries again."""
        self.release(uid)
        self.failed[uid] = error
        for tally in self.tallies:
            if uid in tally.found:
                tally.errors[uid] = error
                tally.drop(uid)

    def compared(self, server: UidSet) -> None:
        """A comparison saw `server`: what a run still waits for and is neither there nor on its way has vanished."""
        for tally in self.tallies:
            for uid in [u for u in tally.pending if u not in server and not self.ledger.knows(u)]:
                tally.drop(uid)
        for uid in [u for u in self.failed if u not in server]:
            del self.failed[uid]

    def close(self) -> None:
        """The generation ended: its bytes no longer count, its runs are told."""
        for entry in self.ledger.in_flight.values():
            self.credit.give(entry.size)
        self.ledger.in_flight.clear()
        for tally in self.tallies:
            tally.pending.clear()
            tally.check()
