"""What SIGHUP asks for: it is said by a person who wants settings read again, and by a terminal that goes away."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from enum import Enum
from typing import Self


class Wish(Enum):
    """`RELOAD` the accounts, `STOP`, or `NOTHING`."""

    RELOAD = "reload"
    STOP = "stop"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Hangup:
    """As it was when the process began: `terminal`, it had one; `ignored`, `nohup` wants it to outlive that one."""

    terminal: bool
    ignored: bool

    @classmethod
    def at_start(cls) -> Self:
        """Ask before the signal is caught."""
        return cls(terminal=has_terminal(), ignored=signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)

    def wish(self, *, terminal: bool, reloadable: bool) -> Wish:
        """`terminal`: it still has one. `reloadable`: there is an ACCOUNTS_FILE. Pure.

        The kernel takes the terminal from all its processes before it sends the signal; so one that has lost it knows
        that nobody asked for a reload.
        """
        if self.terminal and not terminal:
            return Wish.NOTHING if self.ignored else Wish.STOP
        if reloadable:
            return Wish.RELOAD
        return Wish.NOTHING if self.ignored else Wish.STOP


def has_terminal() -> bool:
    """Whether this process has a controlling terminal now."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True
