"""The import: mailboxes, messages and attachments of a Django `mailbox_app`, under the server's own identities.

It may be repeated: what is there already is left alone. It writes the tables of syncer and consumers (I6), which is why
neither may run meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from cli import exit_code
from cli.import_django import mapping
from cli.import_django.files import Files
from cli.import_django.source import Record, Source
from mailcore.errors import Scope, SettingsError, StoreError
from mailcore.events.identity import Identity, MailboxKey
from mailcore.imap.name import INBOX, canonical
from mailcore.media import Media
from mailcore.settings import Settings
from mailcore.store import AttachmentRow, MessageRow, Store
from mailcore.store.engine import parse_url
from supervisor.data_lock import DataLock

_SHOWN = 5


@dataclass
class _Box:
    """One mailbox on its way. By UIDVALIDITY: `generations` counts its messages, `highest` is their highest UID."""

    key: MailboxKey
    id: int
    old: Record
    uidvalidity: int | None
    generations: Counter[int] = field(default_factory=Counter)
    highest: dict[int, int] = field(default_factory=dict)
    last: int | None = None

    def add(self, row: MessageRow) -> None:
        self.generations[row.uidvalidity] += 1
        self.highest[row.uidvalidity] = max(row.uid, self.highest.get(row.uidvalidity, 0))
        self.last = row.uidvalidity


async def run(
    settings: Settings, *, database_url: str, media_root: Path | None, account: str, uidvalidity: int | None
) -> int:
    """Raises SettingsError, StoreError, MediaError or AlreadyRunning."""
    if _same(database_url, settings.database_url):
        raise SettingsError(
            "--database-url is our own DATABASE_URL: the tables have the same names, so the import needs a database of "
            "its own to go to. Set DATABASE_URL to an empty one; the old one is only read."
        )
    async with AsyncExitStack() as stack:
        stack.enter_context(DataLock(settings.data_dir))
        source = await Source.open(database_url)
        stack.push_async_callback(source.close)
        store = await Store.open(settings.database_url)
        stack.push_async_callback(store.close)
        media = Media.open(settings.media_root)
        stack.callback(media.close)
        await store.upgrade()
        importing = _Import(source, store, Files(media, media_root), account, uidvalidity)
        await importing.run()
    return importing.tell()


def _same(one: str, other: str) -> bool:
    left, right = parse_url(one), parse_url(other)
    if left.get_backend_name() == right.get_backend_name() == "sqlite":
        return Path(left.database or "").resolve() == Path(right.database or "").resolve()
    return (left.host, left.port or 5432, left.database) == (right.host, right.port or 5432, right.database)


class _Import:
    def __init__(self, source: Source, store: Store, files: Files, account: str, uidvalidity: int | None) -> None:
        self._source = source
        self._store = store
        self._files = files
        self._account = account
        self._uidvalidity = uidvalidity
        self._boxes: dict[Any, _Box] = {}
        self._refused: list[str] = []
        self._messages = 0
        self._attachments = 0

    async def run(self) -> None:
        for state in await self._source.states():
            await self._box(state["id"], state)
        with click.progressbar(length=await self._source.count(), label="messages") as bar:
            async for page, parts in self._source.pages():
                await self._take(page, parts)
                bar.update(len(page))
        for box in self._boxes.values():
            await self._close(box)

    async def _box(self, old_id: Any, state: Record) -> _Box:
        name = canonical(mapping.words(mapping.value(state, "mailbox")) or INBOX)
        key = MailboxKey(mapping.words(mapping.value(state, "account")) or self._account, name)
        row = await self._store.save_mailbox(key)
        known = mapping.number(mapping.value(state, "uidvalidity")) or self._uidvalidity
        box = self._boxes[old_id] = _Box(key, row.id, state, known)
        return box

    async def _box_of(self, message: Record) -> _Box:
        """By its foreign key; else by the name in its row; else the only mailbox there is."""
        if (found := self._boxes.get(message.get("mailbox_id"))) is not None:
            return found
        name = message.get("mailbox")
        named = [box for box in self._boxes.values() if box.key.mailbox == name or name is None]
        if len(named) == 1:
            return named[0]
        if name is None and named:
            raise mapping.NotImportable("it does not say in which mailbox it is")
        return await self._box(name, {"mailbox": name})

    async def _take(self, page: Sequence[Record], parts: Mapping[Any, Sequence[Record]]) -> None:
        rows: list[MessageRow] = []
        gone: list[tuple[Identity, datetime, int]] = []
        for message in page:
            try:
                box = await self._box_of(message)
                row = mapping.message_row(message, mailbox_id=box.id, uidvalidity=box.uidvalidity)
            except mapping.NotImportable as error:
                self._refused.append(f"row {message['id']}: {error}")
                continue
            attachments = [
                await self._attachment(part, place) for place, part in enumerate(parts.get(message["id"], ()), 1)
            ]
            rows.append(replace(row, attachments=tuple(attachments)))
            box.add(row)
            if (expunged_at := mapping.moment(mapping.value(message, "expunged_at"))) is not None:
                gone.append((Identity(box.key.account, box.key.mailbox, row.uidvalidity, row.uid), expunged_at, box.id))
        await self._insert(rows)
        if gone:
            await self._store.mark_expunged(gone)

    async def _attachment(self, part: Record, place: int) -> AttachmentRow:
        file = mapping.words(mapping.value(part, "file"))
        size, sha256 = await self._files.take(file) or (None, "")
        return mapping.attachment_row(part, place, size=size, sha256=sha256)

    async def _insert(self, rows: Sequence[MessageRow]) -> None:
        """All at once; what the database refuses is found by halves (I5)."""
        if not rows:
            return
        try:
            await self._store.insert_messages(rows)
        except StoreError as error:
            if error.scope is not Scope.MESSAGE:
                raise
            if len(rows) == 1:
                self._refused.append(f"UID {rows[0].uid}: {error}")
                return
            half = len(rows) // 2
            await self._insert(rows[:half])
            await self._insert(rows[half:])
        else:
            self._messages += len(rows)
            self._attachments += sum(len(row.attachments) for row in rows)

    async def _close(self, box: _Box) -> None:
        """The mailbox's row, last of all: from `first_uidnext` on, mail is new."""
        state = await self._store.load_mailbox(box.key)
        generation = box.uidvalidity or box.last
        if state is None or state.uidvalidity is not None or generation is None:
            return  # a syncer has opened it since, or nothing is known of it: the first sweep decides
        old, now = box.old, datetime.now(UTC)
        highest = max(box.highest.get(generation, 0), mapping.number(mapping.value(old, "last_uid")) or 0)
        stored = len(await self._store.stored_uids(box.id, generation))
        await self._store.save_mailbox(
            box.key,
            uidvalidity=generation,
            uidnext=highest + 1,
            last_uid=highest or None,
            message_count=stored,
            stored_count=stored,
            # Of a later UIDVALIDITY, mail from before this moment is no news either.
            first_seen_at=now,
            first_uidvalidity=generation,
            first_uidnext=highest + 1,
            last_sync_at=mapping.moment(mapping.value(old, "last_sync_at")),
            last_push_at=mapping.moment(mapping.value(old, "last_push_at")),
        )

    def tell(self) -> int:
        """What was done, and what was not; the exit code."""
        for box in self._boxes.values():
            count = sum(box.generations.values())
            generations = ", ".join(str(each) for each in box.generations) or str(box.uidvalidity or "unknown")
            click.echo(f"{box.key.account}: {box.key.mailbox}: {count} messages, UIDVALIDITY {generations}")
        click.echo(f"imported: {self._messages} messages, {self._attachments} attachments")
        for what, found in (
            ("attachment files are not there", self._files.missing),
            ("messages were not imported; the first sweep fetches those that the server has", self._refused),
        ):
            if found:
                click.secho(f"{len(found)} {what}:", fg="yellow", err=True)
                for line in found[:_SHOWN]:
                    click.echo(f"  {line}", err=True)
                if len(found) > _SHOWN:
                    click.echo(f"  … and {len(found) - _SHOWN} more", err=True)
        return exit_code.FAILED if self._refused or self._files.missing else exit_code.OK
