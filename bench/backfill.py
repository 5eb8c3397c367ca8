"""A full mailbox, stored from nothing: by the bare socket (which stores nothing), mbsync, a script, and by us."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import psutil

from bench.measure import Usage, tree_cpu, usage
from bench.rawimap import IdleWatch, RawImap
from bench.rows import Rows, open_rows
from tests.support.dovecot import Dovecot, append
from tests.support.mail import make_mail
from tests.support.processes import Mozzart
from tests.support.programs import wait_until


@dataclass
class Backfill:
    """`seconds` from the start of the command to the last row; `startup` of those until the program was ready."""

    seconds: float = 0.0
    startup: float = 0.0
    messages: int = 0
    processes: dict[str, Usage] = field(default_factory=dict)
    server_cpu: float = 0.0
    arrivals: list[float] = field(default_factory=list)  # ms from a raw EXISTS to the row, of mail that came meanwhile

    @property
    def working(self) -> float:
        """Seconds without those of the start."""
        return self.seconds - self.startup


def settle() -> None:
    """What one measurement has left for the disk is not to be written during the next."""
    os.sync()


def floor(dovecot: Dovecot) -> tuple[float, int]:
    """Seconds and bytes of one FETCH of everything on a bare socket."""
    raw = RawImap(dovecot)
    began = time.monotonic()
    octets = raw.fetch_all()
    seconds = time.monotonic() - began
    raw.close()
    return seconds, octets


def measure(
    dovecot: Dovecot,
    mozzart: Mozzart,
    messages: int,
    *,
    arrivals: int = 5,
    started: Callable[[], None] = lambda: None,
) -> Backfill:
    """`mozzart up` from an empty data directory; `arrivals` messages arrive while it is at it. Leaves it running.
    `started` is called as soon as the command runs."""
    found = Backfill()
    server_before = tree_cpu(dovecot.pid)
    stop = threading.Event()
    began = time.monotonic()
    mozzart.start()
    started()

    def deliver() -> None:
        # While the backfill runs: spread over its course, each one measured on its own.
        watch = IdleWatch(dovecot)
        with contextlib.closing(open_rows(mozzart)) as rows, dovecot.connect() as connection:
            for number in range(arrivals):
                due = messages * (number + 1) // (arrivals + 2)
                wait_until(partial(_due, rows, due, stop), "the next arrival is due", within=3600, every=0.1)
                if stop.is_set():
                    break
                # Bytes that no round before left in this mailbox: else it is a copy, which waits among the backlog.
                uid = append(connection, make_mail(number, seed=messages, files=(10_000,)).raw)
                exists = watch.wait(messages + number + 1)
                wait_until(partial(rows.has, uid), f"message {uid} is a row", within=120, every=0.002)
                found.arrivals.append((time.monotonic() - exists) * 1000)
        watch.close()

    mozzart.wait_ready(within=60)
    found.startup = time.monotonic() - began
    thread = threading.Thread(target=deliver)
    thread.start()
    with contextlib.closing(open_rows(mozzart)) as rows:
        try:
            wait_until(lambda: rows.count() >= messages + len(found.arrivals), "all is stored", within=3600, every=0.05)
            found.seconds = time.monotonic() - began
        finally:
            stop.set()
            thread.join(130)
        found.messages = rows.count()
    found.processes = {role: usage(process) for role, process in mozzart.processes().items()}
    spent = tree_cpu(mozzart.pid) - sum(process.cpu for process in found.processes.values())
    found.processes["supervisor"] = Usage(spent, usage(psutil.Process(mozzart.pid)).peak)
    found.server_cpu = tree_cpu(dovecot.pid) - server_before
    return found


def _due(rows: Rows, count: int, stop: threading.Event) -> bool:
    return stop.is_set() or rows.count() >= count
