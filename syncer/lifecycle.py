"""Mailboxes that come, go and get other names: what a LIST changes for one account."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from mailcore.aio import aio
from mailcore.errors import CommandFailed, Scope
from mailcore.events.identity import MailboxKey
from mailcore.events.thin import MailboxCreated, MailboxDeleted, MailboxRenamed, ThinEvent
from mailcore.imap.sequence import UidSet
from mailcore.settings import Account
from mailcore.store import MailboxColumns, MailboxState, Store
from mailcore.sync.mailbox_list import Absences, Found, fits, may_be
from syncer.imap.connection import ImapConnection
from syncer.mailbox import Shared
from syncer.mailbox_list import Seen
from syncer.transfer import publish_expunged

log = structlog.get_logger(__name__)
FIRST_SIGHT: Final = timedelta(minutes=1)  # later what came meanwhile is told by its date
SAMPLE: Final = 3  # messages whose bytes tell that a mailbox is the one that had another name
SAMPLE_AMONG: Final = 50
SAMPLE_OCTETS: Final = 1 << 20


class Lifecycle:
    """`begin` starts the tasks of a mailbox that was found at that moment, if they do not run; `end` ends them, and
    returns when they have ended."""

    def __init__(
        self,
        account: Account,
        shared: Shared,
        sight: datetime,
        begin: Callable[[str, datetime], None],
        end: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._account = account
        self._shared = shared
        self._sight = sight
        self._begin = begin
        self._end = end
        self._absences = Absences()
        self._known: set[str] | None = None  # those that the server had at last; None: the database was not asked yet
        self._unseen: set[str] = set()  # those of them that an earlier process knew, and that no LIST has given since
        self._objectids: dict[str, str] = {}  # as their rows have them
        self._deleted: dict[int, str] = {}  # rows of those that are no more, and their names
        self._first = False

    async def take(self, seen: Seen) -> bool:
        """Follow what a LIST told. True: another connection is to confirm that some are missing."""
        known = await self._load(seen.delimiter)
        patterns = tuple(self._account.mailboxes)
        listed = seen.mailboxes.keys()
        for name in sorted(self._unseen & listed):
            self._begin(name, self._sight)
        self._unseen -= listed
        changes = self._absences.compare(known, listed, patterns, seen.connection, whole=seen.whole)
        appeared, missing = set(changes.appeared), set(changes.missing)
        for old in sorted(missing if appeared else ()):
            if (new := await self._renamed(old, appeared, seen)) is not None:
                appeared.discard(new)
                missing.discard(old)
                await self._rename(old, new)
        for name in sorted(appeared):
            await self._appear(name)
        for name in sorted(changes.gone & missing):
            missing.discard(name)
            if await aio(seen.connection.is_gone, name):
                await self._delete(name)
        self._first = False
        await self._note_objectids(seen)
        if self._deleted:  # what was on its way to the database when its mailbox went
            for mailbox_id in await aio(self._shared.store.not_empty, self._deleted):
                await self._expunge(mailbox_id, self._deleted[mailbox_id])
        return bool(missing)

    async def _load(self, delimiter: str | None) -> set[str]:
        if self._known is None:
            rows = await aio(self._shared.store.mailbox_states, self._account.name)
            self._known = {
                row.mailbox
                for row in rows
                if row.deleted_at is None
                and fits(row.mailbox, self._account.mailboxes, delimiter)
                # One that is named plainly has a row that says what is wrong with it before the server has it.
                and (row.uidvalidity is not None or row.mailbox not in self._account.mailboxes)
            }
            self._unseen = set(self._known)
            self._objectids = {row.mailbox: row.objectid for row in rows}
            self._deleted = {row.id: row.mailbox for row in rows if row.deleted_at is not None}
            # Those that are named plainly do not wait for the first LIST.
            self._first = all(row.first_seen_at is None or row.first_seen_at >= self._sight for row in rows)
        return self._known

    def _key(self, name: str) -> MailboxKey:
        return MailboxKey(self._account.name, name)

    async def _appear(self, name: str) -> None:
        now = datetime.now(UTC)
        if not self._first:
            await self._publish(MailboxCreated(account=self._account.name, mailbox=name, at=now))
            log.info("mailbox created", account=self._account.name, mailbox=name)
            state = await aio(self._shared.store.load_mailbox, self._key(name))
            if state is not None and state.deleted_at is not None:
                self._deleted.pop(state.id, None)
                await self._save(name, {"deleted_at": None})
        at_first_sight = self._first and now - self._sight < FIRST_SIGHT
        self._begin(name, self._sight if at_first_sight else now)
        self._present.add(name)

    def _leave(self, name: str) -> None:
        self._present.discard(name)
        self._unseen.discard(name)

    @property
    def _present(self) -> set[str]:
        if self._known is None:
            raise AssertionError("the mailboxes of the account were not loaded")
        return self._known

    async def _renamed(self, old: str, appeared: set[str], seen: Seen) -> str | None:
        """Which of those that appeared is the one that is missing."""
        state = await aio(self._shared.store.load_mailbox, self._key(old))
        if state is None or state.uidvalidity is None:
            return None
        before = Found(state.objectid, state.uidvalidity, state.uidnext)
        for name in sorted(appeared):
            status = seen.mailboxes[name].status
            if status is None:
                status = await aio(seen.connection.status, name)
            now = Found(status.objectid, status.uidvalidity, status.uidnext)
            if may_be(before, now) and (
                (before.objectid and now.objectid) or await self._same_messages(state, name, seen.connection)
            ):
                return name
        return None

    async def _same_messages(self, state: MailboxState, name: str, connection: ImapConnection) -> bool:
        """Whether the mailbox holds messages that are stored for `state`, under the same UIDs and with the same bytes;
        or nothing is stored that could tell."""
        store, uidvalidity = self._shared.store, state.uidvalidity or 0
        try:
            selected = await aio(connection.select, name)
            try:
                if selected.uidvalidity != uidvalidity:
                    return False
                stored = UidSet(await aio(store.stored_uids, state.id, uidvalidity))
                common = stored & await aio(connection.uid_search)
                if stored and not common:
                    return False
                return await aio(_same_bytes, store, connection, state.id, uidvalidity, common.newest(SAMPLE_AMONG))
            finally:
                await aio(connection.unselect)
        except CommandFailed as refused:
            if refused.scope is Scope.ACCOUNT:
                raise
            log.info("mailbox not compared with one that is missing", mailbox=name, error=str(refused))
            return False

    async def _rename(self, old: str, new: str) -> None:
        """First the event, then the row: a crash in between finds the same again."""
        now = datetime.now(UTC)
        state = await aio(self._shared.store.load_mailbox, self._key(old))
        for name in (old, new):
            await self._end(name, f"the mailbox {old!r} is called {new!r} now")
        mailbox_id = state.id if state is not None else 0
        await self._publish(
            MailboxRenamed(account=self._account.name, mailbox=new, at=now, old=old, new=new, mailbox_id=mailbox_id)
        )
        if state is not None:
            await aio(self._shared.store.rename_mailbox, state.id, new)
            # One that had the new name, and is no more, has the old one now.
            self._deleted = {row: old if name == new else name for row, name in self._deleted.items()}
        self._shared.origins.renamed(self._key(old), self._key(new))
        log.info("mailbox renamed", account=self._account.name, old=old, new=new)
        self._leave(old)
        self._present.add(new)
        self._objectids[new] = self._objectids.pop(old, "")
        self._begin(new, now)
        self._restart(old, now)

    async def _delete(self, name: str) -> None:
        """First the events, then the row: a crash in between finds the same again."""
        now = datetime.now(UTC)
        await self._end(name, "the mailbox is not on the server any more")
        state = await aio(self._shared.store.load_mailbox, self._key(name))
        if state is not None:
            await self._expunge(state.id, name)
        await self._publish(
            MailboxDeleted(
                account=self._account.name, mailbox=name, at=now, mailbox_id=state.id if state is not None else 0
            )
        )
        if state is not None:
            await self._save(name, {"deleted_at": now})
            self._deleted[state.id] = name
        log.info("mailbox deleted", account=self._account.name, mailbox=name)
        self._leave(name)
        self._objectids.pop(name, None)
        self._restart(name, now)

    def _restart(self, name: str, now: datetime) -> None:
        """A mailbox that is asked for by its name is waited for."""
        if name in self._account.mailboxes:
            self._begin(name, now)

    async def _expunge(self, mailbox_id: int, name: str) -> None:
        """Announce all that is stored of it as expunged."""
        store, bus = self._shared.store, self._shared.bus
        places = await aio(store.present, mailbox_id)
        while places:
            gone = [(place.uidvalidity, place.uid) for place in places]
            await aio(publish_expunged, bus, self._key(name), mailbox_id, gone)
            places = await aio(store.present, mailbox_id, places[-1])

    async def _note_objectids(self, seen: Seen) -> None:
        """MAILBOXID (RFC 8474) tells a rename for certain; a row is made by the first sweep."""
        for name, listed in seen.mailboxes.items():
            told = listed.status.objectid if listed.status is not None else ""
            if told and self._objectids.get(name) != told:
                await self._save(name, {"objectid": told})
                self._objectids[name] = told

    async def _save(self, name: str, columns: MailboxColumns) -> None:
        key = self._key(name)

        async def save() -> None:
            await self._shared.store.save_mailbox(key, **columns)

        await aio(save)

    async def _publish(self, event: ThinEvent) -> None:
        await aio(self._shared.bus.publish, event)


async def _same_bytes(
    store: Store, connection: ImapConnection, mailbox_id: int, uidvalidity: int, uids: UidSet
) -> bool:
    """The smallest are compared, and what was asked for is taken to its end: the connection is used further. Those that
    the server does not give tell nothing."""
    known = await store.contents(mailbox_id, uidvalidity, uids)
    small = sorted((size, uid) for uid, (size, _) in known.items() if size < SAMPLE_OCTETS)[:SAMPLE]
    same = True
    if small:
        async for message in connection.uid_fetch_messages(UidSet(uid for _, uid in small), limit=SAMPLE_OCTETS):
            if message.body is not None:
                same &= hashlib.sha256(message.body).hexdigest() == known[message.uid][1]
    return same
