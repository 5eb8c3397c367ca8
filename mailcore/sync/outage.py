"""What fails again and again, as a log tells it. Pure: `now` is seconds of the caller's clock."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

REMIND: Final = 600.0  # seconds between two lines about what was told before
RESTLESS: Final = 120.0  # seconds; what fails again so soon after it worked has not been mended
_IN_A_ROW: Final = 3  # tries that show that it does not work, though it did a moment ago
_REASONS: Final = 8  # an outage whose words are always others is told by reminders, too
_COUNTED: Final = re.compile(r"\S*\d\S*")


def reason(words: str) -> str:
    """The words without what differs from try to try: times, numbers, ports, identities."""
    return _COUNTED.sub("#", words)


@dataclass(slots=True)
class Outage:
    """Of one thing that is tried in several ways (`part`): each reason is told once, then a counted reminder now and
    then, and once that all parts work again. What works for a moment now and then is told as seldom."""

    tries: int = 0
    _since: float = 0.0
    _ended: float = float("-inf")
    _told_at: float = 0.0
    _told: bool = False  # since it last worked
    _in_a_row: int = 0
    _reasons: set[str] = field(default_factory=set)
    _failing: set[str] = field(default_factory=set)

    @property
    def going_on(self) -> bool:
        return bool(self._failing)

    def failed(self, part: str, words: str, now: float) -> dict[str, object] | None:
        """The facts to tell; None when it has been told."""
        if not self._failing:
            self._in_a_row, self._told = 0, False
            if now - self._ended >= RESTLESS:
                self.tries, self._since = 0, now
                self._reasons.clear()
        self._failing.add(part)
        self.tries += 1
        self._in_a_row += 1
        why = reason(words)
        new = why not in self._reasons and len(self._reasons) < _REASONS
        if new:
            self._reasons.add(why)
        if not (new or now - self._told_at >= REMIND or (self._in_a_row == _IN_A_ROW and not self._told)):
            return None
        self._told, self._told_at = True, now
        return {"error": words} if self.tries == 1 else {"error": words, **self._sum(now)}

    def works(self, part: str, now: float) -> dict[str, object] | None:
        """The facts to tell when what was told as failing works again by this; None otherwise."""
        if part not in self._failing:
            return None
        self._failing.discard(part)
        if self._failing:
            return None
        self._ended = now
        return self._sum(now) if self._told else None

    def _sum(self, now: float) -> dict[str, object]:
        return {"failed_tries": self.tries, "failing_s": round(now - self._since)}
