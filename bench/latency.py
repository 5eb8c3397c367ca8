"""From the server's own EXISTS on a raw IDLE socket to our `new` and `stored` events, one message at a time."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from dataclasses import dataclass, field
from datetime import datetime

import nats
from nats.aio.msg import Msg

from bench.rawimap import IdleWatch
from tests.support.dovecot import Dovecot, append
from tests.support.mail import make_mail
from tests.support.processes import Mozzart


@dataclass
class Latency:
    """Milliseconds; each list has one figure a message."""

    server: list[float] = field(default_factory=list)  # APPEND's answer → raw EXISTS: the server's own delay
    second: list[float] = field(default_factory=list)  # raw EXISTS → the same on another raw socket: the noise
    new: list[float] = field(default_factory=list)  # raw EXISTS → `new` event at a subscriber
    stored: list[float] = field(default_factory=list)  # raw EXISTS → `stored` event at a subscriber, row committed
    unannounced: int = 0  # messages that the server did not tell the raw socket of within 5 s; not counted above
    missing_rows: int = 0  # `stored` events whose row another connection could not read at that moment
    burst_seconds: float = 0.0  # last APPEND of the burst → all its rows
    burst: int = 0
    hops: dict[int, dict[str, float]] = field(default_factory=dict)  # by UID, seconds since 1970 (bench/hops.py)


def _header(message: Msg, name: str) -> str:
    value = (message.headers or {})[name]
    return value if isinstance(value, str) else value[0]


class _Subscriber:
    """When the events of a message came, by UID."""

    def __init__(self) -> None:
        self.new: dict[int, float] = {}
        self.stored: dict[int, float] = {}
        self.told: dict[int, dict[str, float]] = {}  # what the events say of themselves, seconds since 1970
        self.came = asyncio.Event()

    async def heard(self, message: Msg) -> None:
        now = time.monotonic()
        kind = message.subject.rpartition(".")[2]
        if kind in {"new", "stored"}:
            uid = int(_header(message, "ce-id").split("/")[3])
            (self.new if kind == "new" else self.stored).setdefault(uid, now)
            moment = datetime.fromisoformat(_header(message, "ce-time")).timestamp()
            self.told.setdefault(uid, {})["its event is made" if kind == "new" else "the row is committed"] = moment
            self.came.set()

    async def wait(self, uid: int, within: float = 30) -> None:
        async with asyncio.timeout(within):
            while not (uid in self.new and uid in self.stored):
                self.came.clear()
                await self.came.wait()


async def measure(dovecot: Dovecot, mozzart: Mozzart, *, messages: int, burst: int) -> Latency:
    """Against a running `mozzart up` on an empty INBOX: one message after the other, with pauses as people make."""
    found = Latency(burst=burst)
    dice = random.Random(1)
    url = (mozzart.home / "data" / "nats.url").read_text().strip()
    bus = await nats.connect(url)
    subscriber = _Subscriber()
    await bus.subscribe("mail.>", cb=subscriber.heard)
    await bus.flush()
    watch, second = await asyncio.to_thread(lambda: (IdleWatch(dovecot), IdleWatch(dovecot)))
    connection = dovecot.connect()
    database = sqlite3.connect(mozzart.database, timeout=30)
    epoch = time.time() - time.monotonic()
    row = "SELECT count(*) FROM mailbox_app_mailmessage WHERE uid = ?"
    try:
        for number in range(messages):
            await asyncio.sleep(dice.uniform(0.8, 1.8))
            mail = make_mail(number, seed=3, files=(40_000,) if number % 3 == 0 else ())
            uid = await asyncio.to_thread(append, connection, mail.raw)
            delivered = time.monotonic()
            try:
                exists = await asyncio.to_thread(watch.wait, number + 1, 5)
                found.second.append((await asyncio.to_thread(second.wait, number + 1, 5) - exists) * 1000)
            except TimeoutError:
                found.unannounced += 1
                continue
            await subscriber.wait(uid)
            found.missing_rows += database.execute(row, (uid,)).fetchone() == (0,)
            found.server.append((exists - delivered) * 1000)
            found.new.append((subscriber.new[uid] - exists) * 1000)
            found.hops[uid] = subscriber.told[uid] | {
                "raw EXISTS": exists + epoch,
                "`new` at a subscriber": subscriber.new[uid] + epoch,
                "`stored` at a subscriber": subscriber.stored[uid] + epoch,
            }
            found.stored.append((subscriber.stored[uid] - exists) * 1000)
        mails = [make_mail(number, seed=4, files=(20_000,) if number % 5 == 0 else ()).raw for number in range(burst)]
        uids = await asyncio.to_thread(lambda: [append(connection, raw) for raw in mails])
        delivered = time.monotonic()
        for uid in uids:
            await subscriber.wait(uid)
        found.burst_seconds = max([subscriber.stored[uid] for uid in uids]) - delivered
    finally:
        database.close()
        connection.logout()
        watch.close()
        second.close()
        await bus.close()
    return found
