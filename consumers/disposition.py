"""What becomes of a delivery that could not be stored. Pure: no clock, no chance, no IO.

1. What is the world's fault (no database, no mailbox row yet) comes again, for ever, ever more slowly.
2. What is the message's fault comes again a few times, because bugs and races look like it, and is then dead-lettered
(I5). 3. What is no event of ours is dead-lettered at once: no retry can make it one.
4. What lost its bytes (an expired claim check) is dropped: the syncer finds it missing and publishes it again. So is
what nobody wants any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from mailcore.bus import BodyMissing
from mailcore.errors import EventError, MozzartError, Retry, Scope

ATTEMPTS: Final = 5
# From here on it is taken alone: should it take the process down with it, it takes no other message along.
SUSPECT: Final = 3
# Delivered so often without an end that we saw.
CRASHES: Final = 50
_FIRST_DELAY: Final = 1.0
_LONGEST_DELAY: Final = 60.0


class AccountRemoved(MozzartError):
    """Nothing of it is stored any more: it was removed together with its mail."""

    scope = Scope.ACCOUNT
    retry = Retry.NEVER


class Action(Enum):
    """NAK: deliver it again later. BURY: bytes and error go to the dead letters. DROP: neither."""

    NAK = "nak"
    BURY = "bury"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Disposition:
    """`delay` is in seconds and of use to NAK alone."""

    action: Action
    delay: float = 0.0


def dispose(error: Exception, deliveries: int) -> Disposition:
    """`deliveries` counts this one (the first is 1). An error that is none of ours is the message's: something in it
    found a bug."""
    if isinstance(error, BodyMissing | AccountRemoved):
        return Disposition(Action.DROP)
    if isinstance(error, EventError):
        return Disposition(Action.BURY)
    if is_message_fault(error) and deliveries >= ATTEMPTS:
        return Disposition(Action.BURY)
    return Disposition(Action.NAK, pause(deliveries))


def pause(deliveries: int) -> float:
    """Seconds until what failed so often comes again."""
    return min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(max(deliveries, 1) - 1, 30))


def is_message_fault(error: Exception) -> bool:
    """Whether trying again for ever would be in vain."""
    scope = getattr(error, "scope", Scope.MESSAGE)
    retry = getattr(error, "retry", Retry.NEVER)
    return scope is Scope.MESSAGE and retry is Retry.NEVER


def is_passing(error: Exception) -> bool:
    """Whether it is not worth giving the delivery back: the whole process waits for the same thing (I8)."""
    return getattr(error, "scope", None) is Scope.PROCESS and getattr(error, "retry", None) is not Retry.NEVER


def is_suspect(deliveries: int) -> bool:
    """Whether it must be taken alone."""
    return deliveries > SUSPECT


def is_hopeless(deliveries: int) -> bool:
    """Whether not even an attempt may be made any more."""
    return deliveries > CRASHES
