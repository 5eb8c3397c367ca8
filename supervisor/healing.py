"""When the embedded nats-server is started again because its store is in error. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

# Where a start does not help, another one at once does not either; and everybody loses the connection each time.
RESTARTS_EVERY: Final = 60.0


class Step(Enum):
    NOTHING = "nothing"
    TELL = "tell"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class Healing:
    """`restarted` is when it was started again for the last time, `told` whether a person was told that there is no
    room for a start."""

    restarted: float = float("-inf")
    told: bool = False

    def look(self, now: float, error: str, room: bool) -> tuple[Healing, Step]:
        """What comes next, `now` in seconds of any clock. `error` is what the store is in, "" when it is well; `room`
        whether its disk takes something now."""
        if not error:
            return replace(self, told=False), Step.NOTHING
        if room and now - self.restarted >= RESTARTS_EVERY:
            return Healing(restarted=now), Step.RESTART
        if not room and not self.told:
            return replace(self, told=True), Step.TELL
        return self, Step.NOTHING
