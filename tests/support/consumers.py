"""A consumer on a real bus, database and disk, and what it told the world."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any, TypeVar

from consumers.main import consume
from mailcore.bus import MAIL, Bus
from mailcore.bus.layout.streams import bucket_stream
from mailcore.events.identity import Identity
from mailcore.events.message import BODY_BUCKET, MessageEvent
from mailcore.events.subject import parse_subject
from mailcore.events.thin import Dead, Stored, ThinEvent, decode_thin
from mailcore.media import INCOMING, Media
from mailcore.store import Store
from tests.support import events

T = TypeVar("T")


def mail(number: int, *, attachment: bytes | None = None, subject: str | None = None) -> bytes:
    """RFC 5322 bytes, each number's its own."""
    message = EmailMessage()
    message["From"] = "Anna <anna@example.org>"
    message["To"] = "bob@example.org"
    message["Subject"] = f"mail {number}" if subject is None else subject
    message["Message-ID"] = f"<{number}@example.org>"
    message.set_content(f"text of {number}\n")
    if attachment is not None:
        message.add_attachment(attachment, maintype="application", subtype="pdf", filename=f"größe {number}.pdf")
    return message.as_bytes().replace(b"\n", b"\r\n")


def event(number: int, **facts: object) -> MessageEvent:
    """The event of `mail(number)` with an attachment, or of the bytes `body`."""
    body = facts.pop("body", None) or mail(number, attachment=f"content of {number}".encode())
    assert isinstance(body, bytes)
    return replace(events.message(number, body=body), **facts)  # type: ignore[arg-type]  # names are the caller's


async def eventually(condition: Callable[[], T], what: str, *, within: float = 20) -> T:
    """The first true value of `condition`; raises TimeoutError that names `what`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    while not (value := condition()):
        if loop.time() > end:
            raise TimeoutError(f"{what}: not within {within:g} s")
        await asyncio.sleep(0.005)
    return value


async def until(condition: Callable[[], Awaitable[T]], what: str, *, within: float = 20) -> T:
    """`eventually` for a condition that must be asked for."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    while not (value := await condition()):
        if loop.time() > end:
            raise TimeoutError(f"{what}: not within {within:g} s")
        await asyncio.sleep(0.01)
    return value


async def acknowledged(bus: Bus, seq: int) -> None:
    """Wait until the durable `store` has settled all up to `seq`."""

    async def settled() -> bool:
        return await bus.ack_floor(MAIL) >= seq

    await until(settled, f"settled up to {seq}")


async def deliver_again(bus: Bus, sent: MessageEvent | ThinEvent, *, mark: str = "again") -> None:
    """The same event once more, as a stream brings it whose duplicate window has passed."""
    payload = sent.body if isinstance(sent, MessageEvent) else sent.payload()
    headers = {**sent.headers(), "Nats-Msg-Id": f"{sent.headers()['Nats-Msg-Id']} {mark}"}
    await bus._publisher.publish(sent.nats_subject, headers, payload)


@dataclass
class Ear:
    """What `stored` and `dead` events were heard, in their order."""

    stored: list[Stored] = field(default_factory=list)
    dead: list[Dead] = field(default_factory=list)
    at_stored: Callable[[Stored], None] = lambda event: None

    def hear(self, subject: str, data: bytes, _headers: Mapping[str, str]) -> None:
        thin = decode_thin(parse_subject(subject)[1], data)
        if isinstance(thin, Stored):
            self.at_stored(thin)
            self.stored.append(thin)
        elif isinstance(thin, Dead):
            self.dead.append(thin)

    @property
    def identities(self) -> set[Identity]:
        return {each.identity for each in self.stored}

    def heard(self, stored: int) -> bool:
        """Whether exactly so many `stored` events came, repetitions included."""
        return len(self.stored) == stored

    async def count(self, stored: int, within: float = 20) -> None:
        """Wait until so many different messages were told as stored."""
        await eventually(lambda: len(self.identities) >= stored, f"{stored} messages stored", within=within)


@asynccontextmanager
async def listening(bus: Bus) -> AsyncIterator[Ear]:
    ear = Ear()
    await bus.listen(["mail.*.*.stored", "mail.*.*.dead"], lambda *heard: ear.hear(*heard))
    yield ear


@asynccontextmanager
async def consuming(bus: Bus, store: Store, media: Media, **bounds: Any) -> AsyncIterator[asyncio.Event]:
    """A consumer that runs for the time of the block; what ends it ends the block too."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(consume(bus, store, media, stop=stop, **bounds))
        try:
            yield stop
        finally:
            stop.set()


def kept_files(root: Path) -> set[str]:
    """The files below MEDIA_ROOT that are no temporary ones."""
    found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    return {path for path in found if not path.startswith(INCOMING)}


def temporary_files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in (root / INCOMING).rglob("*") if path.is_file()}


async def limit_bodies(bus: Bus, octets: int) -> None:
    """From here on the bucket holds no more, as on a server that had less room."""
    stream = bucket_stream(BODY_BUCKET)
    config = (await bus._jetstream.call(f"STREAM.INFO.{stream}"))["config"]
    await bus._jetstream.call(f"STREAM.UPDATE.{stream}", {**config, "max_bytes": octets})
