"""A full mailbox, stored from nothing: by the bare socket (which stores nothing), mbsync, a script, and by us."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from dataclasses import dataclass, field
from functools import partial

from bench.measure import Usage, tree_cpu, usage
from bench.rawimap import IdleWatch, RawImap
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


def floor(dovecot: Dovecot) -> tuple[float, int]:
    """Seconds and bytes of one FETCH of everything on a bare socket."""
    raw = RawImap(dovecot)
    began = time.monotonic()
    octets = raw.fetch_all()
    seconds = time.monotonic() - began
    raw.close()
    return seconds, octets


class _Rows:
    """The table of messages seen from outside, by one connection that stays: to open one for each look cost a tenth of
    a processor, which those who are measured need."""

    def __init__(self, mozzart: Mozzart) -> None:
        self._connection = sqlite3.connect(f"file:{mozzart.database}?mode=ro", timeout=30, uri=True)

    def count(self) -> int:
        """Of rows, while none is removed."""
        (last,) = self._connection.execute("SELECT max(id) FROM mailbox_app_mailmessage").fetchone()
        return int(last or 0)

    def has(self, uid: int) -> bool:
        found = self._connection.execute("SELECT 1 FROM mailbox_app_mailmessage WHERE uid = ?", (uid,))
        return found.fetchone() is not None

    def close(self) -> None:
        self._connection.close()


def measure(dovecot: Dovecot, mozzart: Mozzart, messages: int, *, arrivals: int = 5) -> Backfill:
    """`mozzart up` from an empty data directory; `arrivals` messages arrive while it is at it. Leaves it running."""
    found = Backfill()
    server_before = tree_cpu(dovecot.pid)
    stop = threading.Event()
    began = time.monotonic()
    mozzart.start()

    def deliver() -> None:
        # While the backfill runs: spread over its course, each one measured on its own.
        watch = IdleWatch(dovecot)
        with contextlib.closing(_Rows(mozzart)) as rows, dovecot.connect() as connection:
            for number in range(arrivals):
                due = messages * (number + 1) // (arrivals + 2)
                wait_until(partial(_due, rows, due, stop), "the next arrival is due", within=3600, every=0.1)
                if stop.is_set():
                    break
                uid = append(connection, make_mail(number, seed=9, files=(10_000,)).raw)
                exists = watch.wait(messages + number + 1)
                wait_until(partial(rows.has, uid), f"message {uid} is a row", within=120, every=0.002)
                found.arrivals.append((time.monotonic() - exists) * 1000)
        watch.close()

    mozzart.wait_ready(within=60)
    found.startup = time.monotonic() - began
    thread = threading.Thread(target=deliver)
    thread.start()
    with contextlib.closing(_Rows(mozzart)) as rows:
        try:
            wait_until(lambda: rows.count() >= messages + len(found.arrivals), "all is stored", within=3600, every=0.05)
            found.seconds = time.monotonic() - began
        finally:
            stop.set()
            thread.join(130)
    found.messages = mozzart.stored()
    found.processes = {role: usage(process) for role, process in mozzart.processes().items()}
    found.server_cpu = tree_cpu(dovecot.pid) - server_before
    return found


def _due(rows: _Rows, count: int, stop: threading.Event) -> bool:
    return stop.is_set() or rows.count() >= count
