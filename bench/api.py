"""`python -m bench.api`: what a page of a list or a search costs with many stored messages, over HTTP, and how many
statements it takes."""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Final

from aiohttp import ClientSession, web
from sqlalchemy import event
from sqlalchemy.engine import Engine

from api.dependencies import Dependencies
from api.main import application
from bench.measure import summary
from mailcore.events.identity import Identity, MailboxKey
from mailcore.settings import Settings
from mailcore.store import AttachmentRow, MessageRow, Store
from tests.support.nats import NatsServer
from tests.support.postgres import Postgres

_TOKEN: Final = "bench"
_BATCH: Final = 500
_BEGAN: Final = datetime(2020, 1, 1, tzinfo=UTC)
# Words as often as in a language (Zipf): w0 is in nearly every message, w30000 in few.
_WORDS: Final = [f"w{number}" for number in range(40_000)]
_WEIGHTS: Final = list(accumulate(1 / (number + 1) for number in range(len(_WORDS))))
# One of ten messages is Chinese, without blanks between words.
_CHARACTERS: Final = [chr(0x4E00 + number) for number in range(3_000)]
_CHARACTER_WEIGHTS: Final = list(accumulate(1 / (number + 10) for number in range(len(_CHARACTERS))))
_MAILBOXES: Final = ("INBOX",) * 6 + ("Sent",) * 3 + ("Archive/2020",)

QUERIES: Final = {
    "list": "",
    "list, page after page": "limit=50&cursor=*",
    "a mailbox": "mailbox=Sent",
    "the last year, with attachments": "since=2025-01-01&has_attachments=true",
    "no longer on the server": "expunged=true",
    "sender": "from=person17",
    "search: a frequent word": "q=w1",
    "search: two words": "q=w20+w300",
    "search: a rare word": "q=w30000",
    "search: two rare words": "q=w20000+w30000",
    "search: side by side": "q=%22w2+w3%22",
    "search: the beginning": "q=w123*",
    "search: a beginning that most have": "q=w1*",
    "search: nothing": "q=nowhere",
    "search: frequent, in a small mailbox": "q=w1&mailbox=Archive/2020",
    "search: frequent, of a rare sender": "q=w1&from=person499",
    "search: frequent, no longer there": "q=w1&expunged=true",
    "search: within words, rare": "q=3999",
    "search: within words, of most messages": "q=erson",
    "search: within a word, nothing": "q=rsonal",
    "search: the name of a file": "q=invoice-199990.pdf",
    "search: within the name of a file": "q=voice19999",
    "search: two Chinese characters, frequent": "q=%E4%B8%80%E4%B8%81",
    "search: two Chinese characters, rare": "q=%E4%BF%A1%E4%BF%A2",
    "search: four Chinese characters": "q=%E4%B8%80%E4%B8%81%E4%B8%82%E4%B8%83",
    "search: in the subject, frequent": "q=subject:w1",
    "search: in the subject, rare": "q=subject:w3000",
    "search: within words of the sender": "q=from:rson49",
    "search: without a frequent word": "q=w20+-w1",
    "search: has:attachment before: in:": "q=w5+has:attachment+before:2024+in:sent",
    "total of a frequent word": "q=w100&total=true&limit=1",
    "to": "to=me@example.org",
    "subject": "subject=w40",
    "message-id": "message_id=%3C777@bench.example%3E",
    "stored since": "stored_since=2025-09-01",
    "unread, oldest first": "seen=false&order=asc",
    "flagged, rare": "flagged=true",
    "an account, oldest first": "account=default&order=asc",
}


def rows(ids: list[int], count: int) -> Iterator[MessageRow]:
    """The same each time; the backlog newest first, as the syncer brings it."""
    dice = random.Random(1)
    for number in range(count):
        text = " ".join(dice.choices(_WORDS, cum_weights=_WEIGHTS, k=dice.randint(50, 700)))
        if number % 10 == 0:
            text = "".join(dice.choices(_CHARACTERS, cum_weights=_CHARACTER_WEIGHTS, k=dice.randint(50, 700)))
        person = min(int(dice.paretovariate(0.5)), 500)
        part = AttachmentRow(
            "2", f"invoice-{number}.pdf", "application/pdf", 9, "b" * 64, "", False, f"mail_attachments/{number}"
        )
        moment = _BEGAN + timedelta(minutes=15 * (count - number))
        yield MessageRow(
            mailbox_id=dice.choice(ids),
            uidvalidity=1,
            uid=count - number,
            size=len(text) + 2_000,
            sha256=f"{number:064x}",
            received_at=moment,
            message_id=f"<{number}@bench.example>",
            flags=("\\Seen",) if number % 3 else ("\\Flagged",) if number % 1000 == 0 else (),
            stored_at=moment,
            subject=" ".join(dice.choices(_WORDS, cum_weights=_WEIGHTS, k=6)),
            from_name=f"Person {person}",
            from_email=f"person{person}@example.org",
            to_emails=("me@example.org",),
            headers=tuple((f"X-Header-{each}", "x" * 60) for each in range(25)),
            body_text=text,
            attachments=(part,) if number % 5 == 0 else (),
        )


async def fill(store: Store, count: int) -> float:
    """Seconds that the database took."""
    await store.upgrade()
    names = {(await store.save_mailbox(MailboxKey("default", each), uidvalidity=1)).id: each for each in _MAILBOXES}
    ids = [each for name in _MAILBOXES for each in names if names[each] == name]
    waiting: list[MessageRow] = []
    seconds = 0.0
    for row in rows(ids, count):
        waiting.append(row)
        if len(waiting) == _BATCH or row.uid == 1:
            began = time.perf_counter()
            await store.insert_messages(waiting)
            seconds += time.perf_counter() - began
            gone = [Identity("default", names[each.mailbox_id], 1, each.uid) for each in waiting[::100]]
            await store.mark_expunged((each, row.stored_at, 0) for each in gone)
            waiting.clear()
    return seconds


async def measure(settings: Settings, times: int) -> dict[str, tuple[list[float], set[int]]]:
    """For each query the milliseconds of each request, and the numbers of statements that one took."""
    statements = 0

    def count(*_: object) -> None:
        nonlocal statements
        statements += 1

    dependencies = await Dependencies.open(settings)
    runner = web.AppRunner(application(dependencies, _TOKEN))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/messages/?"
    found: dict[str, tuple[list[float], set[int]]] = {}
    event.listen(Engine, "before_cursor_execute", count)
    async with ClientSession(headers={"Authorization": f"Bearer {_TOKEN}"}) as session:
        for name, query in QUERIES.items():
            taken, numbers, cursor = [], set(), ""
            for _ in range(times):
                statements, began = 0, time.perf_counter()
                async with session.get(url + query.replace("&cursor=*", cursor)) as answer:
                    body = await answer.json()
                taken.append((time.perf_counter() - began) * 1000)
                assert answer.status == 200, body
                numbers.add(statements)
                cursor = f"&cursor={body['next']}" if body["next"] else ""
            found[name] = (taken, numbers)
    event.remove(Engine, "before_cursor_execute", count)
    await runner.cleanup()
    await dependencies.close()
    return found


async def run(arguments: argparse.Namespace, home: Path, nats: NatsServer) -> None:
    url = arguments.database or f"sqlite+aiosqlite:///{home / 'bench.db'}"
    settings = Settings(_env_file=None, nats_url=nats.url, database_url=url, data_dir=home)
    store = await Store.open(url)
    print(f"storing {arguments.messages:,} messages …", flush=True)
    seconds = await fill(store, arguments.messages)
    print(f"{arguments.messages / seconds:,.0f} messages/s into the database, indexes and full text included")
    await store.close()
    print(f"\n{'milliseconds':38} {'p50':>7} {'p95':>7} {'max':>7}  statements")
    for name, (taken, numbers) in (await measure(settings, arguments.times)).items():
        figures = summary(taken)
        print(f"{name:38} {figures['p50']:7.1f} {figures['p95']:7.1f} {figures['max']:7.1f}  {sorted(numbers)}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.api", description=__doc__)
    parser.add_argument("--messages", type=int, default=200_000, help="stored (%(default)s)")
    parser.add_argument("--times", type=int, default=100, help="requests of each kind (%(default)s)")
    database = parser.add_mutually_exclusive_group()
    database.add_argument("--database", default="", help="another DATABASE_URL, empty and to be filled")
    database.add_argument("--postgres", action="store_true", help="a PostgreSQL server of its own instead of SQLite")
    arguments = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="mz-bench-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        nats = stack.enter_context(closing(NatsServer())).start()
        if arguments.postgres:
            arguments.database = stack.enter_context(closing(Postgres())).start().create_database()
        asyncio.run(run(arguments, home, nats))


if __name__ == "__main__":
    main()
