"""From IMAP to JetStream, on the asyncio side: one crossing of the bridge moves a whole batch.

I2: a UID is in flight only after PubAck. Whatever ends a transfer early, what was claimed and not published is
released.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import structlog

from mailcore.bus import Bus
from mailcore.events.message import FoundBy, MessageEvent
from mailcore.events.thin import Origin, Rebind, ThinEvent
from mailcore.imap.sequence import UidSet
from mailcore.sync.generation import OldPlace
from syncer.book import Book
from syncer.imap.connection import FetchedMessage, ImapConnection, MessageGone

log = structlog.get_logger(__name__)
PART = 1 << 20
WINDOW = 16 << 20
EXPUNGE_WINDOW = 200


@dataclass(slots=True)
class Transfer:
    """One batch on its way. `pushed_at` is when the server's hint came, or the look that found it began."""

    connection: ImapConnection
    bus: Bus
    book: Book
    spool: Path
    found_by: FoundBy
    pushed_at: datetime
    highest: int = 0
    seen: set[int] = field(default_factory=set)
    _mine: set[int] = field(default_factory=set)

    async def push(self, first: int) -> None:
        """Everything from UID `first` on. A server answers `n:*` beyond its last UID with the last mail (RFC 9051 §9,
        seq-range); that one is known already, or below `first`."""
        async with self._publishing() as publishing:
            async for message in self.connection.uid_fetch_messages(f"{first}:*", limit=self.bus.max_inline):
                self.highest = max(self.highest, message.uid)
                if message.uid >= first and self.book.ledger.claim(message.uid):
                    self._mine.add(message.uid)
                    await publishing.take(message)
        await self._large(publishing.large)

    async def batch(self, uids: UidSet) -> None:
        """Messages whose UIDs the caller has claimed; they are published or released when this returns or raises.
        UIDs that the server gave no body for are not in `seen`."""
        self._mine.update(uids)
        async with self._publishing() as publishing:
            async for message in self.connection.uid_fetch_messages(uids, limit=self.bus.max_inline):
                if message.uid in self._mine and message.uid not in self.seen:
                    await publishing.take(message)
        await self._large(publishing.large)

    async def large(self, facts: FetchedMessage) -> None:
        """One claimed message above the inline limit, by parts (claim check)."""
        self._mine.add(facts.uid)
        await self._large([facts])

    @asynccontextmanager
    async def _publishing(self) -> AsyncIterator[_Publishing]:
        publishing = _Publishing(self)
        try:
            async with asyncio.TaskGroup() as publishing.tasks:
                yield publishing
        except BaseException:
            self._release()
            raise

    def _release(self) -> None:
        for uid in self._mine:
            self.book.release(uid)
        self._mine.clear()

    async def _large(self, messages: Iterable[FetchedMessage]) -> None:
        try:
            for message in messages:
                self.seen.add(message.uid)
                path = self.spool / f"{hashlib.sha256(str(self.book.identity(message.uid)).encode()).hexdigest()}.eml"
                try:
                    size, sha256 = await self._spool(message.uid, path)
                    await self._publish(message, size, sha256, path=path)
                except MessageGone:
                    self.seen.discard(message.uid)
                finally:
                    path.unlink(missing_ok=True)
        finally:
            self._release()

    async def _spool(self, uid: int, path: Path) -> tuple[int, str]:
        """RFC 9051 §6.4.5, BODY.PEEK[]<offset.count>: never the whole message in memory. RFC822.SIZE is not trusted:
        the end is where the server gives less than was asked for."""
        digest = hashlib.sha256()
        offset = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            while True:
                part = await self.connection.uid_fetch_part(uid, offset, PART)
                file.write(part)
                digest.update(part)
                offset += len(part)
                if len(part) < PART:
                    return offset, digest.hexdigest()

    async def _publish(
        self, message: FetchedMessage, size: int, sha256: str, *, body: bytes = b"", path: Path | None = None
    ) -> None:
        book, uid = self.book, message.uid
        place = book.old.take(sha256)
        try:
            event = self._rebind(uid, sha256, place) if place else await self._event(message, size, sha256, body, path)
            ack = await self.bus.publish(event)
        except BaseException:
            if place:
                book.old.give_back(sha256, place)
            raise
        self._mine.discard(uid)
        book.published(uid, ack.seq, size)

    def _rebind(self, uid: int, sha256: str, place: OldPlace) -> Rebind:
        key = self.book.key
        return Rebind(
            account=key.account,
            mailbox=key.mailbox,
            at=datetime.now(UTC),
            uidvalidity=self.book.ledger.uidvalidity,
            uid=uid,
            origin=Origin(uidvalidity=place.uidvalidity, uid=place.uid),
            sha256=sha256,
        )

    async def _event(
        self, message: FetchedMessage, size: int, sha256: str, body: bytes, path: Path | None
    ) -> MessageEvent:
        identity = self.book.identity(message.uid)
        name = ""
        if path is not None:
            name = str(identity)
            await self.bus.put_body(name, path)
        return MessageEvent(
            identity=identity,
            kind=self.book.birth.kind(message.uid, message.internaldate),
            found_by=self.found_by,
            size=size,
            sha256=sha256,
            received_at=message.internaldate,
            pushed_at=self.pushed_at,
            published_at=datetime.now(UTC),
            flags=message.flags,
            body=body,
            object_name=name,
        )


class _Publishing:
    """Publishes each message as it completes, while the next is still being received; at most WINDOW bytes at once."""

    tasks: asyncio.TaskGroup

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer
        self._octets = 0
        self._less = asyncio.Event()
        self.large: list[FetchedMessage] = []

    async def take(self, message: FetchedMessage) -> None:
        transfer, body = self._transfer, message.body
        if body is None:  # expunged while we looked: Dovecot says BODY[] NIL
            return
        transfer.seen.add(message.uid)
        if len(body) >= transfer.bus.max_inline:
            message.body = None  # the rest is missing; it comes again by parts
            self.large.append(message)
            return
        while self._octets and self._octets + len(body) > WINDOW:
            self._less.clear()
            await self._less.wait()
        self._octets += len(body)
        self.tasks.create_task(self._publish(message, body))

    async def _publish(self, message: FetchedMessage, body: bytes) -> None:
        await self._transfer._publish(message, len(body), hashlib.sha256(body).hexdigest(), body=body)
        self._octets -= len(body)
        self._less.set()


async def publish_all(bus: Bus, events: Iterable[ThinEvent]) -> None:
    """Publish many thin events, a window at a time; raises an exception group if one could not be."""
    window: list[ThinEvent] = []
    for event in events:
        window.append(event)
        if len(window) == EXPUNGE_WINDOW:
            await _publish_window(bus, window)
            window = []
    await _publish_window(bus, window)


async def _publish_window(bus: Bus, events: list[ThinEvent]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for event in events:
            tasks.create_task(bus.publish(event))
