"""What goes wrong: each fault is drawn from dice, strikes, and is over after some seconds."""

from __future__ import annotations

import contextlib
import random
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import psutil

from tests.chaos.disks import Disk
from tests.support.dovecot import Dovecot
from tests.support.processes import ROLES, Mozzart
from tests.support.programs import wait_until
from tests.support.proxy import Proxy

DISKS: Final = ("media", "database", "nats")
CHILDREN: Final = (*ROLES, "fork-server")


@dataclass(frozen=True)
class Fault:
    """`held` is a context: inside of it the fault is there, and `seconds` long something else may happen."""

    words: str
    seconds: float
    held: Callable[[], contextlib.AbstractContextManager[None]]
    alone: bool = False
    """Nobody can use the IMAP server meanwhile."""


@dataclass(frozen=True)
class Faults:
    mozzart: Mozzart
    dovecot: Dovecot
    proxy: Proxy
    disks: dict[str, Disk]
    """Without any, no disk gets full."""

    @property
    def kinds(self) -> dict[str, Callable[[random.Random], Fault]]:
        found: dict[str, Callable[[random.Random], Fault]] = {
            "kill": lambda dice: self._signal(dice, signal.SIGKILL),
            "end": lambda dice: self._signal(dice, signal.SIGTERM),
            "stop": self._stand_still,
            "kill-up": lambda dice: self._up(dice, "kill -9"),
            "end-up": lambda dice: self._up(dice, "SIGTERM"),
            "cut": lambda dice: self._network("cut", 0.0, self.proxy.cut),
            "silence": lambda dice: self._network("silence for ever", 0.0, self.proxy.go_silent),
            "stall": lambda dice: self._network("stall", dice.uniform(1, 8), self.proxy.stall, self.proxy.resume),
            "dovecot": self._dovecot,
            "lock": self._lock,
        }
        return found | {f"full-{name}": partial(self._full, name) for name in self.disks}

    def draw(self, dice: random.Random, names: list[str]) -> Fault:
        return self.kinds[dice.choice(names)](dice)

    def _signal(self, dice: random.Random, number: signal.Signals) -> Fault:
        role = dice.choice(CHILDREN)
        return Fault(f"{number.name} {role}", 0.0, lambda: self._struck(role, number))

    @contextmanager
    def _struck(self, role: str, number: signal.Signals) -> Iterator[None]:
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process(role).send_signal(number)
        yield

    def _stand_still(self, dice: random.Random) -> Fault:
        role, seconds = dice.choice(CHILDREN), dice.uniform(0.5, 6)
        return Fault(f"SIGSTOP {role}", seconds, lambda: self._standing(role))

    @contextmanager
    def _standing(self, role: str) -> Iterator[None]:
        process = self._process(role)
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
        try:
            yield
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

    def _up(self, dice: random.Random, how: str) -> Fault:
        return Fault(f"{how} mozzart up", dice.choice((0.0, dice.uniform(0, 3))), lambda: self._down(how))

    @contextmanager
    def _down(self, how: str) -> Iterator[None]:
        if how == "SIGTERM":
            self.mozzart.stop(within=20)
        else:
            self.mozzart.kill_supervisor()
        yield
        self.mozzart.start().wait_ready(within=90)

    def _network(
        self, words: str, seconds: float, begin: Callable[[], object], end: Callable[[], object] = lambda: None
    ) -> Fault:
        @contextmanager
        def held() -> Iterator[None]:
            begin()
            yield
            end()

        return Fault(f"{words} the IMAP connections", seconds, held)

    def _dovecot(self, dice: random.Random) -> Fault:
        gently = dice.random() < 0.5

        @contextmanager
        def held() -> Iterator[None]:
            self.dovecot.stop(gently=gently)
            yield
            self.dovecot.start()

        words = "restart" if gently else "kill -9 and restart"
        return Fault(f"{words} Dovecot", dice.uniform(0, 4), held, alone=True)

    def _lock(self, dice: random.Random) -> Fault:
        """Somebody else writes to the database and does not come to an end."""

        @contextmanager
        def held() -> Iterator[None]:
            with contextlib.closing(sqlite3.connect(self.mozzart.database, timeout=30)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                yield

        return Fault("locked database", dice.uniform(0.5, 5), held)

    def _full(self, name: str, dice: random.Random) -> Fault:
        disk = self.disks[name]

        @contextmanager
        def held() -> Iterator[None]:
            disk.fill()
            yield
            disk.empty()

        return Fault(f"full disk under {name}", dice.uniform(0.5, 5), held)

    def _process(self, role: str) -> psutil.Process:
        return wait_until(lambda: self.mozzart.processes(CHILDREN).get(role), f"{role} runs", within=90)


def memory(mozzart: Mozzart) -> dict[tuple[str, int], int]:
    """Resident bytes of the whole family by role and process id."""
    found = {}
    for role, process in {**mozzart.processes(CHILDREN), "up": psutil.Process(mozzart.pid)}.items():
        with contextlib.suppress(psutil.NoSuchProcess):
            found[role, process.pid] = process.memory_info().rss
    return found
