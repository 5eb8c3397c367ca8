"""From IMAP to JetStream, on the asyncio side: one crossing of the bridge moves a whole batch.

I2: a UID is in flight only after PubAck. Whatever ends a transfer early, what was claimed and not published is
released.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from mailcore.bus import Bus, Pipeline, PubAck
from mailcore.errors import BusError
from mailcore.events.message import FoundBy, MessageEvent
from mailcore.events.thin import Origin, Rebind, ThinEvent
from mailcore.imap.sequence import UidSet
from mailcore.sync.generation import OldPlace
from syncer.book import Book
from syncer.imap.connection import FetchedMessage, ImapConnection, MessageGone

PART = 1 << 20


@dataclass(frozen=True, slots=True)
class _Found:
    """A message with its whole bytes' size and SHA-256; `place` is where the same bytes were stored before (I7)."""

    message: FetchedMessage
    size: int
    sha256: str
    place: OldPlace | None


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
            async with self.bus.pipeline(publishing.ended) as publishing.pipeline:
                yield publishing
            publishing.check()
        except BaseException:  # cancelled, too: what is claimed and not published is missing (I2)
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
                    await self._publish_large(self.found(message, size, sha256), path)
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

    async def _publish_large(self, found: _Found, path: Path) -> None:
        name = str(self.book.identity(found.message.uid))
        try:
            if found.place is None:
                await self.bus.put_body(name, path)
            self.published(found, await self.bus.publish(self.event(found, object_name=name)))
        except BaseException:  # cancelled, too: the old row may be rebound by the next attempt (I7)
            self.unpublished(found)
            raise

    def found(self, message: FetchedMessage, size: int, sha256: str) -> _Found:
        return _Found(message, size, sha256, self.book.old.take(sha256))

    def published(self, found: _Found, ack: PubAck) -> None:
        self._mine.discard(found.message.uid)
        self.book.published(found.message.uid, ack.seq, found.size)

    def unpublished(self, found: _Found) -> None:
        if found.place is not None:
            self.book.old.give_back(found.sha256, found.place)

    def event(self, found: _Found, *, body: bytes = b"", object_name: str = "") -> MessageEvent | Rebind:
        message = found.message
        received_at = message.internaldate or datetime.now(UTC)
        if found.place is not None:
            return self._rebind(message.uid, found.sha256, found.place)
        return MessageEvent(
            identity=self.book.identity(message.uid),
            kind=self.book.birth.kind(message.uid, received_at),
            found_by=self.found_by,
            size=found.size,
            sha256=found.sha256,
            received_at=received_at,
            pushed_at=self.pushed_at,
            published_at=datetime.now(UTC),
            flags=message.flags,
            body=body,
            object_name=object_name,
        )

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


class _Publishing:
    """Publishes each message as it completes, while the next is still being received."""

    pipeline: Pipeline[_Found]

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer
        self._failure: BusError | None = None
        self.large: list[FetchedMessage] = []

    async def take(self, message: FetchedMessage) -> None:
        transfer, body = self._transfer, message.body
        self.check()
        if body is None:  # expunged while we looked: Dovecot says BODY[] NIL
            return
        transfer.seen.add(message.uid)
        if len(body) >= transfer.bus.max_inline:
            message.body = None  # the rest is missing; it comes again by parts
            self.large.append(message)
            return
        found = transfer.found(message, len(body), hashlib.sha256(body).hexdigest())
        message.body = None  # from here on the pipeline alone holds it
        await self.pipeline.send(found, transfer.event(found, body=body))

    def ended(self, found: _Found, outcome: PubAck | BusError) -> None:
        if isinstance(outcome, PubAck):
            self._transfer.published(found, outcome)
        else:
            self._transfer.unpublished(found)
            self._failure = self._failure or outcome

    def check(self) -> None:
        """Raises the first failure there was."""
        if self._failure is not None:
            raise self._failure


async def publish_all(bus: Bus, events: Iterable[ThinEvent]) -> None:
    """Publish many thin events; raises BusError if one could not be."""
    for outcome in await bus.publish_all(events):
        if isinstance(outcome, BusError):
            raise outcome
