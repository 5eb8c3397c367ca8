"""What one message costs in system calls: how many there are, how many make the disk wait, and how often its bytes
cross into a process and out of it (strace)."""

from __future__ import annotations

import re
import signal
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.backfill import measure
from tests.support.dovecot import Dovecot
from tests.support.processes import Mozzart
from tests.support.programs import find_program, wait_until
from tests.support.proxy import Proxy

READS: Final = frozenset("read readv pread64 preadv recvfrom recvmsg".split())
WRITES: Final = frozenset("write writev pwrite64 pwritev sendto sendmsg sendfile copy_file_range".split())
SYNCS: Final = frozenset("fsync fdatasync syncfs sync_file_range msync".split())
_ENDED: Final = re.compile(r"(\w+)(?:\(| resumed>).*\) += (\d+)")
ROLES: Final = ("syncer", "consumer", "nats-server")


@dataclass
class Calls:
    """Of one process during a backfill: numbers of calls, and bytes."""

    count: Counter[str] = field(default_factory=Counter)
    read: int = 0
    written: int = 0

    @property
    def syncs(self) -> int:
        return sum(self.count[name] for name in SYNCS)


def counted(trace: str) -> Calls:
    """What strace wrote down; calls that failed do not count."""
    found = Calls()
    for line in trace.splitlines():
        if (ended := _ENDED.search(line)) is None:
            continue
        name, result = ended[1], int(ended[2])
        found.count[name] += 1
        found.read += result if name in READS else 0
        found.written += result if name in WRITES else 0
    return found


def trace(dovecot: Dovecot, mozzart: Mozzart, messages: int, home: Path) -> dict[str, Calls]:
    """By role, of a backfill that begins when all are watched. Ends `mozzart`."""
    proxy = Proxy(dovecot.port)
    tracers: dict[str, subprocess.Popen[bytes]] = {}

    def attach() -> None:
        wait_until(lambda: set(ROLES) <= mozzart.processes().keys(), "all processes run", within=30)
        for role in ROLES:
            command = [find_program("strace", "strace"), "-f", "-s", "0", "-o", str(home / role)]
            command += ["-e", f"trace={','.join(sorted(READS | WRITES | SYNCS))}"]
            pid = mozzart.processes()[role].pid
            tracers[role] = subprocess.Popen([*command, "-p", str(pid)], stderr=subprocess.DEVNULL)
        wait_until(lambda: all((home / role).exists() for role in ROLES), "strace is attached")
        proxy.resume()

    proxy.stall()
    try:
        mozzart.use(dovecot, port=proxy.port)
        measure(dovecot, mozzart, messages, arrivals=0, started=attach)
        for tracer in tracers.values():
            tracer.send_signal(signal.SIGINT)
            tracer.wait(20)
        return {role: counted((home / role).read_text()) for role in ROLES}
    finally:
        mozzart.stop(within=30)
        for tracer in tracers.values():
            tracer.kill()
        proxy.close()
