"""`make chaos [MINUTES=30] [SEED=N] [KINDS=a,b]`: all goes wrong for a while, and at the end nothing may be lost,
doubled, falsely expunged, announced twice or left over.

`mozzart up` as a person starts it, a real Dovecot, its own nats-server, SQLite, disks that get full (root only). People
act all the time, faults strike one after the other, one line each. Step n of a seed is the same acts and the same
fault, whatever became of the steps before; what cannot be repeated is the moment at which a fault meets the program.
"""

from __future__ import annotations

import argparse
import imaplib
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos import disks
from tests.chaos.comparison import Comparison, compare
from tests.chaos.disks import Disk
from tests.chaos.faults import DISKS, Faults, memory
from tests.chaos.observation import NotYet, Observation, Sight
from tests.chaos.people import People
from tests.chaos.subscriber import Subscriber
from tests.support.dovecot import Dovecot
from tests.support.mailboxes import Mailboxes
from tests.support.processes import Mozzart
from tests.support.proxy import Proxy

SETTLE_AFTER = 300.0  # when memory is looked at first
GROWTH = 1.10
INTERVAL = "5"


@dataclass
class Run:
    """One run in `home`."""

    home: Path
    seed: int
    seconds: float
    people_kinds: list[str]
    fault_kinds: list[str]
    mozzart: Mozzart
    people: People
    faults: Faults
    observation: Observation
    quiet_within: float
    began: float = field(default_factory=time.monotonic)
    steps: int = 0
    struck: int = 0
    acts: int = 0

    def go(self) -> int:
        """Exit code 1 when anything differs at the end."""
        settled: dict[tuple[str, int], int] = {}
        while time.monotonic() - self.began < self.seconds:
            if not settled and time.monotonic() - self.began > SETTLE_AFTER:
                self.wait_quiet()
                settled = memory(self.mozzart)
            self.step()
        self.people.mailboxes.leave()
        found, took = self.wait_quiet()
        self.say(f"quiet after {took:.0f} s")
        if not found.faults:
            again = self.mozzart.http("POST", "/api/mailbox/sync/?wait=50")
            if again.status != 200 or (again.json["found"], again.json["expunged"]) != (0, 0):
                found.note("a sync by hand found something", again.text[:500])
        self._compare_memory(settled, found)
        return self.summary(found)

    def _compare_memory(self, before: dict[tuple[str, int], int], found: Comparison) -> None:
        """Of processes that have lived on since: another one begins anew."""
        now = memory(self.mozzart)
        lived = sorted(before.keys() & now.keys())
        if not lived:
            self.say(f"no memory to compare: no process has lived since {SETTLE_AFTER / 60:.0f} minutes")
            return
        for role, pid in lived:
            self.say(f"memory of {role}: {before[role, pid] / 1e6:.0f} MB, then {now[role, pid] / 1e6:.0f} MB")
        first, last = sum(before[one] for one in lived), sum(now[one] for one in lived)
        self.say(
            f"memory of all that lived on: {first / 1e6:.0f} MB, then {last / 1e6:.0f} MB ({last / first - 1:+.1%})"
        )
        if last > first * GROWTH:
            found.note("memory grew", f"{first / 1e6:.0f} to {last / 1e6:.0f} MB")

    def step(self) -> None:
        """Acts, a fault, acts while it lasts."""
        dice = random.Random(f"{self.seed}/{self.steps}")
        self.steps += 1
        for _ in range(dice.randint(1, 4)):
            self.act(dice)
        time.sleep(dice.uniform(0.1, 1.5))
        if not self.fault_kinds:
            return
        fault = self.faults.draw(dice, self.fault_kinds)
        meanwhile = 0 if fault.alone else dice.randint(0, 3)
        self.struck += 1
        self.say(f"fault {self.struck}: {fault.words}" + (f" for {fault.seconds:.1f} s" if fault.seconds else ""))
        if fault.alone:
            self.people.mailboxes.leave()
        with fault.held():
            for _ in range(meanwhile):
                self.act(dice)
            time.sleep(fault.seconds)
        time.sleep(dice.uniform(0.2, 2))

    def act(self, dice: random.Random) -> None:
        self.acts += 1
        said = self.people.act(dice, self.people_kinds)
        with (self.home / "acts.txt").open("a") as file:
            file.write(f"{time.monotonic() - self.began:8.1f} s  {said}\n")

    def wait_quiet(self) -> tuple[Comparison, float]:
        """What still differs when nothing does, or after a long time; and the seconds that it took."""
        began, before = time.monotonic(), ""
        while True:
            try:
                found = compare(self.observation.take())
            except (OSError, sqlite3.Error, imaplib.IMAP4.error, NotYet) as error:  # something is not up yet
                found = Comparison()
                found.note("not to be compared", repr(error))
            if not found.faults and not self.observation.subscriber.drained:
                found.note("not heard to the end", "the streams of the subscriber")
            took = time.monotonic() - began
            if not found.faults or took > self.quiet_within:
                return found, took
            if (kind := found.faults[0].partition(":")[0]) != before:
                self.say(f"waiting for what differs: {found.faults[0]}")
                before = kind
            time.sleep(1)

    def summary(self, found: Comparison) -> int:
        for fault in found.faults:
            self.say(fault)
        for kind, count in sorted(found.counts.items()):
            self.say(f"{count} {kind}")
        told = ("stored", "in flight", "dead", "refused", "lost", "doubled", "false expunge", "orphan file")
        self.say(
            f"| seed {self.seed} | {(time.monotonic() - self.began) / 60:.1f} minutes | {self.struck} faults | "
            f"{self.acts} acts | {found.counts['on the server']} on the server | "
            f"{' | '.join(f'{found.counts[kind]} {kind}' for kind in told)} | {'FAILED' if found.faults else 'ok'} |"
        )
        return 1 if found.faults else 0

    def say(self, words: str) -> None:
        print(f"{time.monotonic() - self.began:8.1f} s  seed {self.seed}  {words}", flush=True)


@contextmanager
def made(home: Path, options: argparse.Namespace) -> Iterator[Run]:
    """Everything started, and ended afterwards."""
    mozzart = Mozzart(home, {"SYNC_INTERVAL": INTERVAL, "IMAP_MAILBOX": "*"}, executed=True)
    mounted: dict[str, Disk] = {}
    if disks.available():
        places = (home / "disks/media", home / "disks/database", home / "data/nats")
        mounted = {name: Disk(place).mount() for name, place in zip(DISKS, places, strict=True)}
        database = places[1] / "mozzart.db"
        mozzart.environment |= {
            "MEDIA_ROOT": str(places[0] / "media"),
            "DATABASE_URL": f"sqlite+aiosqlite:///{database}",
        }
    else:
        print("not root: no disk will be full")
    dovecot = Dovecot().start()
    proxy = Proxy(dovecot.port)
    people = People(Mailboxes(dovecot)).move_in()
    faults = Faults(mozzart, dovecot, proxy, mounted)
    subscriber = Subscriber(home / "data/nats.url").start()
    try:
        mozzart.use(dovecot, port=proxy.port).start().wait_ready(within=60)
        yield Run(
            home,
            options.seed,
            options.minutes * 60,
            _chosen(people.kinds, options.kinds),
            _chosen(faults.kinds, options.kinds),
            mozzart,
            people,
            faults,
            Observation(Sight(mozzart, people.mailboxes), subscriber),
            options.quiet,
        )
    finally:
        subscriber.stop()
        try:
            mozzart.stop(within=20)
        finally:
            proxy.close()
            dovecot.close()
            for name, disk in mounted.items():
                if options.keep:
                    shutil.copytree(disk.place, home / "kept" / name, dirs_exist_ok=True)
                disk.unmount()


def _chosen(kinds: Iterable[str], text: str) -> list[str]:
    wanted = text.split(",")
    without = {word[1:] for word in wanted if word.startswith("-")}
    only = {word for word in wanted if word and not word.startswith("-")}
    return [name for name in kinds if name not in without and (not only or name in only)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--kinds", default="", help="only these acts and faults, by commas; -NAME: all but that")
    parser.add_argument("--quiet", type=float, default=300, help="seconds until all must be well again (300)")
    parser.add_argument("--keep", action="store_true", help="leave the directory in any case")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1_000_000)
    disks.available()  # may start us anew
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started ends with us
    home = Path(tempfile.mkdtemp(prefix="mz-chaos-", dir="/tmp"))
    code = 1
    try:
        with made(home, options) as run:
            kinds = f" KINDS={options.kinds}" if options.kinds else ""
            print(f"repeat with: make chaos SEED={options.seed} MINUTES={options.minutes:g}{kinds}", flush=True)
            code = run.go()
            options.keep = options.keep or code != 0
    finally:
        if options.keep:
            print(f"kept: {home}", flush=True)
        else:
            shutil.rmtree(home, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
