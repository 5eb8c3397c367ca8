"""From IMAP to JetStream, on the asyncio side: one crossing of the bridge moves a whole batch.

I2: a UID is in flight only after PubAck. Whatever ends a transfer early, the caller gives back what was claimed and not
published. Bytes whose event somebody else has under way (syncer/origins.py) wait until all else is published.
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
from mailcore.events.identity import Identity, MailboxKey
from mailcore.events.message import FoundBy, Kind, MessageEvent
from mailcore.events.thin import Expunged, Origin, Rebind
from mailcore.imap.placeholder import may_be_placeholder, retrieval_failed
from mailcore.imap.sequence import UidSet
from mailcore.mime.parse import parse
from mailcore.sync.generation import Birth, OldPlace
from mailcore.sync.mailbox import Mailbox
from syncer.imap.connection import FetchedMessage, ImapConnection, MessageGone
from syncer.origins import Claim, Origins

PART = 1 << 20
HELD = 16 << 20  # bytes put off during a push
HEADER = 256 << 10  # bytes in which the Date field of a large message is looked for
_NO_DATE = datetime(1970, 1, 2, tzinfo=UTC)  # before it lies what servers say that lost the date: 1970, 1904, 1601


def received(internaldate: datetime | None, head: bytes, now: datetime) -> tuple[datetime, list[str]]:
    """(time of receipt, defects): INTERNALDATE, which RFC 9051 §2.3.3 asks for; else the Date field of `head` as far as
    it can be true, else `now`."""
    if internaldate is not None and internaldate >= _NO_DATE:
        return internaldate, []
    sent_at = parse(head).sent_at
    return (sent_at if sent_at is not None and _NO_DATE <= sent_at <= now else now), ["internaldate-invalid"]


@dataclass(frozen=True, slots=True)
class _Found:
    """A message with its whole bytes' size and SHA-256; `place` is where it was stored before (I7), `origin` is which
    other message had the same bytes first."""

    message: FetchedMessage
    size: int
    sha256: str
    place: OldPlace | None
    origin: Identity | None
    received_at: datetime
    defects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Later:
    """Messages with the same bytes, which are put off until `claim` has ended."""

    body: bytes
    claim: Claim
    messages: list[FetchedMessage] = field(default_factory=list)


@dataclass(slots=True)
class Transfer:
    """One batch on its way. `pushed_at` is when the server's hint came, or the batch that was missing was begun.

    `given` are the UIDs that the server gave, `not_given` those that it answered for with what is no message, and why;
    `claimed` those that a push found nobody to take care of, `answers` counts all that came."""

    connection: ImapConnection
    bus: Bus
    mailbox: Mailbox
    birth: Birth
    origins: Origins
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
        last mail (RFC 9051 §9, seq-range); that one is known already, or below `first`. Nobody is waited for: what
        somebody else has under way is not `given`."""

        def wanted(uid: int) -> bool:
            mine = uid >= first and self.mailbox.claim_pushed(self.uidvalidity, uid)
            self.claimed |= {uid} if mine else set()
            return mine

        await self._take(f"{first}:*", wanted, patient=False)

    async def batch(self, uids: UidSet) -> None:
        """Messages whose UIDs the caller has claimed."""
        await self._take(uids, lambda uid: uid in uids and uid not in self.given, patient=True)

    async def large(self, facts: FetchedMessage) -> None:
        """One claimed message above the inline limit, by parts (claim check)."""
        await self._large([facts])

    async def _take(self, uids: UidSet | str, wanted: Callable[[int], bool], *, patient: bool) -> None:
        large: list[FetchedMessage] = []
        doubtful: list[FetchedMessage] = []
        lost: ImapError | None = None
        async with self._publishing(patient) as publishing:
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
    async def _publishing(self, patient: bool) -> AsyncIterator[_Publishing]:
        publishing = _Publishing(self, patient)
        try:
            async with self.bus.pipeline(publishing.ended) as publishing.pipeline:
                yield publishing
                await publishing.end()
        finally:
            publishing.leave()
        publishing.check()

    async def _large(self, messages: Iterable[FetchedMessage]) -> None:
        for message in messages:
            path = self.spool / f"{hashlib.sha256(str(self.mailbox.identity(message.uid)).encode()).hexdigest()}.eml"
            try:
                largest = await self.bus.largest_body()
                # RFC822.SIZE may be wrong: the byte behind is there or not, for one round trip.
                if (message.size or 0) > largest and await self.connection.uid_fetch_part(message.uid, largest, 1):
                    self.not_given[message.uid] = _too_large(largest, message.size)
                    continue
                size, sha256 = await self._spool(message.uid, path, largest)
                if size > largest:
                    self.not_given[message.uid] = _too_large(largest)
                    continue
                if size == 0 and message.size:
                    self.not_given[message.uid] = _empty(message.size)
                    continue
                with path.open("rb") as file:
                    head = file.read(HEADER)
                while isinstance(found := self.found(message, size, sha256, head), Claim):
                    await found.end()  # somebody has them on their way into the object store
                await self._publish_large(found, path)
                self.given.add(message.uid)
            except MessageGone:
                pass
            finally:
                path.unlink(missing_ok=True)

    async def _spool(self, uid: int, path: Path, largest: int) -> tuple[int, str]:
        """RFC 9051 §6.4.5, BODY.PEEK[]<offset.count>: never the whole message in memory. RFC822.SIZE is not trusted:
        the end is where the server gives less than was asked for. Given up behind `largest` bytes."""
        digest = hashlib.sha256()
        offset = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            while True:
                part = await self.connection.uid_fetch_part(uid, offset, PART)
                file.write(part)
                digest.update(part)
                offset += len(part)
                if len(part) < PART or offset > largest:
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

    def found(self, message: FetchedMessage, size: int, sha256: str, head: bytes) -> _Found | Claim:
        """`head` is the message, or at least its header. A claim: what it is depends on what becomes of another one
        with the same bytes. Else published() or unpublished() must follow."""
        identity, origin = self.mailbox.key.message(self.uidvalidity, message.uid), None
        place = self.mailbox.old.take(sha256)
        if place is None:
            first = self.origins.first(identity, sha256)
            if isinstance(first, Claim):
                return first
            origin = first if first != identity else None
        received_at, defects = received(message.internaldate, head, datetime.now(UTC))
        if message.size not in (None, size):
            defects.append("size-differs")
        return _Found(message, size, sha256, place, origin, received_at, tuple(defects))

    def published(self, found: _Found, ack: PubAck) -> None:
        uid, now = found.message.uid, time.monotonic()
        self.mailbox.published(self.uidvalidity, uid, ack.stream, ack.seq, found.size, now)
        identity, place = self._identity(found), found.place
        if place is None:
            self.origins.published(identity, found.sha256)
        else:
            old = self.mailbox.key.message(place.uidvalidity, place.uid)
            self.origins.rebound(found.sha256, old, identity)

    def unpublished(self, found: _Found) -> None:
        self.given.discard(found.message.uid)
        if found.place is not None:
            self.mailbox.old.give_back(found.sha256, found.place)
        else:
            self.origins.failed(self._identity(found), found.sha256)

    def _identity(self, found: _Found) -> Identity:
        return self.mailbox.key.message(self.uidvalidity, found.message.uid)

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
            identity=self._identity(found),
            kind=Kind.COPY if found.origin is not None else self.birth.kind(message.uid, found.received_at),
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
            origin=found.origin,
            email_id=message.email_id,
            thread_id=message.thread_id,
            labels=message.labels,
        )


class _Publishing:
    """Publishes each message as it completes, while the next is still being received. `end` it before the pipeline
    ends, and `leave` it in any case. `patient`: whether it waits for what others have under way."""

    pipeline: Pipeline[_Found]

    def __init__(self, transfer: Transfer, patient: bool) -> None:
        self._transfer = transfer
        self._patient = patient
        self._failure: BusError | None = None
        self._later: dict[str, _Later] = {}  # by SHA-256: equal bytes are held once
        self._held = 0

    async def send(self, message: FetchedMessage) -> None:
        """A message with its whole body. Raises BusError if one before it could not be published."""
        self.check()
        body, message.body = message.body, None  # from here on the pipeline alone holds it
        if body is None:
            raise AssertionError("a message without a body is to be published")
        self._transfer.given.add(message.uid)
        await self._publish(message, body, hashlib.sha256(body).hexdigest())
        if self._held > HELD and not self._patient:  # a batch is bounded, a push is not
            await self.end()
            self.leave()

    async def _publish(self, message: FetchedMessage, body: bytes, sha256: str) -> None:
        transfer = self._transfer
        found = transfer.found(message, len(body), sha256, body)
        if isinstance(found, Claim):
            if sha256 not in self._later:
                self._later[sha256] = _Later(body, found)
                self._held += len(body)
            self._later[sha256].messages.append(message)
            return
        try:
            await self.pipeline.send(found, transfer.event(found, body=body))
        except BaseException:  # cancelled, too: the pipeline does not know of it
            transfer.unpublished(found)
            raise

    async def end(self) -> None:
        """Publish what was put off. While anything of ours is under way nobody is waited for, and never while the
        server is still giving: others may wait for us, or for what it gives them on the same connection."""
        while self._later:
            if not await self.pipeline.flush():
                if not self._patient:
                    return
                await next(iter(self._later.values())).claim.end()
            self.check()
            later, self._later, self._held = self._later, {}, 0
            for sha256, one in later.items():
                for message in one.messages:
                    await self._publish(message, one.body, sha256)

    def leave(self) -> None:
        """What is still put off is not given."""
        self._transfer.given -= {message.uid for one in self._later.values() for message in one.messages}
        self._later, self._held = {}, 0

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


def _too_large(largest: int, size: int | None = None) -> str:
    said = f", RFC822.SIZE {size:,}" if size is not None else ""
    return (
        f"larger than the {largest:,} bytes that NATS has room for in a body{said}: give it a larger MAIL_MAX_BYTES "
        "(and the disk for it), and restart what runs"
    )


def _empty(size: int) -> str:
    return f"the server gives no byte of it and says that it has {size} (RFC822.SIZE)"


async def publish_expunged(bus: Bus, key: MailboxKey, mailbox_id: int, places: Iterable[tuple[int, int]]) -> None:
    """`places` are UIDVALIDITY and UID. Raises BusError if one could not be published."""
    now = datetime.now(UTC)
    events = [
        Expunged(
            account=key.account, mailbox=key.mailbox, at=now, uidvalidity=uidvalidity, uid=uid, mailbox_id=mailbox_id
        )
        for uidvalidity, uid in places
    ]
    for outcome in await bus.publish_all(events):
        if isinstance(outcome, BusError):
            raise outcome
