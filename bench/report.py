"""One table for people, one JSON file for comparisons over time."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.backfill import Backfill
from bench.latency import Latency
from bench.mailbox import Filled
from bench.measure import summary
from bench.rivals import Run
from bench.sweep import Look


@dataclass
class Report:
    """What one run of `python -m bench` measured; what was left out is None."""

    latency: Latency | None = None
    filled: Filled | None = None
    floor: tuple[float, int] | None = None
    mbsync: Run | None = None
    script: Run | None = None
    backfill: Backfill | None = None
    sweep: dict[str, Look] = field(default_factory=dict)

    def show(self) -> None:
        """To the terminal."""
        console = Console(width=max(110, Console().width))
        if self.latency:
            _latency(console, self.latency)
        if self.filled:
            self._backfill(console, self.filled)
        if self.sweep:
            _sweep(console, self.sweep)
        for what, measured, most, unit in self.claims():
            mark = "ok " if measured <= most else "NO "
            console.print(f"{mark} {what}: {measured:.3g} {unit} (at most {most:g})", highlight=False)

    def claims(self) -> list[tuple[str, float, float, str]]:
        """(what, measured, at most, unit) of what this project promises."""
        found: list[tuple[str, float, float, str]] = []
        if self.latency:
            found.append(("EXISTS to `stored` event, p50", summary(self.latency.stored)["p50"], 50, "ms"))
        if self.backfill:
            if self.mbsync:
                found.append(("backfill, of mbsync's time", self.backfill.seconds / self.mbsync.seconds, 2, "×"))
            if self.backfill.arrivals:
                found.append(("stored during the backfill, slowest", max(self.backfill.arrivals), 1000, "ms"))
            for role, process in self.backfill.processes.items():
                found.append((f"peak memory, {role}", process.peak / 1e6, 250, "MB"))
        return found

    def _backfill(self, console: Console, filled: Filled) -> None:
        size = f"{filled.octets / 1e6:,.0f} MB, {filled.attachments:,} attachments"
        title = f"Backfill of {filled.messages:,} messages, {size}"
        table = Table(title=title, title_justify="left")
        for name in ("", "seconds", "messages/s", "MB/s", "× mbsync", "CPU s", "peak MB"):
            table.add_column(name, justify="left" if not name else "right")
        yardstick = self.mbsync.seconds if self.mbsync else float("nan")

        def add(name: str, seconds: float, messages: int, cpu: str, peak: str) -> None:
            octets = filled.octets * messages / filled.messages
            table.add_row(
                name,
                f"{seconds:.2f}",
                f"{messages / seconds:,.0f}",
                f"{octets / seconds / 1e6:,.1f}",
                f"{seconds / messages / (yardstick / filled.messages):.2f}",
                cpu,
                peak,
            )

        if self.floor:
            add("raw socket, stores nothing", self.floor[0], filled.messages, "", "")
        for name, run in (("mbsync, durable Maildir", self.mbsync), ("imaplib script, SQLite + files", self.script)):
            if run:
                add(name, run.seconds, run.messages, f"{run.cpu:.1f}", f"{run.peak / 1e6:.0f}")
        if self.backfill:
            cpu = sum(process.cpu for process in self.backfill.processes.values())
            peak = max(process.peak for process in self.backfill.processes.values())
            add(
                "mozzart up, from command to last row",
                self.backfill.seconds,
                self.backfill.messages,
                f"{cpu:.1f}",
                f"{peak / 1e6:.0f}",
            )
            for role, process in self.backfill.processes.items():
                table.add_row(f"  {role}", "", "", "", "", f"{process.cpu:.1f}", f"{process.peak / 1e6:.0f}")
            table.add_row("  (the IMAP server)", "", "", "", "", f"{self.backfill.server_cpu:.1f}", "")
        console.print(table)
        if self.backfill:
            console.print(f"mozzart was ready {self.backfill.startup:.2f} s after the command started")
            if arrivals := self.backfill.arrivals:
                listed = ", ".join(f"{value:.0f}" for value in arrivals)
                console.print(f"mail that arrived during the backfill: ms from the raw EXISTS to the row: {listed}")
            else:
                console.print("no mail arrived during the backfill: it was over too soon")
        console.print()

    def write(self, directory: Path) -> Path:
        """The JSON file that was written; its name is the time."""
        directory.mkdir(parents=True, exist_ok=True)
        now = datetime.now(UTC)
        path = directory / f"{now:%Y%m%dT%H%M%SZ}.json"
        out: dict[str, Any] = {"at": now.isoformat(), "python": platform.python_version(), "processors": os.cpu_count()}
        path.write_text(json.dumps(out | asdict(self), indent=1) + "\n")
        return path


def _latency(console: Console, latency: Latency) -> None:
    table = Table(title=f"Latency of {len(latency.stored)} single messages, ms", title_justify="left")
    for name in ("", "p50", "p95", "p99", "max"):
        table.add_column(name, justify="left" if not name else "right")
    for name, values in (
        ("the server: APPEND answered → EXISTS on a raw IDLE socket", latency.server),
        ("that EXISTS → EXISTS on a second raw IDLE socket (noise)", latency.second),
        ("mozzart: that EXISTS → `new` event at a subscriber", latency.new),
        ("mozzart: that EXISTS → `stored` event at a subscriber", latency.stored),
    ):
        table.add_row(name, *(f"{value:.1f}" for value in summary(values).values()))
    console.print(table)
    if latency.unannounced:
        console.print(f"{latency.unannounced} messages were left out: the server did not tell the raw socket in 5 s")
    console.print(f"{latency.missing_rows} `stored` events came before another connection could read the row")
    console.print(
        f"a burst of {latency.burst}: all rows {latency.burst_seconds:.2f} s after the last APPEND was answered\n"
    )


def _sweep(console: Console, looks: dict[str, Look]) -> None:
    table = Table(title="To find out that nothing changed", title_justify="left")
    for name in ("", "ms", "bytes on the wire"):
        table.add_column(name, justify="left" if not name else "right")
    for name, look in looks.items():
        took = f"{look.seconds * 1000:.1f}" if look.seconds == look.seconds else ""
        table.add_row(name, took, f"{look.octets:,.0f}")
    console.print(table)
