"""Syncer and consumer as processes of their own beside a private nats-server: one is traced, the other is not."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import nats
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from tests.support.dovecot import Dovecot
from tests.support.effects import Point, Tracer
from tests.support.forking import fork
from tests.support.mail import Mail
from tests.support.nats import NatsServer
from tests.support.processes import Mozzart
from tests.support.programs import wait_until

T = TypeVar("T")
# What a killed consumer held comes again after this; the product's own 30 s are for those that think.
_ACK_WAIT: Final = 0.5


class Installation:
    """In `home`, on the mailboxes of `dovecot`; with the stores of another one, if it is to be `like` that."""

    def __init__(self, home: Path, dovecot: Dovecot, *, like: Path | None = None) -> None:
        if like is None:
            home.mkdir()
        else:
            shutil.copytree(like, home)
        self._nats = NatsServer(home=home / "nats")
        self._nats.home.mkdir(exist_ok=True)
        self.mozzart = Mozzart(home, {"SYNC_INTERVAL": "5"}).use(dovecot)
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
            for durable in ("store", "backfill"):
                with contextlib.suppress(NotFoundError):
                    config = (await stream.consumer_info("MAIL", durable)).config
                    config.ack_wait = _ACK_WAIT
                    await stream.add_consumer("MAIL", config)

        self._ask(hurry)
        time.sleep(2 * _ACK_WAIT)

    def wait_published(self, count: int) -> None:
        async def published(stream: JetStreamContext) -> int:
            with contextlib.suppress(NotFoundError):
                return (await stream.stream_info("MAIL")).state.messages
            return 0

        wait_until(lambda: self._ask(published) == count, f"{count} messages are published", within=60, every=0.1)

    def announced_twice(self) -> list[str]:
        """The SHA-256 of messages that are `new` or `backfill` under more than one id."""

        async def read(stream: JetStreamContext) -> dict[str, set[str]]:
            ids: dict[str, set[str]] = {}
            pull = await stream.pull_subscribe("mail.>", stream="MAIL")
            left = (await stream.stream_info("MAIL")).state.messages
            while left:
                for message in await pull.fetch(left, timeout=5):
                    left -= 1
                    facts = message.headers or {}
                    if facts["ce-type"].split(".")[2] in {"new", "backfill"}:
                        ids.setdefault(facts["ce-sha256"], set()).add(facts["ce-id"])
            return ids

        return [sha256 for sha256, ids in self._ask(read).items() if len(ids) > 1]

    def settle(self, sent: Mapping[int, Mail]) -> None:
        """Exactly these messages are rows, with their files."""

        def complete() -> bool:
            with contextlib.suppress(AssertionError, FileNotFoundError):
                self.mozzart.check_complete(sent)
                return True
            return False

        with contextlib.suppress(TimeoutError):
            wait_until(complete, "all is stored", within=75, every=0.1)
        self.mozzart.check_complete(sent)

    def nothing_is_missing(self) -> None:
        """`mozzart sync` compares and finds nothing."""

        def found_nothing() -> bool:
            return "nothing was missing" in self.mozzart.run("sync").stdout

        wait_until(found_nothing, "a sync finds nothing", within=30, every=0.1)

    def contents(self) -> tuple[object, ...]:
        """All that is stored of messages."""
        tables = ("mailbox_app_mailmessage", "mailbox_app_mailattachment")
        rows = [[tuple(row) for row in self.mozzart.rows(f"SELECT * FROM {table} ORDER BY id")] for table in tables]
        return (*rows, self.mozzart.files())

    def _ask(self, question: Callable[[JetStreamContext], Awaitable[T]]) -> T:
        async def ask() -> T:
            client = await nats.connect(self._nats.url)
            try:
                return await question(client.jetstream())
            finally:
                await client.close()

        return asyncio.run(ask())
