"""The demo's story: deliver sample mails by APPEND, listen to the events, show each mail's way with its milliseconds.

It is a client like any other: it knows the pipeline by its events, its database and its files alone.
"""

from __future__ import annotations

import asyncio
import imaplib
import itertools
import re
import signal
import sqlite3
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import make_url

from cli import exit_code
from cli.demo.mail import sample
from cli.demo.screen import Attachment, Journey, Screen
from mailcore.bus import Bus
from mailcore.errors import BusError, EventError
from mailcore.events import control
from mailcore.events.identity import Identity
from mailcore.events.message import parse_stamp
from mailcore.events.thin import Stored
from mailcore.settings import Account, Settings

READY_DEADLINE: Final = 30.0
STORED_DEADLINE: Final = 15.0
_APPENDUID: Final = re.compile(rb"\[APPENDUID (\d+) (\d+)\]")  # RFC 4315 §3

Key = tuple[int, int]  # UIDVALIDITY, UID


@dataclass
class Sightings:
    """What the events told, by message; delivery and events may come in any order."""

    published: dict[Key, tuple[datetime, datetime]] = field(default_factory=dict)  # pushed at, in JetStream at
    stored: dict[Key, Stored] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def of(self, key: Key) -> tuple[datetime, datetime, Stored]:
        while not (key in self.published and key in self.stored):
            self.news.clear()
            await self.news.wait()
        return *self.published.pop(key), self.stored.pop(key)


async def tell(settings: Settings, *, every: float, count: int | None) -> int:
    """Until SIGTERM, or until `count` mails are told."""
    screen = Screen(settings)
    telling = asyncio.create_task(_tell(settings, screen, every=every, count=count))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, telling.cancel)
    with suppress(asyncio.CancelledError):
        await telling
    screen.farewell()
    return exit_code.OK


async def _tell(settings: Settings, screen: Screen, *, every: float, count: int | None) -> None:
    bus = await Bus.connect(settings.nats_url, name="demo")
    sightings = Sightings()
    try:
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(_listen(bus, sightings))
            await _until_it_listens(bus, screen)
            for number in itertools.count(1):
                began = asyncio.get_running_loop().time()
                await _one_mail(settings, screen, sightings, number)
                if number == count:
                    break
                await asyncio.sleep(max(0.0, every - (asyncio.get_running_loop().time() - began)))
            listening.cancel()
    finally:
        await bus.close()


async def _listen(bus: Bus, sightings: Sightings) -> None:
    while True:
        try:
            async with aclosing(bus.tail("mail.>")) as events:
                async for event in events:
                    kind = event.subject.rpartition(".")[2]
                    with suppress(EventError, LookupError, ValueError):
                        if kind in ("new", "backfill"):
                            found = Identity.parse(event.headers["ce-id"])
                            pushed = parse_stamp(event.headers["ce-pushedat"])
                            sightings.published[found.uidvalidity, found.uid] = (pushed, event.published_at)
                        elif kind == "stored":
                            stored = Stored.model_validate_json(event.data)
                            sightings.stored[stored.uidvalidity, stored.uid] = stored
                        sightings.news.set()
        except BusError:
            await asyncio.sleep(0.2)


async def _until_it_listens(bus: Bus, screen: Screen) -> None:
    """A mail delivered before the syncer idles would show the time of starting, not of working."""
    with suppress(TimeoutError):
        async with asyncio.timeout(READY_DEADLINE):
            while True:
                with suppress(BusError, ValueError):
                    answer = await bus.request(control.STATES, b"", 1.0)
                    states = control.MailboxStates.model_validate_json(answer)
                    if any(state.connection == "idling" for state in states.mailboxes):
                        screen.ready()
                        return
                await asyncio.sleep(0.02)
    screen.trouble(f"The syncer does not listen to the IMAP server after {READY_DEADLINE:.0f} s; mail comes anyway.")


async def _one_mail(settings: Settings, screen: Screen, sightings: Sightings, number: int) -> None:
    mail = sample(number, datetime.now(UTC))
    try:
        key, delivered = await asyncio.to_thread(_append, settings.accounts[0], mail.raw)
    except (OSError, imaplib.IMAP4.error, ValueError) as error:
        screen.trouble(f"The IMAP server did not take mail {number} ({error}); the next one may do better.")
        return
    screen.delivered += 1
    try:
        async with asyncio.timeout(STORED_DEADLINE):
            pushed, published, stored = await sightings.of(key)
    except TimeoutError:
        screen.trouble(f"Mail {number} (UID {key[1]}) is not stored after {STORED_DEADLINE:.0f} s.")
        return
    attachments = await asyncio.to_thread(_attachments, settings, stored.row_id)
    screen.journey(
        Journey(number, mail.sender, mail.subject, len(mail.raw), delivered, pushed, published, stored, attachments)
    )


def _append(account: Account, raw: bytes) -> tuple[Key, datetime]:
    """Deliver one mail; returns its UIDVALIDITY and UID, and when the server had answered OK."""
    with imaplib.IMAP4(account.host, account.port, timeout=5) as client:
        client.login(account.user, account.password.get_secret_value())
        status, answer = client.append("INBOX", "", "", raw)
        delivered = datetime.now(UTC)
        found = _APPENDUID.search(answer[0] or b"")
        if status != "OK" or found is None:
            raise ValueError(f"APPEND was answered {status}")
        return (int(found[1]), int(found[2])), delivered


def _attachments(settings: Settings, row_id: int) -> list[Attachment]:
    """As the database has them; the demo's is always SQLite."""
    uri = f"file:{make_url(settings.database_url).database}?mode=ro"
    query = "SELECT filename, size, file FROM mailbox_app_mailattachment WHERE message_id = ? ORDER BY id"
    connection = sqlite3.connect(uri, uri=True, timeout=5)
    try:
        rows = connection.execute(query, (row_id,)).fetchall()
    finally:
        connection.close()
    return [Attachment(filename, size, settings.media_root / file) for filename, size, file in rows]
