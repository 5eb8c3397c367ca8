"""One mailbox: what its tasks (live, look, drain, save) share, and how they are started."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
import trio

from mailcore.aio import aio
from mailcore.bus import Bus
from mailcore.errors import MozzartError
from mailcore.events.control import MailboxLive
from mailcore.events.identity import Identity, MailboxKey
from mailcore.events.message import FoundBy
from mailcore.events.thin import Dead, Stored
from mailcore.imap.sequence import UidSet
from mailcore.settings import Account
from mailcore.store import Store
from mailcore.sync.generation import OldPlace
from mailcore.sync.reconcile import Snapshot
from syncer.book import Book, Tally
from syncer.connections import Connections
from syncer.credit import Credit
from syncer.server import Servers

log = structlog.get_logger(__name__)
SAVE_PAUSE = 1.0


@dataclass(slots=True)
class Shared:
    """What all mailboxes of the process share. `unsettled` and `dead` are what JetStream knew at the start, and what
    mailboxes knew that are synced no longer."""

    bus: Bus
    store: Store
    credit: Credit
    spool: Path
    interval: float
    servers: Servers
    unsettled: dict[Identity, tuple[int, int]] = field(default_factory=dict)
    dead: set[Identity] = field(default_factory=set)
    stream_made: str = ""  # when the stream MAIL was created, as JetStream tells


class Mailbox:
    """The state of one mailbox in this process."""

    def __init__(self, account: Account, name: str, connections: Connections, shared: Shared) -> None:
        self.account = account
        self.key = MailboxKey(account.name, name)
        self.connections = connections
        self.shared = shared
        self.log = log.bind(account=account.name, mailbox=name)
        self.book: Book | None = None
        self.opened = trio.Event()
        self.backlog = UidSet()
        self.work = trio.Event()
        self.snapshot: Snapshot | None = None
        self.highest = 0
        self.live_from: int | None = None  # the live connection announces UIDs from here on
        self.interrupt: Callable[[], None] | None = None  # ends a running IDLE
        self.missed = 0
        self.swept_at = 0.0  # seconds since 1970, when a sweep last came to its end
        self.status_took = 1.0  # seconds
        self.connection = "connecting"
        self.since = datetime.now(UTC)
        self.error = ""
        self.tally: Tally | None = None
        self.want_full = True
        self.wanted = trio.Event()
        self._early: list[Stored | Dead] = []
        self._unsaved: dict[str, Any] = {}
        self._to_save = trio.Event()

    # -- what happened -------------------------------------------------------------------------------------------------

    def entered(self, connection: str, error: str = "") -> None:
        """The live connection is in another state now: one log line, and the states that the api shows."""
        if (connection, error) != (self.connection, self.error):
            self.log.info("connection", state=connection, **({"error": error} if error else {}))
            self.since = datetime.now(UTC)
        self.connection, self.error = connection, error
        if error:
            self.remember(last_error=error, last_error_at=datetime.now(UTC))

    def install(self, book: Book) -> None:
        """A generation begins: its ledger takes over."""
        if self.book is not None:
            book.tallies = self.book.tallies
            self.book.close()
        self.book = book
        self.backlog = UidSet()
        self.snapshot = None
        self.opened.set()
        early, self._early = self._early, []
        for event in early:
            self.heard(event)

    def heard(self, event: Stored | Dead) -> None:
        """A consumer's `stored` or `dead`, from the asyncio side of the same thread."""
        book = self.book
        if book is None:
            self._early.append(event)  # the ledger is being read from the database at this moment
            return
        if event.uidvalidity != book.ledger.uidvalidity:
            return
        if isinstance(event, Stored):
            if event.rebound_from is not None:
                book.old.settled(OldPlace(event.rebound_from.uidvalidity, event.rebound_from.uid))
            book.settled(event.uid)
            self.remember()  # the number of stored messages, which `flush` counts
        else:
            book.settled(event.uid, dead=event.error)

    def close(self, reason: str) -> None:
        """It is synced no longer: runs are told why, and what is in flight is kept for whoever opens it again."""
        book = self.book
        for tally in [*([self.tally] if self.tally else []), *(book.tallies if book else [])]:
            if not tally.settled.is_set():
                tally.fail(reason)
        if book is not None:
            ledger = book.ledger
            self.shared.unsettled |= {book.identity(uid): (e.seq, e.size) for uid, e in ledger.in_flight.items()}
            self.shared.dead |= {book.identity(uid) for uid in ledger.dead}
            book.close()

    # -- what is to be done --------------------------------------------------------------------------------------------

    def enqueue(self, uids: UidSet) -> None:
        """Take these from the server, newest first."""
        if uids:
            self.backlog |= uids
            self.work.set()

    def request_look(self, *, full: bool = False, run_id: str = "", found_by: FoundBy = FoundBy.SWEEP) -> Tally:
        """Compare soon. Single-flight: a request during a run joins it and gets its tally."""
        if self.tally is None or self.tally.settled.is_set():
            self.tally = Tally(run_id or uuid.uuid4().hex, found_by)
            if self.book is not None:
                self.book.tallies.append(self.tally)
        if found_by is FoundBy.MANUAL:
            self.tally.asked = True
            self.connections.hurry()
        self.want_full |= full
        self.wanted.set()
        return self.tally

    # -- the row -------------------------------------------------------------------------------------------------------

    def remember(self, **columns: Any) -> None:
        """Columns of the mailbox state row, written soon (once a second at most, never on the way of a message)."""
        self._unsaved |= columns
        self._to_save.set()

    async def save(self) -> None:
        """The task that writes them; a database that is away delays it and stops nothing (I8)."""
        warned = False
        while True:
            await self._to_save.wait()
            self._to_save = trio.Event()
            try:
                await self.flush()
                warned = False
            except MozzartError as error:
                if not warned:
                    self.log.warning("mailbox state not saved; trying again", error=str(error))
                warned = True
                self._to_save.set()
            await trio.sleep(SAVE_PAUSE)

    async def flush(self) -> None:
        """Write them now. `uidvalidity` is not among them: only the opening of a generation writes that one."""
        columns, self._unsaved = self._unsaved, {}
        if self.book is not None:
            columns["stored_count"] = len(self.book.ledger.stored)
        try:
            await aio(self._save_columns, columns)
        except BaseException:  # cancelled, too: what was not written is still to be written
            self._unsaved = columns | self._unsaved
            raise

    async def _save_columns(self, columns: dict[str, Any]) -> None:
        await self.shared.store.save_mailbox(self.key, **columns)

    def live_state(self) -> MailboxLive:
        ledger = self.book.ledger if self.book else None
        return MailboxLive(
            account=self.key.account,
            mailbox=self.key.mailbox,
            connection=self.connection,
            since=self.since,
            in_flight=len(ledger.in_flight) if ledger else 0,
            in_flight_bytes=ledger.bytes_in_flight if ledger else 0,
            error=self.connections.refused or self.error,
        )
