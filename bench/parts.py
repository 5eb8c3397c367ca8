"""The parts of a run: each measures one thing and adds its figures."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench import backfill, calls, hops, large, latency, mailbox, rivals, sweep
from bench.backfill import Backfill
from bench.figures import Figures
from bench.latency import Latency
from bench.link import Link
from bench.measure import summary, tree_cpu
from bench.rivals import Run
from tests.support.dovecot import Dovecot
from tests.support.postgres import Postgres
from tests.support.processes import Mozzart

_ROUND_TRIPS = (0, 40, 200)  # ms
_SMALL = 6_000  # bytes


@dataclass
class Parts:
    """`options` are those of bench/__main__.py; `home` is an empty directory on the disk to measure."""

    options: argparse.Namespace
    home: Path
    figures: Figures = field(default_factory=Figures)

    def run(self, names: set[str]) -> list[str]:
        """These of `ORDER`, each whatever became of those before; those that failed."""
        failed = []
        for name in [name for name in ORDER if name in names]:
            try:
                ORDER[name](self)
            except Exception:  # noqa: BLE001  # it is told
                traceback.print_exc()
                failed.append(name)
        return failed

    def _say(self, what: str) -> None:
        print(f"{what} …", flush=True)

    @contextmanager
    def _installation(self, dovecot: Dovecot, port: int | None = None, **settings: str) -> Iterator[Mozzart]:
        """Removed afterwards with its data, and the disk is at rest when it begins."""
        home = self.home / "mozzart"
        home.mkdir()
        backfill.settle()
        environment = dict(word.split("=", 1) for word in self.options.set) | settings
        mozzart = Mozzart(home, environment, executed=True).use(dovecot, port=port)
        try:
            yield mozzart
        finally:
            mozzart.stop(within=30)
            shutil.rmtree(home)

    @contextmanager
    def _dovecot(self, store: str = "maildir") -> Iterator[Dovecot]:
        dovecot = Dovecot(store=store).start()
        try:
            yield dovecot
        finally:
            dovecot.close()

    def _mbsync(self, dovecot: Dovecot, port: int | None = None) -> Run:
        home = self.home / "mbsync"
        shutil.rmtree(home, ignore_errors=True)
        backfill.settle()
        return rivals.mbsync(dovecot, home, port)

    # ---- one thing each ----

    def latency(self) -> None:
        """From the server's word to our events."""
        for _ in range(self.options.rounds):
            trace = self.home / "imap.trace" if self.options.trace else None
            with self._dovecot("sdbox") as dovecot, self._installation(dovecot, IMAP_TRACE=str(trace or "")) as mozzart:
                mozzart.start().wait_ready().wait_live("idling")
                self._say(f"latency: {self.options.singles} single messages, then {self.options.burst} at once")
                found = asyncio.run(
                    latency.measure(dovecot, mozzart, messages=self.options.singles, burst=self.options.burst)
                )
            for row, values in (
                ("the server: APPEND answered → raw EXISTS", found.server),
                ("raw EXISTS → raw EXISTS on a second socket", found.second),
                ("raw EXISTS → `new`", found.new),
                ("raw EXISTS → row, files, `stored`", found.stored),
            ):
                of = summary(values)
                self.figures.add("latency", row, p50=of["p50"], p99=of["p99"], most=of["max"])
            for row, of in _summaries(hops.fetched(trace.read_text()) if trace else {}, found).items():
                self.figures.add("one message, hop by hop", row, p50=of["p50"], p99=of["p99"], most=of["max"])
            self.figures.add("latency", f"a burst of {self.options.burst}: all rows", seconds=found.burst_seconds)
            self.figures.add("latency", "`stored` before the row could be read", count=found.missing_rows)
            self.figures.add("latency", "the server told nobody", count=found.unannounced)

    def backfill(self) -> None:
        """A full mailbox from nothing, and the looks that find no change in it afterwards."""
        options = self.options
        with self._dovecot() as dovecot, ExitStack() as stack:
            self._say(f"writing a mailbox of {options.messages:,} messages, {options.megabytes:,} MB")
            mailbox.fill(dovecot, options.messages, options.megabytes)
            databases = set(options.database)
            postgres = Postgres(options={"fsync": "on"})
            if "postgresql" in databases:
                stack.callback(postgres.close)
                postgres.start()
            for number in range(options.rounds):
                self._say("raw socket, mbsync")
                self.figures.add("backfill", "raw socket, stores nothing", seconds=backfill.floor(dovecot)[0])
                yardstick = self._mbsync(dovecot)
                self._add_run("backfill", "mbsync, durable Maildir", yardstick, yardstick)
                if "sqlite" in databases:
                    self._say("mozzart up, SQLite")
                    with self._installation(dovecot) as mozzart:
                        self._backfill("SQLite", dovecot, mozzart, yardstick)
                        if number == options.rounds - 1 and options.sweep:
                            mozzart.stop(within=30)
                            self._sweep(dovecot, mozzart)
                if "postgresql" in databases:
                    self._say("mozzart up, PostgreSQL")
                    with self._installation(dovecot, DATABASE_URL=postgres.create_database()) as mozzart:
                        self._backfill("PostgreSQL", dovecot, mozzart, yardstick, postgres.pid)

    def _backfill(
        self,
        database: str,
        dovecot: Dovecot,
        mozzart: Mozzart,
        yardstick: Run,
        server: int | None = None,
    ) -> None:
        """`server` is the process of a database that has one."""
        before = tree_cpu(server) if server else 0.0
        messages = len(dovecot.uids())
        found = backfill.measure(dovecot, mozzart, messages, arrivals=self.options.arrivals)
        self._add_backfill(
            f"mozzart, {database}", found, messages, yardstick, tree_cpu(server) - before if server else 0.0
        )
        if found.arrivals:
            of = summary(found.arrivals)
            self.figures.add("backfill", f"live mail meanwhile, {database}", p50=of["p50"], most=of["max"])

    def _add_run(self, group: str, row: str, run: Run, yardstick: Run) -> None:
        self.figures.add(
            group,
            row,
            seconds=run.seconds,
            rate=run.messages / run.seconds,
            of_mbsync=_each(run) / _each(yardstick),
            cpu=run.cpu,
            peak=run.peak / 1e6,
        )

    def _add_backfill(self, row: str, found: Backfill, messages: int, yardstick: Run, database: float) -> None:
        cpu = sum(process.cpu for process in found.processes.values()) + database
        self.figures.add(
            "backfill",
            row,
            seconds=found.seconds,
            rate=messages / found.seconds,
            of_mbsync=found.seconds / yardstick.seconds,
            cpu=cpu,
            cpu_of_mbsync=cpu / yardstick.cpu,
            peak=max(process.peak for process in found.processes.values()) / 1e6,
        )
        for role, process in found.processes.items():
            self.figures.add("backfill", f"{row}: {role}", cpu=process.cpu, peak=process.peak / 1e6)
        if database:
            self.figures.add("backfill", f"{row}: PostgreSQL", cpu=database)
        self.figures.add("backfill", f"{row}: (the IMAP server)", cpu=found.server_cpu)
        self.figures.add("backfill", f"{row}: ready after", seconds=found.startup)

    def _sweep(self, dovecot: Dovecot, mozzart: Mozzart) -> None:
        self._say("looks that find no change")
        rivals.mbsync(dovecot, self.home / "mbsync")  # what arrived during our backfill
        looks = sweep.measure(dovecot, mozzart, self.home)
        for name, look in looks.items():
            status = looks["raw STATUS"].octets
            self.figures.add("no change", name, octets=look.octets, of_status=look.octets / status)
            if look.seconds == look.seconds:
                self.figures.add("no change", name, ms=look.seconds * 1000)

    def others(self) -> None:
        """What else people use, with a smaller mailbox; time grows with the messages."""
        count = self.options.others
        with self._dovecot() as dovecot:
            mailbox.fill(dovecot, count, count * self.options.megabytes // self.options.messages)
            yardstick = self._mbsync(dovecot)
            self._add_run("others", "mbsync, durable Maildir", yardstick, yardstick)
            others: dict[str, Callable[[Dovecot, Path], Run]] = {
                "imaplib script": partial(rivals.imaplib_script, limit=count),
                "imapflow and mailparser": rivals.imapflow,
                "django-mailbox": rivals.django_mailbox,
            }
            for row, run in others.items():
                self._say(row)
                home = self.home / "other"
                try:
                    found = run(dovecot, home)
                except rivals.Missing as error:
                    print(f"left out: {row} is not installed ({error})")
                    continue
                finally:
                    shutil.rmtree(home, ignore_errors=True)
                assert found.messages == count, (row, found)
                self._add_run("others", row, found, yardstick)

    def link(self) -> None:
        """Small messages behind a link that takes its time."""
        count = self.options.small
        with self._dovecot() as dovecot:
            mailbox.fill(dovecot, count, count * _SMALL // 1_000_000 or 1)
            for _ in range(self.options.link_rounds):
                for round_trip in _ROUND_TRIPS:
                    self._say(f"{count:,} small messages, {round_trip} ms round trip")
                    link = Link(dovecot.port, round_trip / 2000)
                    try:
                        yardstick = self._mbsync(dovecot, link.port)
                        with self._installation(dovecot, link.port) as mozzart:
                            seconds = backfill.measure(dovecot, mozzart, count, arrivals=0).working
                    finally:
                        link.close()
                    self.figures.add("slow link", f"mbsync, {round_trip} ms", rate=count / yardstick.seconds)
                    self.figures.add(
                        "slow link",
                        f"mozzart, {round_trip} ms",
                        rate=count / seconds,
                        of_mbsync=seconds / yardstick.seconds,
                    )

    def calls(self) -> None:
        """System calls, under strace: the times of this part say nothing."""
        count = self.options.traced
        with self._dovecot() as dovecot:
            filled = mailbox.fill(dovecot, count, max(1, count * self.options.megabytes // self.options.messages))
            self._say(f"system calls of {count:,} messages")
            traces = self.home / "traces"
            traces.mkdir()
            with self._installation(dovecot) as mozzart:
                found = calls.trace(dovecot, mozzart, count, traces)
            for role, one in found.items():
                self.figures.add(
                    "system calls",
                    role,
                    calls=one.count.total() / count,
                    fsyncs=one.syncs / count,
                    read=one.read / filled.octets,
                    written=one.written / filled.octets,
                )

    def large(self) -> None:
        """One message of many MB."""
        with self._dovecot("sdbox") as dovecot, self._installation(dovecot) as mozzart:
            self._say(f"one message of {self.options.large} MB")
            seconds, processes = large.measure(dovecot, mozzart, self.options.large)
        self.figures.add("large message", f"{self.options.large} MB: to row and file", seconds=seconds)
        for role, process in processes.items():
            self.figures.add("large message", role, cpu=process.cpu, peak=process.peak / 1e6)


def _each(run: Run) -> float:
    return run.seconds / run.messages


def _summaries(seen: dict[int, dict[str, float]], found: Latency) -> dict[str, dict[str, float]]:
    """By hop, of the messages of which every hop was seen."""
    steps: dict[str, list[float]] = {}
    for uid, times in seen.items():
        for hop, ms in hops.steps(times | found.hops.get(uid, {})).items():
            steps.setdefault(hop, []).append(ms)
    return {hop: summary(values) for hop, values in steps.items()}


ORDER: dict[str, Callable[[Parts], None]] = {
    "latency": Parts.latency,
    "backfill": Parts.backfill,
    "others": Parts.others,
    "link": Parts.link,
    "calls": Parts.calls,
    "large": Parts.large,
}
