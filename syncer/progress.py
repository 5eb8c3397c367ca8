"""How far a backfill is: one log line every few seconds, in place of one for each message."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
import trio

from syncer.mailbox import MailboxTasks

log = structlog.get_logger(__name__)

EVERY: Final = 5.0  # seconds
_MANY: Final = 100  # fewer are stored before anybody has read of them


@dataclass(slots=True)
class Progress:
    """Counts what is stored; `look` at it now and then."""

    stored: int = 0
    _began: float = 0.0
    _before: int = -1  # stored when the backfill began; -1: there is none
    _last: tuple[float, int] = (0.0, 0)

    def look(self, left: int, now: float) -> tuple[str, dict[str, object]] | None:
        """The line to write, if any: `left` messages are listed and not stored. Pure, but for what it remembers."""
        since, then = self._last
        self._last = (now, self.stored)
        if self._before < 0:
            if left >= _MANY:
                self._began, self._before = now, self.stored
            return None
        done = self.stored - self._before
        if left == 0:
            took = now - self._began
            self._before = -1
            return "backfill done", {"stored": done, "took_s": round(took, 1), "a_second": round(done / max(took, 0.1))}
        rate = (self.stored - then) / max(now - since, 0.1)
        facts: dict[str, object] = {"stored": done, "left": left, "a_second": round(rate)}
        if rate >= 1:
            facts["time_left"] = str(timedelta(seconds=round(left / rate)))
        return "backfill", facts


async def tell(progress: Progress, mailboxes: Callable[[], Iterable[MailboxTasks]]) -> None:
    """For ever."""
    while True:
        await trio.sleep(EVERY)
        left = sum(one.machine.uids.left for one in mailboxes())
        if line := progress.look(left, time.monotonic()):
            log.info(line[0], **line[1])
