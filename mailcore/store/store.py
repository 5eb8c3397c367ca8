"""The database of one process, behind methods that take and give our own types and raise StoreError, or Fault,
alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from mailcore.api_token import ApiToken
from mailcore.audit import Entry
from mailcore.errors import MozzartError, Scope, StoreError
from mailcore.events.identity import Identity, MailboxKey
from mailcore.fault import told
from mailcore.store import (
    accounts,
    api_tokens,
    attachments,
    audit,
    budgets,
    deletion,
    lookup,
    mailboxes,
    messages,
    migration,
    pruning,
    reading,
    reports,
    threads,
    tokens,
    untold,
)
from mailcore.store.engine import Engine, make_engine, parse_url
from mailcore.store.failure import is_fault, store_error
from mailcore.store.page import (
    AttachmentDetail,
    Cursor,
    MessageDetail,
    MessageFilter,
    MessagePage,
    MessageThread,
    Portion,
    StoredAt,
)
from mailcore.store.patience import Patience, current
from mailcore.store.row import (
    AccountRow,
    KeptBudget,
    KeptToken,
    Location,
    MailboxColumns,
    MailboxState,
    MessageRow,
    Move,
    PresentDigest,
    RowFlags,
    Slot,
    StoredDigest,
    StoredOrigin,
    Untold,
    VerifyColumns,
    VerifyReport,
)

T = TypeVar("T")
P = ParamSpec("P")


class Store:
    """One per process; any task of its event loop may call it at any time.

    Every method raises StoreError: scope MESSAGE and retry NEVER when the database refused a row, scope PROCESS and
    retry LATER when it was not available. A bug of ours is a Fault, and in the log. Every write may be repeated.
    """

    def __init__(self, engine: Engine, patience: float | None = None) -> None:
        self._engine = engine
        self.patience = patience
        # A row id is for ever; were the table made anew, the foreign key would tell.
        self._mailbox_ids: dict[mailboxes.Told, int] = {}

    @classmethod
    async def open(cls, url: str, patience: float | None = None) -> Self:
        """`url` is DATABASE_URL (`sqlite+aiosqlite:///data/mozzart.db`, `postgresql+asyncpg://…`). Connects to nothing
        yet, so a database that is down is no error here; raises SettingsError for a URL that is none. `patience`:
        seconds after which a call raises StoreError while its transaction waits, say for a lock of somebody else; where
        whoever asks has a patience of its own (mailcore/store/patience.py), that one holds."""
        return cls(make_engine(parse_url(url), patience), patience)

    def __repr__(self) -> str:
        return f"<Store {self._engine.name}>"

    async def close(self) -> None:
        await self._engine.close()

    async def upgrade(self) -> None:
        """Bring the tables to this version; those of a later one stay as they are. Processes that do it at once wait
        for each other."""
        await self._run("upgrading the tables", migration.upgrade, writes=True, unhurried=True)

    async def current(self) -> str | None:
        """The revision of the tables; None before the first `upgrade`."""
        return await self._read("reading the revision of the tables", migration.current)

    async def check(self) -> None:
        """Raises StoreError, saying what to do, unless the database answers and its tables are those of this version or
        of a later one."""
        found, wanted = await self.current(), migration.newest()
        if found != wanted and not migration.is_later(found):
            raise StoreError(
                f"the tables are at revision {found or 'none'}, this version needs {wanted}; run `mozzart db upgrade`"
            )

    async def lacking(self) -> list[str]:
        """The tables and columns (`table.column`) that this version uses and the database does not have."""
        return await self._read("inspecting the tables", migration.missing)

    async def load_mailbox(self, key: MailboxKey) -> MailboxState | None:
        return await self._read(f"loading the mailbox {key}", mailboxes.load, key)

    async def save_mailbox(self, key: MailboxKey, **columns: Unpack[MailboxColumns]) -> MailboxState:
        """Create the row if there is none, and set these columns; the others keep what they hold. For the syncer alone
        (I6)."""
        return await self._write(f"saving the mailbox {key}", mailboxes.save, key, columns)

    async def rename_mailbox(self, mailbox_id: int, name: str) -> None:
        """Its rows stay as they are. For the syncer alone (I6)."""
        await self._write(f"renaming the mailbox {mailbox_id} to {name!r}", mailboxes.rename, mailbox_id, name)

    async def present(self, mailbox_id: int, after: Slot | None = None, limit: int = 1000) -> list[Slot]:
        """The messages of a mailbox that are not expunged, of all generations, in their order: `limit` at most, those
        behind `after`."""
        last = after or Slot(mailbox_id, 0, 0)
        return await self._read("looking for what is present", lookup.present, mailbox_id, last, limit)

    async def not_empty(self, mailbox_ids: Iterable[int]) -> set[int]:
        """Those of the mailboxes that have messages which are not expunged."""
        return await self._read("looking for what is present", lookup.not_empty, mailbox_ids)

    async def contents(self, mailbox_id: int, uidvalidity: int, uids: Iterable[int]) -> dict[int, tuple[int, str]]:
        """Size and SHA-256 of those that have a row, by UID."""
        slots = [Slot(mailbox_id, uidvalidity, uid) for uid in uids]
        known = await self._read("looking up messages", lookup.known, slots)
        return {slot.uid: (row.size, row.sha256) for slot, row in known.items()}

    async def mailbox_states(self, account: str | None = None) -> list[MailboxState]:
        """All, or those of one account, by account and name."""
        return await self._read("loading the mailboxes", mailboxes.load_all, account)

    async def mailboxes_of(self, account: str) -> list[tuple[int, str]]:
        """The row ids and names of its mailboxes, the first seen first."""
        return await self._read(f"loading the mailboxes of {account}", mailboxes.of_account, account)

    async def account_seen_at(self, account: str) -> datetime | None:
        """When the account was first seen, which is when the first of its mailboxes was; None before."""
        return await self._read(f"loading the mailboxes of {account}", mailboxes.account_seen_at, account)

    async def accounts(self) -> list[AccountRow]:
        """Those of the database, by name; also those that were removed."""
        return await self._read("loading the accounts", accounts.load_all)

    async def add_account(self, name: str, settings: Mapping[str, Any], secrets: str, at: datetime) -> bool:
        """False if the database has one of this name, or is still deleting the mail of one. For the api and `mozzart
        accounts` alone (I6), as the other three."""
        return await self._write(f"adding the account {name}", accounts.add, name, settings, secrets, at)

    async def change_account(self, row: AccountRow, settings: Mapping[str, Any], secrets: str, at: datetime) -> bool:
        """False if it is not what `row` says any more."""
        values = {"settings": settings, "secrets": secrets, "changed_at": at}
        return await self._write(f"changing the account {row.name}", accounts.change, row.name, row.secrets, values)

    async def pause_account(self, name: str, at: datetime | None) -> bool:
        """None: go on. False if there is no such account."""
        return await self._write(f"pausing the account {name}", accounts.pause, name, at)

    async def remove_account(self, name: str, at: datetime, *, deletes_mail: bool) -> bool:
        """False if there is no such account. One that was removed can be removed with its mail."""
        return await self._write(f"removing the account {name}", accounts.remove, name, at, deletes_mail)

    async def accounts_without_mail(self) -> set[str]:
        """Those that were removed with their mail: what is left of it goes."""
        return await self._read("loading the accounts", deletion.names)

    async def deleting(self) -> set[str]:
        """Those of them of which mailboxes are left."""
        return await self._read("loading the accounts", deletion.under_way)

    async def next_to_delete(self, limit: int) -> list[deletion.Deleted]:
        """Up to `limit` messages of these."""
        return await self._read("looking for what is to be deleted", deletion.next_messages, limit)

    async def delete_messages(self, row_ids: Sequence[int]) -> None:
        """For good, with their attachments. Their files are the caller's to remove, before."""
        await self._write(f"deleting {len(row_ids)} messages", deletion.delete_messages, row_ids)

    async def delete_mailboxes(self, account: str) -> bool:
        """Of an account that was removed with its mail, those that have none any more; whether there were some. For the
        syncer alone (I6)."""
        return await self._write(f"deleting the mailboxes of {account}", deletion.delete_mailboxes, account)

    async def api_tokens(self) -> list[ApiToken]:
        """The newest first; also those that expired or were revoked lately."""
        return await self._read("loading the tokens of the api", api_tokens.load_all)

    async def api_token(self, key: str) -> ApiToken | None:
        return await self._read("looking a token up", api_tokens.load, key)

    async def add_api_token(self, token: ApiToken) -> bool:
        """False if one that is not revoked has its name. For the api and `mozzart tokens` alone (I6), as the others."""
        return await self._write(f"keeping the token {token.name}", api_tokens.add, token)

    async def use_api_token(self, key: str, at: datetime, before: datetime) -> None:
        """It was used then, unless it is known to have been used after `before`."""
        await self._write("keeping that a token was used", api_tokens.use, key, at, before)

    async def revoke_api_token(self, name: str, at: datetime) -> ApiToken | None:
        """By its name, or what it begins with (`mz_…`). None if there is none that is not revoked."""
        return await self._write(f"revoking the token {name}", api_tokens.revoke, name, at)

    async def add_audit_entry(self, entry: Entry, since: datetime) -> None:
        """Those from before `since` go, some at a time."""
        await self._write("keeping what was done", audit.add, entry, since)

    async def audit_entries(
        self, limit: int, before: int | None = None, action: str = "", who: str = ""
    ) -> list[Entry]:
        """The newest first: those with a smaller id than `before`, of this action and this person or token alone."""
        return await self._read("reading what was done", audit.newest, limit, before, action, who)

    async def digests(self, mailbox_id: int, after: tuple[int, int], limit: int) -> list[StoredDigest]:
        """What the next `limit` messages behind that UIDVALIDITY and UID hold, in their order; also those that were
        expunged or pruned."""
        return await self._read("loading what messages hold", messages.digests, mailbox_id, after, limit)

    async def stored_uids(self, mailbox_id: int, uidvalidity: int) -> list[int]:
        """The UIDs that are stored and not expunged, ascending."""
        return await self._read("loading stored UIDs", messages.stored_uids, mailbox_id, uidvalidity)

    async def stored_among(self, mailbox_id: int, uidvalidity: int, uids: Iterable[int]) -> set[int]:
        """Those of `uids` that are stored and not expunged."""
        return await self._read(
            "looking up stored UIDs", lookup.stored_among, [Slot(mailbox_id, uidvalidity, uid) for uid in uids]
        )

    async def other_generations(self, mailbox_id: int, uidvalidity: int) -> list[StoredOrigin]:
        """What is stored and not expunged under any UIDVALIDITY but this one: candidates for a rebind (I7)."""
        return await self._read("loading other generations", messages.other_generations, mailbox_id, uidvalidity)

    async def present_digests(
        self, mailbox_id: int, uidvalidity: int, after: int, limit: int, besides: Iterable[int] = ()
    ) -> list[PresentDigest]:
        """Of what is stored and not expunged: the next `limit` behind the UID `after`, by UID, and `besides`; without
        those of which nobody knows the SHA-256 (imported ones)."""
        return await self._read(
            "loading hashes", messages.present_digests, mailbox_id, uidvalidity, after, limit, list(besides)
        )

    async def count_files(self) -> int:
        """Attachments that have a row."""
        return await self._read("counting attachments", attachments.count)

    async def equal_messages(self, mailbox_id: int) -> list[StoredOrigin]:
        """Those of a mailbox, not expunged, that share their SHA-256 with another one of it."""
        return await self._read("loading messages with equal bytes", messages.equal, mailbox_id)

    async def count_messages(self, mailbox_id: int | None = None) -> int:
        """Messages that are stored and not expunged, of one mailbox or of all."""
        return await self._read("counting messages", messages.count, mailbox_id)

    async def files(self, after: int = 0, limit: int = 1000) -> list[attachments.StoredFile]:
        """What is stored as files: the rows of the next `limit` attachments behind the id `after`, by id."""
        return await self._read("loading attachments", attachments.files, after, limit)

    async def begin_verify(self, **columns: Unpack[VerifyColumns]) -> int:
        """A report of a run that begins; its id. For `mozzart verify` alone (I6), as `save_verify`."""
        return await self._write("keeping a verify report", reports.add, columns)

    async def save_verify(self, report_id: int, **columns: Unpack[VerifyColumns]) -> None:
        """Set these columns; the others keep what they hold."""
        await self._write("keeping a verify report", reports.save, report_id, columns)

    async def verify_report(self, report_id: int) -> VerifyReport | None:
        return await self._read("reading a verify report", reports.load, report_id)

    async def verify_reports(self, limit: int = reports.KEPT, before: int | None = None) -> list[VerifyReport]:
        """The newest first, without their findings; those with a smaller id than `before` alone."""
        return await self._read("reading verify reports", reports.newest, limit, before)

    async def list_messages(
        self,
        wanted: MessageFilter,
        cursor: Cursor | None = None,
        limit: int = 50,
        *,
        oldest_first: bool = False,
        snippets: bool = False,
    ) -> MessagePage:
        """Up to `limit` messages behind `cursor` (the `next` of the page before), by the time of receipt."""
        return await self._read("listing messages", reading.page, wanted, cursor, limit, oldest_first, snippets)

    async def total(self, wanted: MessageFilter, most: int | None = None) -> int:
        """How many messages match; with `most`, they are counted up to that many."""
        return await self._read("counting messages", reading.total, wanted, most)

    async def message(self, message_id: int, portion: Portion | None = None) -> MessageDetail | None:
        """One by its row id: all of it, or with the beginnings of what may be long."""
        return await self._read("reading a message", reading.message, message_id, portion)

    async def thread(self, message_id: int) -> MessageThread:
        """Those of its account that answer each other, with the message of this row id among them."""
        return await self._read("reading a thread", threads.thread, message_id)

    async def attachment(self, attachment_id: int) -> AttachmentDetail | None:
        return await self._read("reading an attachment", reading.attachment, attachment_id)

    async def stored_since(self, since: datetime, limit: int = 100_000) -> list[StoredAt]:
        """What was stored from `since` on, the last first: times, kinds and sizes alone."""
        return await self._read("reading what was stored", reading.stored_since, since, limit)

    async def locate(self, wanted: Mapping[Identity, int]) -> dict[Identity, Location]:
        """Where they belong and whether they have a row (expunged or not), also where the identity is one that a rebind
        replaced. Those whose mailbox has no row are left out. With each goes the row of its mailbox as the event tells
        it, which is right also when the mailbox was renamed since; 0 where the name alone is known."""

        def look(connection: Connection) -> dict[Identity, Location]:
            slots = self._slots(connection, wanted)
            known = lookup.known(connection, slots.values())
            return {each: Location(slot, known.get(slot)) for each, slot in slots.items()}

        return await self._read("looking up messages", look)

    async def insert_messages(self, rows: Sequence[MessageRow]) -> list[int]:
        """One transaction: all rows with their attachments, or none. The ids in order. A row whose identity is there
        already (I4) is left alone and its id is returned."""
        if not rows:
            return []
        return await self._write(f"storing {len(rows)} messages", messages.add, rows)

    async def untold(self, before: datetime, limit: int = 200) -> list[Untold]:
        """What was stored before then and is not mark_told(): no `stored` event may have left."""
        return await self._read("reading what is untold", untold.older, before, limit)

    async def mark_told(self, row_ids: Sequence[int]) -> None:
        """The `stored` events of these rows have PubAcks."""
        await self._write(f"noting {len(row_ids)} messages as told", untold.clear, row_ids)

    async def rebind(self, moves: Sequence[Move]) -> list[int | None]:
        """I7: give rows new identities, files untouched. The row ids in order; None where neither the old nor the new
        identity has a row. Where the new one has a row nothing changes: it was done before."""
        if not moves:
            return []
        return await self._write(f"rebinding {len(moves)} messages", messages.move, moves)

    async def mark_expunged(self, marks: Iterable[tuple[Identity, datetime, int]]) -> None:
        """Set `expunged_at`; unknown identities are passed over and the first time stays. The last of each is the row
        of its mailbox, as in locate()."""
        wanted = list(marks)

        def mark(connection: Connection) -> None:
            slots = self._slots(connection, {identity: mailbox_id for identity, _, mailbox_id in wanted})
            messages.set_expunged(connection, [(slots[each], at) for each, at, _ in wanted if each in slots])

        await self._write("marking expunged messages", mark)

    async def flags_of(self, mailbox_id: int, uidvalidity: int, uids: Iterable[int]) -> dict[int, RowFlags]:
        """Of those of `uids` that are stored and not expunged."""
        slots = [Slot(mailbox_id, uidvalidity, uid) for uid in uids]
        return await self._read("reading flags", lookup.flags_of, slots)

    async def set_flags(self, changes: Iterable[tuple[Identity, Sequence[str], datetime, int]]) -> None:
        """Set `flags` and `flags_at` of rows that do not have later ones; unknown identities are passed over. The last
        of each is the row of its mailbox, as in locate()."""
        wanted = list(changes)

        def change(connection: Connection) -> None:
            slots = self._slots(connection, {identity: mailbox_id for identity, _, _, mailbox_id in wanted})
            messages.set_flags(connection, [(slots[each], flags, at) for each, flags, at, _ in wanted if each in slots])

        await self._write("setting flags", change)

    async def mark_present(self, row_ids: Sequence[int]) -> None:
        """Clear `expunged_at`: the server has the messages after all."""
        await self._write("marking messages as present", messages.set_present, row_ids)

    async def load_budget(self, account: str) -> KeptBudget | None:
        return await self._read(f"loading the budget of {account!r}", budgets.load, account)

    async def save_budget(self, kept: KeptBudget) -> None:
        """For the syncer alone (I6)."""
        await self._write(f"keeping the budget of {kept.account!r}", budgets.save, kept)

    async def load_token(self, account: str) -> KeptToken | None:
        return await self._read(f"loading the tokens of {account!r}", tokens.load, account)

    async def load_tokens(self) -> list[KeptToken]:
        """Of every account that has some."""
        return await self._read("loading the tokens", tokens.load_all)

    async def save_token(self, kept: KeptToken) -> None:
        """For mailcore.oauth alone (I6), under the lock `token ACCOUNT`; and for whoever encrypts it anew."""
        await self._write(f"keeping the tokens of {kept.account!r}", tokens.save, kept)

    @asynccontextmanager
    async def lock(self, name: str, within: float) -> AsyncIterator[None]:
        """Nobody else has this lock meanwhile, in no process that uses the database; one that dies has it no more.
        Raises StoreError, also when it could not be had in so many seconds."""
        doing = f"waiting for the lock {name!r}"
        held = self._engine.lock(name)
        try:
            async with asyncio.timeout(within):
                await held.__aenter__()
        except TimeoutError:
            raise StoreError(f"{doing}: another process has it for longer than {within:g} s") from None
        except (SQLAlchemyError, OSError) as error:
            raise store_error(error, doing) from None
        try:
            yield
        finally:
            await held.__aexit__(None, None, None)

    async def unsearched(self, before: int | None, limit: int) -> list[int]:
        """The ids of up to `limit` messages, those with smaller ids than `before` alone, that a version stored which
        knew of no parts of words; the newest first."""
        return await self._read("looking for what is to be indexed", messages.unsearched, before, limit)

    async def count_unsearched(self) -> int:
        """How many there are of these."""
        return await self._read("counting what is to be indexed", messages.count_unsearched)

    async def make_searchable(self, row_ids: Sequence[int]) -> None:
        """So that these are found by parts of words and names of files, too."""
        await self._write(f"indexing {len(row_ids)} messages", messages.make_searchable, row_ids)

    async def due(self, before: datetime) -> pruning.Share:
        """How many of the messages that were not pruned were stored before then."""
        return await self._read("counting outdated messages", pruning.share, before)

    async def outdated(self, before: datetime, limit: int) -> list[pruning.Outdated]:
        """Up to `limit` messages that were stored before then and were not pruned, the oldest first."""
        return await self._read("looking for outdated messages", pruning.outdated, before, limit)

    async def prune(self, row_ids: Sequence[int], at: datetime) -> None:
        """Take away what these rows hold; who and where they are stays (I3). Their files are the caller's to remove,
        before."""
        await self._write(f"pruning {len(row_ids)} messages", pruning.prune, row_ids, at)

    async def _write(
        self, doing: str, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._run(doing, lambda connection: work(connection, *args, **kwargs), writes=True)

    async def _read(
        self, doing: str, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._run(doing, lambda connection: work(connection, *args, **kwargs), writes=False)

    async def _run(self, doing: str, work: Callable[[Connection], T], *, writes: bool, unhurried: bool = False) -> T:
        patience = None if unhurried else current() or (Patience(self.patience) if self.patience else None)
        if patience is None:
            return await self._try(doing, work, None, writes=writes, unhurried=unhurried)
        clock = asyncio.get_running_loop().time
        end = patience.begin(clock())
        try:
            if end.at <= clock():
                raise TimeoutError
            async with asyncio.timeout_at(end.at):
                return await self._try(doing, work, end.at, writes=writes, unhurried=unhurried)
        except TimeoutError:
            raise StoreError(
                f"{doing}: the database did not answer within {end.seconds:g} s; it is overloaded, or another "
                "program holds a lock on its tables: end that one's transaction"
            ) from None
        finally:
            patience.end(clock())

    async def _try(
        self, doing: str, work: Callable[[Connection], T], end: float | None, *, writes: bool, unhurried: bool
    ) -> T:
        """Raises MozzartError, and TimeoutError when it was given up at `end` (in the time of the event loop)."""
        try:
            return await self._engine.run(work, writes=writes, unhurried=unhurried, end=end)
        except MozzartError:
            raise
        except Exception as error:
            if end is not None and isinstance(error, TimeoutError) and asyncio.get_running_loop().time() >= end:
                raise
            if is_fault(error):
                raise told(error, doing) from error
            failure = store_error(error, doing)
            if failure.scope is Scope.MAILBOX:
                self._mailbox_ids = {}
            raise failure from None

    def _slots(self, connection: Connection, wanted: Mapping[Identity, int]) -> dict[Identity, Slot]:
        """Those whose mailbox has a row."""
        told = {one: mailboxes.Told(one.key, one.uidvalidity, mailbox_id) for one, mailbox_id in wanted.items()}
        ids = self._mailbox_ids
        if unknown := set(told.values()) - ids.keys():
            ids = ids | mailboxes.ids(connection, unknown)
            # A new one, not a changed one: other threads read it. A name alone may soon be that of another mailbox.
            self._mailbox_ids = {one: row_id for one, row_id in ids.items() if one.mailbox_id}
        return {one: Slot(ids[told[one]], one.uidvalidity, one.uid) for one in wanted if told[one] in ids}
