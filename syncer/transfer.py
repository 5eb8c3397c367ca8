"""From IMAP to JetStream, on the asyncio side: one crossing of the bridge moves a whole batch.

I2: a UID is in flight only after PubAck. Whatever ends a transfer early, the caller gives back what was claimed and not
published.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from mailcore.bus import Bus, Pipeline, PubAck
from mailcore.errors import BusError, ImapError
from mailcore.events.identity import Identity
from mailcore.events.message import FoundBy, MessageEvent
from mailcore.events.thin import Origin, Rebind, ThinEvent
from mailcore.imap.placeholder import may_be_placeholder, retrieval_failed
from mailcore.imap.sequence import UidSet
from mailcore.mime.parse import parse
from mailcore.sync.generation import Birth, OldPlace
from mailcore.sync.mailbox import Mailbox
from syncer.imap.connection import FetchedMessage, ImapConnection, MessageGone

PART = 1 << 20
HEADER = 256 << 10  # bytes in which the Date field of a large message is looked for


@dataclass(frozen=True, slots=True)
class _Found:
    """A message with its whole bytes' size and SHA-256; `place` is where the same bytes were stored before (I7)."""

    message: FetchedMessage
    size: int
    sha256: str
    place: OldPlace | None
    received_at: datetime
    defects: tuple[str, ...]


@dataclass(slots=True)
class Transfer:
    """One batch on its way. `pushed_at` is when the server's hint came, or the batch that was missing was begun.

    `given` are the UIDs that the server gave, `not_given` those that it answered for with what is no message, and why;
    `claimed` those that a push found nobody to take care of, `answers` counts all that came."""

    connection: ImapConnection
    bus: Bus
    mailbox: Mailbox
    birth: Birth
    spool: Path
    found_by: FoundBy
    pushed_at: datetime
    given: set[int] = field(default_factory=set)
    not_given: dict[int, str] = field(default_factory=dict)
    claimed: set[int] = field(default_factory=set)
    answers: int = 0
    highest: int = 0
    uidvalidity: int = field(init=False)

    def __post_init__(self) -> None:
        self.uidvalidity = self.mailbox.uidvalidity

    async def push(self, first: int) -> None:
        """Everything from UID `first` on that nobody takes care of. A server answers `n:*` beyond its last UID with the
        last mail (RFC 9051 §9, seq-range); that one is known already, or below `first`."""

        def wanted(uid: int) -> bool:
            mine = uid >= first and self.mailbox.claim_pushed(self.uidvalidity, uid)
            self.claimed |= {uid} if mine else set()
            return mine

        await self._take(f"{first}:*", wanted)

    async def batch(self, uids: UidSet) -> None:
        """Messages whose UIDs the caller has claimed."""
        await self._take(uids, lambda uid: uid in uids and uid not in self.given)

    async def large(self, facts: FetchedMessage) -> None:
        """One claimed message above the inline limit, by parts (claim check)."""
        await self._large([facts])

    async def _take(self, uids: UidSet | str, wanted: Callable[[int], bool]) -> None:
        large: list[FetchedMessage] = []
        doubtful: list[FetchedMessage] = []
        lost: ImapError | None = None
        async with self._publishing() as publishing:
            try:
                async for message in self.connection.uid_fetch_messages(uids, limit=self.bus.max_inline):
                    self.highest, self.answers = max(self.highest, message.uid), self.answers + 1
                    if message.body is None or not wanted(message.uid):
                        continue
                    if words := _no_message(message, message.body):
                        self.not_given[message.uid] = words
                    elif len(message.body) >= self.bus.max_inline:
                        message.body = None  # the rest is missing; it comes again by parts
                        large.append(message)
                    elif may_be_placeholder(message.body, message.size):
                        doubtful.append(message)
                    else:
                        await publishing.send(message)
                if doubtful:
                    listed = await self.connection.uid_search(f"UID {UidSet(one.uid for one in doubtful)}")
                    for message in (one for one in doubtful if one.uid in listed):
                        await publishing.send(message)
            except ImapError as error:  # what came before it is published all the same
                lost = error
        if lost is not None:
            raise lost
        await self._large(large)

    @asynccontextmanager
    async def _publishing(self) -> AsyncIterator[_Publishing]:
        publishing = _Publishing(self)
        async with self.bus.pipeline(publishing.ended) as publishing.pipeline:
            yield publishing
        publishing.check()

    async def _large(self, messages: Iterable[FetchedMessage]) -> None:
        for message in messages:
            path = self.spool / f"{hashlib.sha256(str(self.mailbox.identity(message.uid)).encode()).hexdigest()}.eml"
            try:
                size, sha256 = await self._spool(message.uid, path)
                if size == 0 and message.size:
                    self.not_given[message.uid] = _empty(message.size)
                    continue
                with path.open("rb") as file:
                    found = self.found(message, size, sha256, file.read(HEADER))
                await self._publish_large(found, path)
                self.given.add(message.uid)
            except MessageGone:
                pass
            finally:
                path.unlink(missing_ok=True)

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
        name = str(self.mailbox.identity(found.message.uid))
        try:
            if found.place is None:
                await self.bus.put_body(name, path)
            self.published(found, await self.bus.publish(self.event(found, object_name=name)))
        except BaseException:  # cancelled, too: the old row may be rebound by the next attempt (I7)
            self.unpublished(found)
            raise

    def found(self, message: FetchedMessage, size: int, sha256: str, head: bytes) -> _Found:
        """`head` is the message, or at least its header."""
        received_at, defects = message.internaldate, []
        if received_at is None:  # RFC 9051 §2.3.3 asks for one; the Date field is the next best
            received_at = parse(head).sent_at or datetime.now(UTC)
            defects.append("internaldate-invalid")
        if message.size not in (None, size):
            defects.append("size-differs")
        return _Found(message, size, sha256, self.mailbox.old.take(sha256), received_at, tuple(defects))

    def published(self, found: _Found, ack: PubAck) -> None:
        self.mailbox.published(self.uidvalidity, found.message.uid, ack.seq, found.size, time.monotonic())

    def unpublished(self, found: _Found) -> None:
        self.given.discard(found.message.uid)
        if found.place is not None:
            self.mailbox.old.give_back(found.sha256, found.place)

    def event(self, found: _Found, *, body: bytes = b"", object_name: str = "") -> MessageEvent | Rebind:
        message, key = found.message, self.mailbox.key
        if found.place is not None:
            return Rebind(
                account=key.account,
                mailbox=key.mailbox,
                at=datetime.now(UTC),
                uidvalidity=self.uidvalidity,
                uid=message.uid,
                mailbox_id=self.mailbox.row_id,
                origin=Origin(uidvalidity=found.place.uidvalidity, uid=found.place.uid),
                sha256=found.sha256,
            )
        return MessageEvent(
            identity=Identity(key.account, key.mailbox, self.uidvalidity, message.uid),
            kind=self.birth.kind(message.uid, found.received_at),
            found_by=self.found_by,
            size=found.size,
            sha256=found.sha256,
            received_at=found.received_at,
            pushed_at=self.pushed_at,
            published_at=datetime.now(UTC),
            flags=message.flags,
            body=body,
            object_name=object_name,
            defects=found.defects,
            mailbox_id=self.mailbox.row_id,
        )


class _Publishing:
    """Publishes each message as it completes, while the next is still being received."""

    pipeline: Pipeline[_Found]

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer
        self._failure: BusError | None = None

    async def send(self, message: FetchedMessage) -> None:
        """A message with its whole body. Raises BusError if one before it could not be published."""
        transfer, body = self._transfer, message.body
        self.check()
        if body is None:
            raise AssertionError("a message without a body is to be published")
        found = transfer.found(message, len(body), hashlib.sha256(body).hexdigest(), body)
        transfer.given.add(message.uid)
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


def _no_message(message: FetchedMessage, body: bytes) -> str:
    """Why the body is none, "" if it may be one."""
    if not body and message.size:
        return _empty(message.size)
    return retrieval_failed(body) or ""


def _empty(size: int) -> str:
    return f"the server gives no byte of it and says that it has {size} (RFC822.SIZE)"


async def publish_all(bus: Bus, events: Iterable[ThinEvent]) -> None:
    """Publish many thin events; raises BusError if one could not be."""
    for outcome in await bus.publish_all(events):
        if isinstance(outcome, BusError):
            raise outcome
