"""The database of one process, behind methods that take and give our own types and raise StoreError alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import datetime
from typing import Self, Unpack

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from mailcore.errors import StoreError
from mailcore.events.identity import Identity, MailboxKey
from mailcore.store import mailboxes, messages, migration
from mailcore.store.engine import WRITE, is_memory, make_engine, parse_url
from mailcore.store.failure import FAILURES, store_error
from mailcore.store.row import MailboxColumns, MailboxState, MessageRow, Move, Place, Slot, StoredOrigin


class Store:
    """One per process; any task of its event loop may call it at any time.

    Every method raises StoreError: scope MESSAGE and retry NEVER when the database refused a row, scope PROCESS and
    retry LATER when it was not available. Every write may be repeated.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{WRITE: True})
        # SQLite has one writer: a queue in here is fairer and quicker than its busy timeout. In memory there is but one
        # connection, and its readers must not see the inside of a transaction either.
        on_sqlite = engine.dialect.name == "sqlite"
        self._write_lock = asyncio.Lock() if on_sqlite else None
        self._read_lock = self._write_lock if is_memory(engine.url) else None

    @classmethod
    async def open(cls, url: str) -> Self:
        """`url` is DATABASE_URL (`sqlite+aiosqlite:///data/mozzart.db`, `postgresql+asyncpg://…`). Connects to nothing
        yet, so a database that is down is no error here; raises SettingsError for a URL that is none."""
        return cls(make_engine(parse_url(url)))

    def __repr__(self) -> str:
        return f"<Store {self._engine.url.get_backend_name()}>"

    async def close(self) -> None:
        await self._engine.dispose()

    async def upgrade(self) -> None:
        """Bring the tables to this version. Processes that do it at once wait for each other."""
        async with self._write("upgrading the tables") as connection:
            await connection.run_sync(migration.upgrade)

    async def current(self) -> str | None:
        """The revision of the tables; None before the first `upgrade`."""
        async with self._read("reading the revision of the tables") as connection:
            return await connection.run_sync(migration.current)

    async def check(self) -> None:
        """Raises StoreError, saying what to do, unless the database answers and its tables are those of this
        version."""
        found, wanted = await self.current(), migration.newest()
        if found != wanted:
            raise StoreError(
                f"the tables are at revision {found or 'none'}, this version needs {wanted}; run `mozzart db upgrade`"
            )

    async def load_mailbox(self, key: MailboxKey) -> MailboxState | None:
        async with self._read(f"loading the mailbox {key}") as connection:
            return await mailboxes.load(connection, key)

    async def save_mailbox(self, key: MailboxKey, **columns: Unpack[MailboxColumns]) -> MailboxState:
        """Create the row if there is none, and set these columns; the others keep what they hold. For the syncer alone
        (I6)."""
        async with self._write(f"saving the mailbox {key}") as connection:
            return await mailboxes.save(connection, key, columns)

    async def mailbox_states(self) -> list[MailboxState]:
        """All, by account and name."""
        async with self._read("loading the mailboxes") as connection:
            return await mailboxes.load_all(connection)

    async def stored_uids(self, mailbox_id: int, uidvalidity: int) -> list[int]:
        """The UIDs that are stored and not expunged, ascending."""
        async with self._read("loading stored UIDs") as connection:
            return await messages.stored_uids(connection, mailbox_id, uidvalidity)

    async def stored_among(self, mailbox_id: int, uidvalidity: int, uids: Iterable[int]) -> set[int]:
        """Those of `uids` that are stored and not expunged."""
        async with self._read("looking up stored UIDs") as connection:
            return await messages.stored_among(connection, [Slot(mailbox_id, uidvalidity, uid) for uid in uids])

    async def other_generations(self, mailbox_id: int, uidvalidity: int) -> list[StoredOrigin]:
        """What is stored and not expunged under any UIDVALIDITY but this one: candidates for a rebind (I7)."""
        async with self._read("loading other generations") as connection:
            return await messages.other_generations(connection, mailbox_id, uidvalidity)

    async def count_messages(self, mailbox_id: int | None = None) -> int:
        """Messages that are stored and not expunged, of one mailbox or of all."""
        async with self._read("counting messages") as connection:
            return await messages.count(connection, mailbox_id)

    async def locate(self, identities: Iterable[Identity]) -> dict[Identity, Place]:
        """Where they belong and whether they have a row (expunged or not), also where the identity is one that a rebind
        replaced. Those whose mailbox has no row are left out."""
        async with self._read("looking up messages") as connection:
            wanted = set(identities)
            ids = await mailboxes.ids(connection, {each.key for each in wanted})
            slots = {each: Slot(ids[each.key], each.uidvalidity, each.uid) for each in wanted if each.key in ids}
            known = await messages.known(connection, slots.values())
            return {each: Place(slot, known.get(slot)) for each, slot in slots.items()}

    async def insert_messages(self, rows: Sequence[MessageRow]) -> list[int]:
        """One transaction: all rows with their attachments, or none. The ids in order. A row whose identity is there
        already (I4) is left alone and its id is returned."""
        if not rows:
            return []
        async with self._write(f"storing {len(rows)} messages") as connection:
            return await messages.add(connection, rows)

    async def rebind(self, moves: Sequence[Move]) -> list[int | None]:
        """I7: give rows new identities, files untouched. The row ids in order; None where neither the old nor the new
        identity has a row. Where the new one has a row nothing changes: it was done before."""
        if not moves:
            return []
        async with self._write(f"rebinding {len(moves)} messages") as connection:
            return await messages.move(connection, moves)

    async def mark_expunged(self, marks: Iterable[tuple[Identity, datetime]]) -> None:
        """Set `expunged_at`; unknown identities are passed over and the first time stays."""
        async with self._write("marking expunged messages") as connection:
            wanted = list(marks)
            ids = await mailboxes.ids(connection, {identity.key for identity, _ in wanted})
            slots = [
                (Slot(ids[identity.key], identity.uidvalidity, identity.uid), at)
                for identity, at in wanted
                if identity.key in ids
            ]
            await messages.set_expunged(connection, slots)

    async def mark_present(self, row_ids: Sequence[int]) -> None:
        """Clear `expunged_at`: the server has the messages after all."""
        async with self._write("marking messages as present") as connection:
            await messages.set_present(connection, row_ids)

    def _write(self, doing: str) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._transaction(self._writer, self._write_lock, doing)

    def _read(self, doing: str) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._transaction(self._engine, self._read_lock, doing)

    @asynccontextmanager
    async def _transaction(
        self, engine: AsyncEngine, lock: asyncio.Lock | None, doing: str
    ) -> AsyncIterator[AsyncConnection]:
        try:
            async with lock or nullcontext(), engine.begin() as connection:
                yield connection
        except FAILURES as error:
            raise store_error(error, doing) from None
