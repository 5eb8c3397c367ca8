"""Syncer and consumer as processes of their own beside a private nats-server: one is traced, the other is not."""

from __future__ import annotations

import asyncio
import contextlib
import imaplib
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import nats
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from tests.chaos.comparison import Comparison, compare
from tests.chaos.observation import NotYet, Sight
from tests.chaos.subscriber import Heard
from tests.support.effects import Point, Tracer
from tests.support.forking import fork
from tests.support.mailboxes import Mailboxes
from tests.support.nats import NatsServer
from tests.support.processes import Mozzart
from tests.support.programs import wait_until

T = TypeVar("T")
# What a killed consumer held comes again after this; the product's own 30 s are for those that think.
_ACK_WAIT: Final = 0.5
_DURABLES: Final = {"MAIL": ("store",), "MAIL_BACKFILL": ("backfill",), "MAIL_EVENTS": ("expunge", "flags")}


class Installation:
    """In `home`, on those mailboxes; with the stores of another one, if it is to be `like` that."""

    def __init__(self, home: Path, mailboxes: Mailboxes, *, like: Path | None = None) -> None:
        if like is None:
            home.mkdir()
        else:
            shutil.copytree(like, home)
        self._nats = NatsServer(home=home / "nats")
        self._nats.home.mkdir(exist_ok=True)
        self.mozzart = Mozzart(home, {"SYNC_INTERVAL": "1", "IMAP_MAILBOX": "*"}).use(mailboxes.dovecot)
        self.sight = Sight(self.mozzart, mailboxes)
        self._home = home

    def __enter__(self) -> Self:
        self._nats.start()
        self.mozzart.environment["NATS_URL"] = self._nats.url
        return self

    def __exit__(self, *_: object) -> None:
        self._nats.stop()

    def run(self, *words: str) -> str:
        """A command that ends well; what it said."""
        done = self.mozzart.run(*words)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    @contextmanager
    def running(self, role: str, before: Callable[[int], object] = lambda pid: None) -> Iterator[Any]:
        """That role, from start to an orderly end."""
        with self.mozzart.log.open("ab") as log:
            process = fork((role,), self.mozzart.settings, self._home, log.fileno(), log.fileno(), before=before)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(15)
            finally:
                process.kill()
                process.wait()

    def trace(self, role: str, point: Point | None, *, until: Callable[[], bool]) -> tuple[list[Point], bool]:
        """That role with a tracer on it, until it has died at `point` or `until` is true: the effects that it had, and
        whether it died."""
        tracer = Tracer(self._home / "effects.txt", point)
        with self.running(role, tracer.attach) as process:
            wait_until(lambda: process.poll() is not None or until(), f"{role} is done", within=90, every=0.03)
            died = process.poll() is not None
            process.kill()
        tracer.wait()
        return ([] if point else tracer.points()), died

    def deliver_again(self) -> None:
        """What a killed consumer held, soon."""

        async def hurry(stream: JetStreamContext) -> None:
            for name, durables in _DURABLES.items():
                for durable in durables:
                    with contextlib.suppress(NotFoundError):
                        config = (await stream.consumer_info(name, durable)).config
                        config.ack_wait = _ACK_WAIT
                        await stream.add_consumer(name, config)
            await asyncio.sleep(2 * _ACK_WAIT)

        self._ask(hurry)

    def wait_published(self, kind: str, count: int) -> None:
        """So many events of that type."""

        async def published(stream: JetStreamContext) -> int:
            found = 0
            for name in _DURABLES:
                with contextlib.suppress(NotFoundError):
                    state = (await stream.stream_info(name, subjects_filter=f"mail.*.*.{kind}")).state
                    found += sum((state.subjects or {}).values())
            return found

        wait_until(lambda: self._ask(published) == count, f"{count} {kind} are published", within=60, every=0.1)

    def compared(self) -> Comparison:
        """What differs now."""
        try:
            return compare(self.sight.world(self._ask(_hear)))
        except (OSError, sqlite3.Error, imaplib.IMAP4.error, NotYet) as error:
            found = Comparison()
            found.note("not to be compared", repr(error))
            return found

    def settle(self) -> None:
        """Until the server is stored, once, with its files, events and flags, and nothing else is."""
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not self.compared().faults, "nothing differs", within=75, every=0.1)
        assert self.compared().faults == []

    def nothing_is_missing(self) -> None:
        """`mozzart sync` compares and finds nothing."""

        def found_nothing() -> bool:
            return "nothing was missing" in self.mozzart.run("sync").stdout

        wait_until(found_nothing, "a sync finds nothing", within=30, every=0.1)

    def contents(self) -> tuple[object, ...]:
        """All that is stored of messages, and how often each was announced."""
        tables = ("mailbox_app_mailmessage", "mailbox_app_mailattachment")
        rows = [[tuple(row) for row in self.mozzart.rows(f"SELECT * FROM {table} ORDER BY id")] for table in tables]
        return (*rows, self.mozzart.files(), self._ask(_hear))

    def _ask(self, question: Callable[[JetStreamContext], Awaitable[T]]) -> T:
        async def ask() -> T:
            client = await nats.connect(self._nats.url)
            try:
                return await question(client.jetstream())
            finally:
                await client.close()

        return asyncio.run(ask())


async def _hear(stream: JetStreamContext) -> Heard:
    """All events from the first one on."""
    heard = Heard()
    for name in _DURABLES:
        with contextlib.suppress(NotFoundError):
            left = (await stream.stream_info(name)).state.messages
            pull = await stream.pull_subscribe("mail.>", stream=name)
            while left:
                for message in await pull.fetch(min(left, 200), timeout=5):
                    left -= 1
                    heard.note(message.headers or {}, message.data)
            await pull.unsubscribe()
    return heard
