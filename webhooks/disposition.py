"""What becomes of a delivery after an attempt: done, again later, or given up. Pure: no clock, no dice."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Final

# Seconds after the first, second, … attempt; then always the last.
DELAYS: Final = (5.0, 15.0, 60.0, 300.0, 900.0)
# An event is given up when it is older than this and has been tried so often.
LONGEST: Final = timedelta(hours=24)
LEAST_ATTEMPTS: Final = 8
_GONE: Final = 410


class Action(Enum):
    DONE = "delivered"
    AGAIN = "again"
    DEAD = "given up"


@dataclass(frozen=True, slots=True)
class Answer:
    """The HTTP status, or None with the `error` that came instead; `retry_after` in seconds as the receiver asked."""

    status: int | None
    error: str = ""
    retry_after: float | None = None

    @property
    def good(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    def __str__(self) -> str:
        if self.status is None:
            return self.error or "no answer"
        if 300 <= self.status < 400:
            return f"HTTP {self.status}: redirects are not followed; set WEBHOOK_URL to where it leads"
        return f"HTTP {self.status}"


@dataclass(frozen=True, slots=True)
class Disposition:
    action: Action
    delay: float = 0.0


def dispose(answer: Answer, *, attempts: int, age: timedelta, jitter: float = 0.0) -> Disposition:
    """`attempts` counts this one, `age` is the event's, `jitter` in [0, 1) spreads what failed together.

    Standard Webhooks: 2xx is success, all else is a failure that may pass, but 410, with which a receiver says that it
    wants no more.
    """
    if answer.good:
        return Disposition(Action.DONE)
    if answer.status == _GONE or (attempts >= LEAST_ATTEMPTS and age >= LONGEST):
        return Disposition(Action.DEAD)
    delay = DELAYS[min(attempts, len(DELAYS)) - 1] * (1 + jitter / 5)
    if answer.retry_after is not None:
        delay = max(delay, min(answer.retry_after, DELAYS[-1]))
    return Disposition(Action.AGAIN, delay)
