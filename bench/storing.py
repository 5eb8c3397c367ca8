"""What it costs to store: processor time by stage, without IMAP, NATS and the network.

`python -m bench.storing [--database sqlite|postgresql] [--messages N] [--megabytes N]`: the consumer's own batches of a
realistic mailbox are parsed, written and inserted one after the other. PostgreSQL syncs, as an operator's does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.measure import tree_cpu
from consumers.draft import draft, message_row
from consumers.main import BATCH_BYTES, BATCH_MESSAGES
from mailcore.events.identity import Identity, MailboxKey
from mailcore.events.message import FoundBy, Kind, MessageEvent
from mailcore.media import Media
from mailcore.store import Store
from tests.support.mail import Mail, make_mailbox
from tests.support.postgres import Postgres

_KEY = MailboxKey("default", "INBOX")


class Stages:
    """Seconds by the name of a stage: of this process's processor time, of the database server's, and of the clock."""

    def __init__(self, server: int | None) -> None:
        self.own: defaultdict[str, float] = defaultdict(float)
        self.servers: defaultdict[str, float] = defaultdict(float)
        self.clock: defaultdict[str, float] = defaultdict(float)
        self._server = server

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began, own, servers = time.monotonic(), _own(), self._of_server()
        yield
        self.clock[name] += time.monotonic() - began
        self.own[name] += _own() - own
        self.servers[name] += self._of_server() - servers

    def _of_server(self) -> float:
        return 0.0 if self._server is None else tree_cpu(self._server)

    def show(self, messages: int) -> None:
        print(f"{'ms a message':<14}{'processor':>10}{'server':>10}{'wall':>10}")
        for name in self.own:
            figures = (self.own[name], self.servers[name], self.clock[name])
            print(f"{name:<14}" + "".join(f"{figure * 1000 / messages:10.3f}" for figure in figures))
        print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000:.0f} MB")


def _own() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _batches(mails: Iterator[Mail]) -> Iterator[list[Mail]]:
    batch: list[Mail] = []
    for mail in mails:
        batch.append(mail)
        if len(batch) == BATCH_MESSAGES or sum(len(each.raw) for each in batch) >= BATCH_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch


def _event(uid: int, mail: Mail) -> MessageEvent:
    now = datetime.now(UTC)
    return MessageEvent(
        identity=Identity(_KEY.account, _KEY.mailbox, 1, uid),
        kind=Kind.BACKFILL,
        received_at=now,
        size=len(mail.raw),
        sha256=mail.sha256,
        found_by=FoundBy.SWEEP,
        pushed_at=now,
        published_at=now,
    )


async def _store(store: Store, media: Media, batches: Iterator[list[Mail]], stages: Stages) -> int:
    mailbox = await store.save_mailbox(_KEY, uidvalidity=1)
    done = 0
    for mails in batches:
        events = [_event(done + number, mail) for number, mail in enumerate(mails, 1)]
        done += len(mails)
        wanted = {event.identity: mailbox.id for event in events}
        with stages.stage("look up"):
            located = await store.locate(wanted)
        with stages.stage("parse"):
            pairs = zip(events, mails, strict=True)
            drafts = [draft(event.identity, event.received_at, mail.raw) for event, mail in pairs]
        with stages.stage("files"):
            await media.write([file for each in drafts for file in each.files])
        with stages.stage("insert"):
            now = datetime.now(UTC)
            both = zip(events, drafts, strict=True)
            await store.insert_messages([message_row(e, d, located[e.identity].slot, now) for e, d in both])
    return done


async def _measure(url: str, home: Path, batches: Iterator[list[Mail]], stages: Stages) -> int:
    store = await Store.open(url)
    media = Media.open(home / "media")
    try:
        await store.upgrade()
        return await _store(store, media, batches, stages)
    finally:
        media.close()
        await store.close()


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.storing", description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--messages", type=int, default=2_000)
    parser.add_argument("--megabytes", type=int, default=150)
    arguments = parser.parse_args(words)
    average = arguments.megabytes * 1_000_000 // arguments.messages
    batches = _batches(make_mailbox(arguments.messages, average=average))
    with tempfile.TemporaryDirectory(prefix="mz-storing-") as scratch, contextlib.ExitStack() as stack:
        home, server, url = Path(scratch), None, f"sqlite+aiosqlite:///{scratch}/mail.db"
        if arguments.database == "postgresql":
            postgres = Postgres(options={"fsync": "on"})
            stack.callback(postgres.close)
            server, url = postgres.start().pid, postgres.create_database()
        stages = Stages(server)
        done = asyncio.run(_measure(url, home, batches, stages))
    stages.show(done)


if __name__ == "__main__":
    main()
