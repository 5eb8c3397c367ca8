"""How long an account that its server refuses is left alone. Pure: times are seconds of the caller's clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mailcore.errors import MozzartError
from mailcore.sync.admission import Pace
from mailcore.sync.retry import pause, verdict

FIRST_PAUSE = 5.0
LONGEST_PAUSE = 900.0
HURRY_PAUSE = 5.0  # between two attempts, however impatient people are
FORGOTTEN = 3600.0  # a refusal so long after the last pause is a first one
_NEVER = float("-inf")


@dataclass(slots=True)
class Refusals:
    """The refusals of one account in a row. `until`: nothing is asked of the server before then.

    A login that works ends a row of refused logins, but not one of refused commands: a throttled account may log in as
    often as it likes. Whatever the row and whoever asks, refusals are at most six a minute.
    """

    until: float = _NEVER
    logins: int = 0
    commands: int = 0
    _named: float = _NEVER  # the time that the server named
    _at: float = _NEVER  # of the last one
    _pace: Pace = field(default_factory=lambda: Pace(rate=3 / 60, burst=3))

    def add(self, error: MozzartError, now: float, chance: Callable[[], float], *, login: bool) -> None:
        """A login or a command was refused. Commands that were under way when the pause began do not make it grow."""
        self._named = max(self._named, now + (error.retry_after or 0.0))
        if now < self.until and not login:
            self.until = max(self.until, self._named)
            return
        if now - self.until > FORGOTTEN:
            self.logins = self.commands = 0
        self.logins += login
        self.commands += not login
        self._pace.went(now)
        self._at = now
        wait = pause(self.logins + self.commands, verdict(error), chance, first=FIRST_PAUSE, longest=LONGEST_PAUSE)
        self.until = now + max(wait, self._pace.wait(now))

    def hurry(self, now: float) -> None:
        """A person asks: what the server named is kept, what we chose ourselves is cut short."""
        self.until = min(self.until, max(self._named, self._at + HURRY_PAUSE, now + self._pace.wait(now)))

    def logged_in(self) -> bool:
        """A login worked; whether that ends the refusal."""
        self.logins = 0
        return self._end()

    def accepted(self, now: float) -> bool:
        """A command worked that might have been refused; whether that ends the refusal. During a pause it does not: the
        command was under way when the pause began."""
        if now < self.until and self.commands:
            return False
        self.commands = 0
        return self._end()

    def _end(self) -> bool:
        ended = not self.logins and not self.commands
        if ended:
            self.until = self._named = _NEVER
        return ended
