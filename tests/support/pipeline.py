"""The whole way of a message in one process: syncer under trio, consumer in a thread with a loop of its own, SQLite.

What a test asks is what people can see: rows, events, the syncer's answers over NATS and the lines of the log. With a
real nats-server and tests/support/hostile_imap.py a test takes a few seconds where `mozzart up` takes many more.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import structlog
import trio
import uvloop
from pydantic import SecretStr

import consumers.main as consumer
from mailcore import aio as bridge
from mailcore import log as log_setup
from mailcore.aio import aio
from mailcore.bus import Bus
from mailcore.errors import BusError
from mailcore.events import control
from mailcore.events.control import MailboxLive, MailboxStates, SyncRun
from mailcore.events.subject import parse_subject
from mailcore.events.thin import ThinEvent, decode_thin
from mailcore.settings import DEFAULT_ACCOUNT, Account, Settings
from mailcore.store import Store
from syncer.imap.model import Endpoint
from syncer.main import _serve
from syncer.sources import Sources
from tests.support.hostile_imap import HostileImap
from tests.support.nats import NatsServer
from tests.support.stores import begin_with_tables

Row = dict[str, Any]
INTERVAL: Final = 1.0  # seconds between two sweeps
NOT_WELL: Final = frozenset(("incomplete", "failed"))  # of last_sync_status: something that is listed is not given


class Log:
    """A stream for mailcore.log that keeps every line, and shows it to whoever reads pytest's output."""

    def __init__(self) -> None:
        self.records: list[Row] = []
        self._rest = ""

    def write(self, text: str) -> int:
        lines = (self._rest + text).split("\n")
        self._rest = lines.pop()
        self.records += [json.loads(line) for line in lines if line]
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def isatty(self) -> bool:
        return False

    def warnings(self, *words: str) -> list[str]:
        """Lines of the levels warning and above that hold all `words`, upper or lower case."""
        found = [json.dumps(one) for one in self.records if one["level"] in ("warning", "error", "critical")]
        return [line for line in found if all(word.lower() in line.lower() for word in words)]

    def tracebacks(self) -> list[str]:
        return [one["exception"] for one in self.records if "exception" in one]


class Pipeline:
    """What runs, and what can be seen of it. `mailbox` is INBOX everywhere."""

    def __init__(self, settings: Settings, bus: Bus, log: Log) -> None:
        self.settings = settings
        self.bus = bus
        self.log = log
        self.thin: list[ThinEvent] = []
        self.announced: list[str] = []  # subjects of messages, in their order

    # ---- what the database holds ----

    def rows(self, query: str, *parameters: object) -> list[Row]:
        """Read from outside, as any other program would."""
        path = self.settings.data_dir / "mozzart.db"
        with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query, parameters)]

    def messages(self, account: str = DEFAULT_ACCOUNT) -> list[Row]:
        """Every message row of that account, the generation before the UID."""
        return self.rows(
            "SELECT m.* FROM mailbox_app_mailmessage m JOIN mailbox_app_mailboxstate b ON b.id = m.mailbox_id"
            " WHERE b.account = ? ORDER BY m.uidvalidity, m.uid",
            account,
        )

    def uids(self, account: str = DEFAULT_ACCOUNT) -> list[int]:
        """Of what is stored and not expunged."""
        return [row["uid"] for row in self.messages(account) if row["expunged_at"] is None]

    def subjects(self, account: str = DEFAULT_ACCOUNT) -> list[str]:
        """The same, by subject."""
        return sorted(row["subject"] for row in self.messages(account) if row["expunged_at"] is None)

    def expunged(self, account: str = DEFAULT_ACCOUNT) -> list[int]:
        return [row["uid"] for row in self.messages(account) if row["expunged_at"] is not None]

    def state(self, account: str = DEFAULT_ACCOUNT) -> Row:
        """The mailbox's row; {} before there is one."""
        found = self.rows("SELECT * FROM mailbox_app_mailboxstate WHERE account = ?", account)
        return found[0] if found else {}

    def status(self, account: str = DEFAULT_ACCOUNT) -> str:
        return str(self.state(account).get("last_sync_status", ""))

    def refused(self, account: str = DEFAULT_ACCOUNT) -> dict[int, Row]:
        """What the server lists and does not give, by UID: its reason, since when, tries, the next try."""
        return {one["uid"]: one for one in json.loads(self.state(account).get("refused") or "[]")}

    # ---- what the syncer answers ----

    async def lives(self) -> tuple[MailboxLive, ...]:
        return MailboxStates.model_validate_json(await self._ask(control.STATES, b"{}")).mailboxes

    async def live(self, account: str = DEFAULT_ACCOUNT) -> MailboxLive:
        while True:
            for one in await self.lives():
                if one.account == account:
                    return one
            await trio.sleep(0.02)

    async def words(self, account: str = DEFAULT_ACCOUNT) -> str:
        """All that a person who looks is told of the mailbox, as one text."""
        return json.dumps(self.state(account)) + (await self.live(account)).model_dump_json()

    async def start_sync(self, account: str | None = None) -> SyncRun:
        request = control.SyncStart(account=account).model_dump_json().encode()
        return SyncRun.model_validate_json(await self._ask(control.START, request))

    async def result(self, run: SyncRun, within: float = 10.0) -> SyncRun:
        """As it stands when it has ended, or after that time."""
        request = control.SyncResult(run_id=run.run_id, wait=within).model_dump_json().encode()
        return SyncRun.model_validate_json(await aio(self.bus.request, control.RESULT, request, within + 5))

    async def sync(self, account: str | None = None, within: float = 10.0) -> SyncRun:
        return await self.result(await self.start_sync(account), within)

    async def _ask(self, subject: str, payload: bytes) -> bytes:
        """Of the syncer, waiting until it listens."""
        with trio.fail_after(15):
            while True:
                try:
                    return await aio(self.bus.request, subject, payload, 5.0)
                except BusError:
                    await trio.sleep(0.02)

    # ---- waiting ----

    async def until(self, condition: Callable[[], object], what: str, within: float = 15.0) -> None:
        """Fails the test, telling what there is, unless it comes true in that time."""
        if not await self.comes(condition, within):
            pytest.fail(f"not within {within:g} s: {what}; {self._seen()}")

    async def comes(self, condition: Callable[[], object], within: float) -> bool:
        """Whether it comes true in that time."""
        with trio.move_on_after(within):
            while True:
                with contextlib.suppress(sqlite3.OperationalError):  # no tables yet
                    if condition():
                        return True
                await trio.sleep(0.02)
        return False

    async def stays(self, condition: Callable[[], object], what: str, seconds: float) -> None:
        """Fails the test unless it is true all that time."""
        if await self.comes(lambda: not condition(), seconds):
            pytest.fail(f"not for {seconds:g} s: {what}; {self._seen()}")

    async def hears(self, told: Callable[[], Sequence[object]], wanted: Sequence[object]) -> None:
        """`told()`, of what a subscriber heard, is exactly `wanted`; it hears a moment after the row changed."""
        await self.comes(lambda: len(told()) >= len(wanted), 10)
        assert list(told()) == list(wanted)

    async def announces(self, count: int) -> None:
        """So many messages, as a subscriber hears of them."""
        await self.comes(lambda: len(self.announced) >= count, 10)
        assert len(self.announced) == count

    async def stored(self, *uids: int, account: str = DEFAULT_ACCOUNT, within: float = 15.0) -> None:
        """Exactly these are present."""
        await self.until(lambda: self.uids(account) == sorted(uids), f"exactly {sorted(uids)} stored", within)

    async def idling(self, account: str = DEFAULT_ACCOUNT, within: float = 10.0) -> None:
        await self.connection("idling", account, within)

    async def connection(self, word: str, account: str = DEFAULT_ACCOUNT, within: float = 10.0) -> None:
        """The live connection is what `word` says."""
        found = ""
        with trio.move_on_after(within):
            while (found := (await self.live(account)).connection) != word:  # noqa: ASYNC110  # it is asked over NATS
                await trio.sleep(0.05)
            return
        pytest.fail(f"not within {within:g} s: {word}; it is {found!r}; {self._seen()}")

    async def told(self, uid: int | None = None, account: str = DEFAULT_ACCOUNT, within: float = 10.0) -> None:
        """A person who looks is told that something listed is not given; `uid`: with its reason, and by a warning."""
        await self.until(lambda: self.status(account) in NOT_WELL, "last_sync_status tells", within)
        if uid is not None:
            await self.until(lambda: uid in self.refused(account), f"UID {uid} among the refused", within)
            assert self.refused(account)[uid]["reason"], "and why"
            await self.until(lambda: self.log.warnings(f'"uid": {uid}'), f"a warning that names UID {uid}", 2)

    def _seen(self) -> str:
        accounts = [account.name for account in self.settings.accounts]
        return "; ".join(
            f"{name}: {str(self.uids(name))[:200]} stored, {str(self.expunged(name))[:200]} expunged, "
            f"{self.status(name)!r}, {self.state(name).get('last_error', '')[:200]!r}"
            for name in accounts
        )


def settings_of(
    servers: HostileImap | Mapping[str, HostileImap],
    nats: NatsServer,
    home: Path,
    *,
    backfill: Any = "all",
    daily_mb: int | None = None,
    mailboxes: tuple[str, ...] = ("INBOX",),
    **changes: Any,
) -> Settings:
    """One account for each server, by name; a single one is that of IMAP_*."""
    settings = Settings(
        nats_url=nats.url,
        data_dir=home / "data",
        media_root=home / "media",
        log_format="json",
        _env_file=None,
        **({"sync_interval": INTERVAL, "host_logins": 1000} | changes),
    )
    named = {DEFAULT_ACCOUNT: servers} if isinstance(servers, HostileImap) else servers
    settings._accounts = tuple(
        Account(
            name=name,
            host=server.host,
            port=server.port,
            user=server.user,
            password=SecretStr(server.password),
            use_ssl=False,
            backfill=backfill,
            daily_mb=daily_mb,
            mailboxes=mailboxes,
        )
        for name, server in named.items()
    )
    return settings


@asynccontextmanager
async def running(
    settings: Settings, *, command_timeout: float | None = None, sources: Sources | None = None
) -> AsyncIterator[Pipeline]:
    """Syncer and consumer until the end of the block. `command_timeout`: for how many seconds a server may owe an
    answer; `sources`: what a test reloads."""
    with _logging(settings) as log, _impatient(command_timeout):
        async with bridge.open_loop():
            await aio(_upgrade, settings)
            bus = await aio(_connect, settings)
            try:
                with _consuming(settings):
                    async with trio.open_nursery() as nursery:
                        pipeline = Pipeline(settings, bus, log)
                        nursery.start_soon(aio, _follow, pipeline)
                        nursery.start_soon(_serve, settings, sources)
                        yield pipeline
                        nursery.cancel_scope.cancel()
            finally:
                with trio.CancelScope(shield=True):
                    await aio(bus.close)


Mirror = Callable[..., AbstractAsyncContextManager[Pipeline]]


@pytest.fixture
def mirror(nats_server: NatsServer, tmp_path: Path) -> Iterator[Mirror]:
    """`mirror(server)`, `mirror({"a": server, …})`: what settings_of() and running() make of them. The same call again
    is a second start over the same data. The servers are closed after the test."""
    servers: list[HostileImap] = []

    def start(
        given: HostileImap | Mapping[str, HostileImap], *, command_timeout: float | None = None, **changes: Any
    ) -> AbstractAsyncContextManager[Pipeline]:
        servers.extend([given] if isinstance(given, HostileImap) else given.values())
        return running(settings_of(given, nats_server, tmp_path, **changes), command_timeout=command_timeout)

    yield start
    for server in servers:
        server.close()


async def _upgrade(settings: Settings) -> None:
    begin_with_tables(Path(settings.database_url.partition(":///")[2]))
    store = await Store.open(settings.database_url)
    await store.upgrade()
    await store.close()


async def _connect(settings: Settings) -> Bus:
    bus = await Bus.connect(settings.nats_url, name="test")
    await bus.ensure(**settings.retention)
    return bus


async def _follow(pipeline: Pipeline) -> None:
    async for delivery in pipeline.bus.tail("mail.>", since="all"):
        _, kind = parse_subject(delivery.subject)
        if kind in ("new", "backfill", "copy"):
            pipeline.announced.append(delivery.subject)
        elif kind != "rebind":  # that one comes without its body, too
            pipeline.thin.append(decode_thin(kind, delivery.data))


@contextlib.contextmanager
def _consuming(settings: Settings) -> Iterator[None]:
    """The consumer as its process runs it; what ends it early fails the test at the end."""
    began = threading.Event()
    ends: list[Callable[[], object]] = []
    failures: list[BaseException] = []

    async def serve() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        ends.append(partial(loop.call_soon_threadsafe, stop.set))
        began.set()
        await consumer.serve(settings, stop)

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(serve())
        except BaseException as error:  # noqa: BLE001  # raised below, in the test's own thread
            failures.append(error)
            began.set()

    thread = threading.Thread(target=run, name="consumer")
    thread.start()
    began.wait()
    try:
        yield
    finally:
        if thread.is_alive():
            for end in ends:
                end()
        thread.join(20)
    if failures:
        raise failures[0]


@contextlib.contextmanager
def _logging(settings: Settings) -> Iterator[Log]:
    """mailcore.log as the processes configure it, until the end of the block."""
    log, root = Log(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    log_setup.configure(settings, "pipeline", stream=log)  # type: ignore[arg-type]  # all of a stream that it uses
    try:
        yield log
    finally:
        structlog.reset_defaults()
        root.handlers[:], root.level = handlers, level


@contextlib.contextmanager
def _impatient(seconds: float | None) -> Iterator[None]:
    """No setting says how long a server may stay silent; a test that waits for that has no minute."""
    of = Endpoint.of
    with pytest.MonkeyPatch.context() as patch:
        if seconds is not None:
            patch.setattr(Endpoint, "of", lambda *asked: replace(of(*asked), command_timeout=seconds))
        yield


def present(uids: Sequence[int], *without: int) -> list[int]:
    """`uids` but those."""
    return [uid for uid in uids if uid not in without]


def seconds_until(moment: str) -> float:
    """From now to an ISO 8601 time."""
    then = datetime.fromisoformat(moment)
    return (then - datetime.now(then.tzinfo)).total_seconds()
