"""Many accounts on one Dovecot: how soon mail of the sound ones is stored, without and beside broken ones.

python -m bench.accounts --accounts 50 --broken 10
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats
from nats.aio.msg import Msg

from bench.measure import Usage, summary, usage
from bench.rawimap import IdleWatch
from tests.support.accounts import as_user, broken_accounts, table, write_accounts
from tests.support.dovecot import Dovecot, append
from tests.support.mail import make_mail
from tests.support.processes import Mozzart
from tests.support.programs import wait_until

_SEEDS = itertools.count(5)  # the same bytes again would be copies
QUIET = 15.0  # seconds in which nothing arrives, for the processor time of waiting


class _Heard:
    """When the `new` and the `stored` events came, by account and UID."""

    def __init__(self) -> None:
        self.new: dict[tuple[str, int], float] = {}
        self.stored: dict[tuple[str, int], float] = {}
        self.came = asyncio.Event()

    async def heard(self, message: Msg) -> None:
        value = (message.headers or {})["ce-id"]
        account, _, _, uid = (value if isinstance(value, str) else value[0]).split("/")[:4]
        kind = self.stored if message.subject.endswith(".stored") else self.new
        kind.setdefault((account, int(uid)), time.monotonic())
        self.came.set()

    async def wait(self, keys: set[tuple[str, int]], within: float = 60) -> None:
        async with asyncio.timeout(within):
            while not keys <= self.stored.keys() & self.new.keys():
                self.came.clear()
                await self.came.wait()


class _User:
    """One mailbox as the bench sees it: a raw IDLE connection, and one that delivers."""

    def __init__(self, dovecot: Dovecot) -> None:
        self.watch = IdleWatch(dovecot)
        self.connection = dovecot.connect()
        self.messages = len(dovecot.uids())

    def close(self) -> None:
        self.watch.close()
        self.connection.logout()


@dataclass
class Arrivals:
    """Milliseconds from a raw socket's EXISTS to the events of each message."""

    published: list[float]
    stored: list[float]


async def arrivals(
    dovecot: Dovecot, mozzart: Mozzart, names: Sequence[str], *, messages: int, every: float
) -> Arrivals:
    """For `messages` messages to accounts taken by
    chance: about one in `every` seconds, whether the last one is stored or not."""
    dice, seed = random.Random(7), next(_SEEDS)
    heard = _Heard()
    bus = await nats.connect((mozzart.home / "data" / "nats.url").read_text().strip())
    for kind in ("new", "stored"):
        await bus.subscribe(f"mail.*.*.{kind}", cb=heard.heard)
    await bus.flush()
    users = await asyncio.to_thread(lambda: {name: _User(as_user(dovecot, name)) for name in names})
    sent: list[tuple[str, int, int]] = []
    try:
        for number in range(messages):
            name = dice.choice(names)
            user = users[name]
            uid = await asyncio.to_thread(append, user.connection, make_mail(number, seed=seed).raw)
            user.messages += 1
            sent.append((name, uid, user.messages))
            await asyncio.sleep(dice.uniform(0.5, 1.5) * every)
        await heard.wait({(name, uid) for name, uid, _ in sent})
        exists = {(name, uid): users[name].watch.wait(count, 10) for name, uid, count in sent}
        return Arrivals(
            *([(times[key] - at) * 1000 for key, at in exists.items()] for times in (heard.new, heard.stored))
        )
    finally:
        for user in users.values():
            user.close()
        await bus.close()


@dataclass
class Measured:
    """`quiet` is processor seconds a second while nothing arrives; `start` seconds until
    every sound account idles."""

    latency: Arrivals
    syncer: Usage
    quiet: float
    start: float


def measure(tables: list[dict[str, Any]], sound: list[str], dovecot: Dovecot, home: Path, messages: int) -> Measured:
    """One run of `mozzart up` with these accounts."""
    home.mkdir()
    mozzart = Mozzart(home, {"ACCOUNTS_FILE": str(write_accounts(home / "accounts.toml", tables))}, executed=True)
    try:
        mozzart.start().wait_ready()
        began = time.monotonic()

        def idle() -> bool:
            found = mozzart.http("GET", "/api/mailbox/states/").json["mailboxes"]
            idling = {one["account"] for one in found if one["live"] and one["live"]["connection"] == "idling"}
            return idling >= set(sound)

        wait_until(idle, lambda: f"all idle\n{mozzart.log_text()[-3000:]}", within=120, every=0.2)
        start = time.monotonic() - began
        process = mozzart.processes()["syncer"]
        latency = asyncio.run(arrivals(dovecot, mozzart, sound, messages=messages, every=0.1))
        before = usage(process).cpu
        time.sleep(QUIET)
        return Measured(latency, usage(process), (usage(process).cpu - before) / QUIET, start)
    finally:
        mozzart.stop(within=30)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.accounts", description=__doc__)
    parser.add_argument("--accounts", type=int, default=50, help="in all (%(default)s)")
    parser.add_argument("--broken", type=int, choices=range(11), default=10, help="of those (%(default)s)")
    parser.add_argument("--messages", type=int, default=500, help="to the sound ones, in each run (%(default)s)")
    arguments = parser.parse_args()
    sound = [f"user-{number:02}" for number in range(arguments.accounts - arguments.broken)]
    dovecot = Dovecot(store="sdbox").start()
    try:
        with tempfile.TemporaryDirectory(prefix="mz-bench-") as scratch, broken_accounts(dovecot) as broken:
            tables = [table(dovecot, name) for name in sound]
            beside = [one.table for one in broken[: arguments.broken]]
            runs = {f"{len(sound)} sound": tables, f"{len(sound)} sound, {len(beside)} broken": [*beside, *tables]}
            for number, (title, accounts) in enumerate(runs.items()):
                found = measure(accounts, sound, dovecot, Path(scratch, str(number)), arguments.messages)
                _show(title, found)
    finally:
        dovecot.close()


def _show(title: str, found: Measured) -> None:
    for event, values in vars(found.latency).items():
        figures = "  ".join(f"{name} {value:.0f}" for name, value in summary(values).items())
        print(f"{title}: EXISTS to {event}, ms: {figures}")
    print(
        f"{title}: all idle {found.start:.1f} s after the start; syncer "
        f"{found.syncer.peak / 1e6:.0f} MB at most, {found.quiet * 100:.1f} % of a processor while nothing arrives",
        flush=True,
    )


if __name__ == "__main__":
    main()
