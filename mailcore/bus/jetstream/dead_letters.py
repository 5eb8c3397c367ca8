"""Dead letters: messages that could not be stored, with their raw bytes and their error."""

from __future__ import annotations

import asyncio
import base64
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from mailcore.bus.jetstream.api import NO_MESSAGE, ApiError, JetStream
from mailcore.bus.jetstream.bodies import Bodies
from mailcore.bus.jetstream.publish import PubAck, Publisher
from mailcore.bus.jetstream.reader import Reader
from mailcore.bus.layout.streams import MAIL_DEAD, SUBJECTS
from mailcore.errors import BusError, EventError, Retry, Scope
from mailcore.events.dead_letter import DeadLetter, dead_headers, dead_subject, identity_of
from mailcore.events.message import Kind
from mailcore.events.subject import subject
from mailcore.events.thin import Rebind

log = structlog.get_logger(__name__)

_NOT_FOUND: Final = 404
_KINDS: Final = (*(kind.value for kind in Kind), Rebind.type)


class DeadLetterMissing(BusError):
    """There is no such letter: it expired, or it was redriven."""

    scope = Scope.MESSAGE
    retry = Retry.NEVER


class DeadLetters:
    """`alive` are the bodies of the events that are still to be stored, `bodies` those of the letters."""

    def __init__(
        self, publisher: Publisher, reader: Reader, jetstream: JetStream, bodies: Bodies, alive: Bodies
    ) -> None:
        self._publisher = publisher
        self._reader = reader
        self._jetstream = jetstream
        self._bodies = bodies
        self._alive = alive

    async def publish(
        self, delivery_headers: Mapping[str, str], body: bytes | Path, error: str, deliveries: int
    ) -> None:
        identity = identity_of(delivery_headers)
        name, payload = "", b""
        if isinstance(body, Path):
            name = str(identity)
            await self._bodies.put(name, body)
        else:
            payload = body
        headers = dead_headers(delivery_headers, error, deliveries, name)
        await self._publisher.publish(dead_subject(identity.key), headers, payload)

    async def letters(self, after: int = 0) -> AsyncGenerator[DeadLetter, None]:
        read = self._reader.read(MAIL_DEAD, SUBJECTS[MAIL_DEAD], after=after, headers_only=True)
        async with aclosing(read):
            async for delivery in read:
                try:
                    yield DeadLetter.decode(delivery.seq, delivery.headers, delivery.published_at)
                except EventError as error:
                    log.warning("dead-letter-unreadable", seq=delivery.seq, error=str(error))

    async def letter(self, seq: int) -> DeadLetter:
        found, _ = await self._find(seq, headers_only=True)
        return found

    async def body(self, seq: int, path: Path) -> DeadLetter:
        letter, payload = await self._find(seq)
        if letter.object_name:
            await self._bodies.get(letter.object_name, path)
        else:
            await asyncio.to_thread(path.write_bytes, payload)
        return letter

    async def beginning(self, letter: DeadLetter) -> bytes:
        if letter.object_name:
            return await self._bodies.beginning(letter.object_name)
        try:
            found = await self._jetstream.call(f"STREAM.MSG.GET.{MAIL_DEAD}", {"seq": letter.seq})
        except ApiError as error:
            if error.err_code == NO_MESSAGE:
                return b""
            raise
        return base64.b64decode(found["message"].get("data", ""))

    async def redrive(self, seq: int) -> PubAck:
        letter, payload = await self._find(seq)
        kind = _kind(letter)
        name = ""
        if letter.object_name:
            name = letter.object_name
            with tempfile.TemporaryDirectory(prefix="mozzart-") as directory:
                path = Path(directory) / "body"
                await self._bodies.get(name, path)
                await self._alive.put(name, path)
        headers = letter.redrive_headers(datetime.now(UTC), name)
        ack = await self._publisher.publish(subject(letter.identity.key, kind), headers, payload)
        # Only now: a crash in between leaves the letter there, and redriving it once more doubles nothing (I4). Its
        # object stays until it expires: the next letter of the same message may name it already.
        await self._delete(seq)
        return ack

    async def discard(self, seq: int) -> DeadLetter:
        letter = await self.letter(seq)
        await self._delete(seq)
        return letter

    async def _delete(self, seq: int) -> None:
        try:
            await self._jetstream.call(f"STREAM.MSG.DELETE.{MAIL_DEAD}", {"seq": seq, "no_erase": True})
        except ApiError as error:
            if error.code != _NOT_FOUND and error.err_code != NO_MESSAGE:
                raise

    async def _find(self, seq: int, *, headers_only: bool = False) -> tuple[DeadLetter, bytes]:
        read = self._reader.read(MAIL_DEAD, SUBJECTS[MAIL_DEAD], after=seq - 1, headers_only=headers_only)
        async with aclosing(read):
            async for delivery in read:
                if delivery.seq != seq:
                    break
                try:
                    return DeadLetter.decode(seq, delivery.headers, delivery.published_at), delivery.data
                except EventError as error:
                    raise DeadLetterMissing(f"the dead letter {seq} is unreadable: {error}") from None
        raise DeadLetterMissing(f"there is no dead letter {seq}: it expired, or it was redriven")


def _kind(letter: DeadLetter) -> str:
    try:
        kind = letter.kind
    except EventError as error:
        raise BusError(
            f"the dead letter {letter.seq} cannot be redriven: {error}", scope=Scope.MESSAGE, retry=Retry.NEVER
        ) from None
    if kind not in _KINDS:
        raise BusError(
            f"the dead letter {letter.seq} cannot be redriven: nothing stores {kind!r}",
            scope=Scope.MESSAGE,
            retry=Retry.NEVER,
        )
    return kind
