"""The bus: JetStream and core NATS for one process, in the words of the mailbox sync."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from mailcore.bus.core.connection import Connection
from mailcore.bus.core.requests import Answerer, Callback, Requests, Subscription
from mailcore.bus.jetstream.api import CONSUMER_NOT_FOUND, ApiError, JetStream
from mailcore.bus.jetstream.batch import Batches
from mailcore.bus.jetstream.bodies import Bodies, BodyMissing
from mailcore.bus.jetstream.dead_letters import DeadLetters
from mailcore.bus.jetstream.dedicated import Dedicated
from mailcore.bus.jetstream.delivery import Delivery
from mailcore.bus.jetstream.pipeline import Pipeline
from mailcore.bus.jetstream.position import StreamPosition, stream_position
from mailcore.bus.jetstream.publish import PubAck, Publisher
from mailcore.bus.jetstream.pull import Pull
from mailcore.bus.jetstream.reader import Reader, Since
from mailcore.bus.jetstream.tail import Tails
from mailcore.bus.layout.durables import DURABLES, FORMER
from mailcore.bus.layout.streams import MESSAGE_STREAMS, Limits
from mailcore.errors import BusError, EventError
from mailcore.events.dead_letter import DEAD_BUCKET, DeadLetter, identity_of, mailbox_id_of
from mailcore.events.identity import Identity
from mailcore.events.message import BODY_BUCKET, MessageEvent, origin_of, sha256_of
from mailcore.events.thin import ThinEvent
from mailcore.write_error import words

_CLOSE_SECONDS: Final = 3.0

T = TypeVar("T")


class Unsettled(NamedTuple):
    """`seq` is the sequence in `stream`. `mailbox_id` is the row of the mailbox, 0 where the event does not tell.
    `sha256` is empty for a rebind; `origin` is the identity that had the bytes of a copy first."""

    identity: Identity
    stream: str
    seq: int
    size: int
    mailbox_id: int = 0
    sha256: str = ""
    origin: Identity | None = None


class Bus:
    """One per process. Every method may be cancelled; `connect` and all others raise BusError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._jetstream = JetStream(connection)
        self._publisher = Publisher(connection, self._jetstream)
        self._batches = Batches(connection, self._publisher)
        self._reader = Reader(connection, self._jetstream)
        self._bodies = Bodies(BODY_BUCKET, connection, self._jetstream, self._publisher, self._reader)
        self._dead_bodies = Bodies(DEAD_BUCKET, connection, self._jetstream, self._publisher, self._reader)
        self._dead = DeadLetters(self._publisher, self._reader, self._jetstream, self._dead_bodies, self._bodies)
        self._requests = Requests(connection)
        self.dedicated = Dedicated(connection, self._jetstream, self._publisher)
        self._pulls: list[Pull] = []
        self._tails = Tails(self._jetstream, self._reader)

    @classmethod
    async def connect(cls, url: str, *, name: str, connect_timeout: float = 10) -> Bus:
        """Connect as `name`. Once connected, a lost connection is made again, for ever."""
        return cls(await Connection.open(url, name=name, connect_timeout=connect_timeout))

    async def close(self) -> None:
        """Give back what was pulled and not taken, send what is queued (within three seconds), disconnect."""
        await self._tails.close()
        await self._requests.close()
        await self._reader.close()
        for pull in self._pulls:
            await pull.close()
        await self.dedicated.close()
        await self._jetstream.close()
        await self._connection.close(_CLOSE_SECONDS)

    @property
    def connected(self) -> bool:
        return self._connection.connected

    @property
    def server(self) -> str:
        """The servers' URLs without credentials."""
        return str(self._connection.address)

    @property
    def max_inline(self) -> int:
        """The largest body in bytes that `publish` takes; a larger one goes through `put_body`."""
        return self._publisher.max_inline

    def watch(self, callback: Callable[[bool], None]) -> None:
        """Call `callback(connected)` at each change of the connection. Core messages (`listen`) that passed in
        between are lost: reconcile after each True."""
        self._connection.watchers.append(callback)

    async def ensure(
        self,
        *,
        max_age: timedelta = timedelta(days=3),
        max_bytes: int = 4 << 30,
        events_max_age: timedelta | None = None,
        events_max_bytes: int | None = None,
    ) -> None:
        """Make or update the streams MAIL, MAIL_BACKFILL, MAIL_EVENTS, MAIL_DEAD, the buckets and the durables.

        `max_bytes` bounds MAIL and the body bucket each, `events_…` MAIL_EVENTS; where the server has less space, less
        is asked for. What is deleted by hand later on is made again, with a warning in the log.
        """
        await self._jetstream.ensure(Limits(max_age, max_bytes, events_max_age, events_max_bytes))

    @property
    def unacknowledged(self) -> bool:
        """Whether what was published last brought a refusal or no answer; until a PubAck comes."""
        return self._publisher.refused

    async def write_errors(self) -> dict[str, str]:
        """By stream of ours whose store NATS keeps in error since a write failed: what its system said. Asks for a
        deletion that touches nothing, which this user must be allowed to; raises BusError when nobody answers."""
        found = await self._jetstream.write_errors()
        self._publisher.explain(words(found) if found else "")
        return found

    async def publish(self, event: MessageEvent | ThinEvent, *, deadline: float = 30) -> PubAck:
        """Publish and await the PubAck.

        Attempts are repeated for `deadline` seconds, over reconnects and restarts, under the same Nats-Msg-Id, so that
        the stream has it once. Concurrent calls share a window of 1,024 messages and 64 MB. A `duplicate` whose `seq`
        is at or below the ack floor was settled within the last two minutes: this publish brings it to nobody.
        """
        payload = event.body if isinstance(event, MessageEvent) else event.payload()
        return await self._publisher.publish(event.nats_subject, event.headers(), payload, total=deadline)

    def pipeline(self, ended: Callable[[T, PubAck | BusError], None]) -> Pipeline[T]:
        """For many events at once: `async with bus.pipeline(ended) as pipeline: await pipeline.send(tag, event)`.
        `ended` hears of each in the end."""
        return Pipeline(self._connection, self._publisher, ended)

    async def publish_batch(self, events: Sequence[ThinEvent]) -> bool:
        """Publish all of them at the price of one. False: not all are known to be stored, and each is to be published
        by itself; so it is where one is in the stream already, and on a server that knows no batches."""
        return await self._batches.publish(events)

    async def publish_all(self, events: Iterable[MessageEvent | ThinEvent]) -> list[PubAck | BusError]:
        """Publish many and await their PubAcks; what became of each, in order. Raises BusError, retry NEVER, for what
        NATS cannot take."""
        outcomes: list[PubAck | BusError] = []

        def ended(_: None, outcome: PubAck | BusError) -> None:
            outcomes.append(outcome)

        async with self.pipeline(ended) as pipeline:
            for event in events:
                await pipeline.send(None, event)
        return outcomes

    async def put_body(self, name: str, path: Path) -> None:
        """Put the file `path` into the bucket `mail-bodies` as `name`; the same bytes again change nothing."""
        await self._bodies.put(name, path)

    async def largest_body(self) -> int:
        """Bytes of the largest one that `put_body` can keep; what is larger would push out its own beginning."""
        return await self._bodies.largest()

    async def get_body(self, name: str, path: Path) -> None:
        """Write the object `name` into the file `path`. Raises BodyMissing (a BusError) when it is gone."""
        await self._bodies.get(name, path)

    async def message_body(self, seq: int, sha256: str, path: Path) -> None:
        """Write the bytes with this digest, whose event has this sequence in one of the streams of messages, into the
        file `path`. Raises BodyMissing (a BusError) when none has it any more, OSError."""
        for stream in MESSAGE_STREAMS:
            event = await self._message(stream, seq)
            if event is None or event.sha256 != sha256:
                continue
            if event.object_name:
                await self._bodies.get(event.object_name, path)
            else:
                await asyncio.to_thread(path.write_bytes, event.body)
            return
        raise BodyMissing(f"{' and '.join(MESSAGE_STREAMS)} have no such event {seq} any more")

    async def _message(self, stream: str, seq: int) -> MessageEvent | None:
        read = self._reader.read(stream, (), after=seq - 1)
        async with aclosing(read):
            async for delivery in read:
                if delivery.seq == seq:
                    with suppress(EventError):
                        return MessageEvent.decode(delivery.headers, delivery.data)
                break
        return None

    async def pull(self, durable: str) -> Pull:
        """Deliveries of the durable `store` (new mail, rebinds), `backfill` (with copies), `expunge` or `flags`."""
        stream, _ = DURABLES[durable]

        async def born() -> str:
            return str((await self._durable(stream, durable))["created"])

        async def restore() -> str:
            await self._jetstream.restore()
            return await born()

        try:
            first = await born()
        except BusError:
            first = await restore()
        return self._pull(Pull(self._connection, stream, durable, born=first, restore=restore))

    async def pull_former(self, durable: str) -> Pull | None:
        """Deliveries of what the durable had not settled when another stream was its own; None when nothing is left."""
        stream = FORMER.get(durable, "")
        if not stream or not (info := await self._former(durable)) or not _unsettled(info):
            return None
        created = str(info["created"])

        async def look() -> str:
            if await self._former(durable) is None:
                await asyncio.Event().wait()  # nothing more will come of it
            return created

        return self._pull(Pull(self._connection, stream, durable, born=created, restore=look))

    def _pull(self, pull: Pull) -> Pull:
        self._pulls.append(pull)
        return pull

    async def _durable(self, stream: str, durable: str) -> dict[str, Any]:
        return await self._jetstream.call(f"CONSUMER.INFO.{stream}.{durable}")

    async def _former(self, durable: str) -> dict[str, Any] | None:
        """The durable in its former stream, if it was there."""
        if durable not in FORMER:
            return None
        try:
            return await self._durable(FORMER[durable], durable)
        except ApiError as error:
            if error.err_code != CONSUMER_NOT_FOUND:
                raise
            return None

    async def listen(self, subjects: Sequence[str], callback: Callback) -> Subscription:
        """Call `callback(subject, data, headers)` in the event loop for each core message; it must not block. What it
        raises is logged. Lasts over reconnects; what passes while the connection is down is not heard (`watch`)."""
        return await self._requests.listen(subjects, callback)

    async def request(self, subject: str, payload: bytes, timeout: float) -> bytes:
        """The answer of whoever responds to `subject`; BusError when nobody does, or not in `timeout` seconds."""
        return await self._requests.request(subject, payload, timeout)

    async def gather(self, subject: str, payload: bytes, timeout: float) -> list[bytes]:
        """The answers of all who respond to `subject` within `timeout` seconds."""
        return await self._requests.gather(subject, payload, timeout)

    async def respond(self, subject: str, handler: Answerer) -> Subscription:
        """Answer requests to `subject` by `handler`, each in a task of its own. What it raises is logged, and the
        asker gets a BusError with the exception's class name."""
        return await self._requests.respond(subject, handler)

    async def tail(
        self, subject_filter: str, *, since: Since | Mapping[str, int | datetime] = None, bodies: bool = False
    ) -> AsyncGenerator[Delivery, None]:
        """Events as they come, from `since` on: None (now), "all", a time, the last N, or by the stream's name the
        sequence after which (or the time from which) to begin. Message events come without their bodies unless
        `bodies`. Events of several streams come in the order of their times. Close it with `contextlib.aclosing`
        when leaving early."""
        tail = self._tails.read(subject_filter, since, bodies)
        async with aclosing(tail):
            async for delivery in tail:
                yield delivery

    async def position(self, stream: str) -> StreamPosition:
        """Where the stream (`MAIL`, `MAIL_BACKFILL`, `MAIL_EVENTS`, `MAIL_DEAD`) begins and ends."""
        return await stream_position(self._jetstream, stream)

    async def ack_floor(self, stream: str) -> int:
        """All messages of this stream of messages up to this sequence are settled."""
        # The stream first: a durable with nothing left has settled all that was there before it was asked, though its
        # own floor stays at the last message that its filter let through.
        floor = (await self.position(stream)).last_seq
        infos = [await self._durable(its, name) for name, (its, _) in DURABLES.items() if its == stream]
        infos += [info for name, its in FORMER.items() if its == stream and (info := await self._former(name))]
        return min([floor, *(int(info["ack_floor"]["stream_seq"]) for info in infos if _unsettled(info))])

    async def waiting(self) -> dict[str, int]:
        """By durable: what it has not settled, delivered or not."""
        return {durable: (await self.settled(durable))[1] for durable in DURABLES}

    async def settled(self, durable: str) -> tuple[int, int]:
        """Up to which sequence all that the durable lets through is settled, and how much waits for it, delivered or
        not, also in its former stream."""
        info = await self._durable(DURABLES[durable][0], durable)
        former = await self._former(durable)
        return int(info["ack_floor"]["stream_seq"]), _unsettled(info) + (_unsettled(former) if former else 0)

    async def unsettled(self) -> AsyncGenerator[Unsettled, None]:
        """The messages after the ack floor of their stream: each one that is in flight, and some that were settled.
        Headers only; `size` is that of the whole message (0 for a rebind)."""
        for stream in MESSAGE_STREAMS:
            floor = await self.ack_floor(stream)
            read = self._reader.read(stream, (), after=floor, headers_only=True)
            async with aclosing(read):
                async for delivery in read:
                    with suppress(EventError, ValueError):
                        headers = delivery.headers
                        yield Unsettled(
                            identity_of(headers),
                            stream,
                            delivery.seq,
                            int(headers.get("ce-size", "0")),
                            mailbox_id_of(headers),
                            sha256_of(headers),
                            origin_of(headers),
                        )

    async def publish_dead(
        self, delivery_headers: Mapping[str, str], body: bytes | Path, error: str, deliveries: int
    ) -> None:
        """Put what could not be stored into MAIL_DEAD: the event's headers, its raw bytes (`body`, or the file that
        holds them) and `error`. The same message again within two minutes changes nothing."""
        await self._dead.publish(delivery_headers, body, error, deliveries)

    async def dead_letters(self, after: int = 0) -> AsyncGenerator[DeadLetter, None]:
        """What lies in MAIL_DEAD behind the sequence `after`, oldest first, without the bytes."""
        letters = self._dead.letters(after)
        async with aclosing(letters):
            async for letter in letters:
                yield letter

    async def dead_letter(self, seq: int) -> DeadLetter:
        """The one with this sequence. Raises DeadLetterMissing (a BusError)."""
        return await self._dead.letter(seq)

    async def dead_body(self, seq: int, path: Path) -> DeadLetter:
        """Write the bytes of the event that died into the file `path`. Raises DeadLetterMissing, BodyMissing (both are
        BusErrors), OSError."""
        return await self._dead.body(seq, path)

    async def dead_beginning(self, letter: DeadLetter) -> bytes:
        """The first bytes of the event that died, as many as one request gives; none where they are not there any
        more. Raises BusError."""
        return await self._dead.beginning(letter)

    async def discard(self, seq: int) -> DeadLetter:
        """Remove the letter for good. Raises DeadLetterMissing (a BusError)."""
        return await self._dead.discard(seq)

    async def redrive(self, seq: int) -> PubAck:
        """Publish the event that died once more and remove its letter; if it dies again, that is another letter.
        Repeating it is harmless. Raises DeadLetterMissing, BodyMissing (both are BusErrors), OSError."""
        return await self._dead.redrive(seq)

    async def dead_identities(self) -> dict[Identity, int]:
        """The messages that lie in MAIL_DEAD, each with the row of its mailbox (0: the event did not tell)."""
        return {letter.identity: letter.mailbox_id async for letter in self._dead.letters()}


def _unsettled(info: Mapping[str, Any]) -> int:
    """How much waits for a durable, delivered or not."""
    return int(info["num_pending"]) + int(info["num_ack_pending"])
