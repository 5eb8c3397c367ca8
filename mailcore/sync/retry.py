"""I9: how long to wait after which error. Scope × retry is decided where the error is understood; here the pause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mailcore.errors import MozzartError, Retry, Scope

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0
SLOW_FIRST_PAUSE = 30.0
SLOW_LONGEST_PAUSE = 900.0

_BREADTH = {Scope.MESSAGE: 0, Scope.MAILBOX: 1, Scope.ACCOUNT: 2, Scope.PROCESS: 3}


@dataclass(frozen=True, slots=True)
class Verdict:
    """`known` is False for an exception that is a bug of ours, not a condition of the world."""

    scope: Scope
    retry: Retry
    retry_after: float | None
    text: str
    known: bool = True


def leaves(error: BaseException) -> list[BaseException]:
    """The errors inside an exception group, however deep: a nursery's error is always a group (R7)."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]


def errors_alone(error: BaseException) -> bool:
    """Whether it is no cancellation, nor holds one."""
    return all(isinstance(leaf, Exception) for leaf in leaves(error))


def verdict(error: BaseException) -> Verdict:
    """The broadest scope in the group decides; a bug of ours outranks all, so that it is seen."""
    worst: Verdict | None = None
    for leaf in leaves(error):
        if isinstance(leaf, MozzartError):
            found = Verdict(leaf.scope, leaf.retry, leaf.retry_after, f"{leaf}")
        elif isinstance(leaf, OSError | TimeoutError):
            found = Verdict(Scope.MAILBOX, Retry.LATER, None, f"{type(leaf).__name__}: {leaf}")
        else:
            return Verdict(Scope.PROCESS, Retry.LATER, None, f"{type(leaf).__name__}: {leaf}", known=False)
        if worst is None or _BREADTH[found.scope] > _BREADTH[worst.scope]:
            worst = found
    if worst is None:  # an empty group cannot be built
        raise AssertionError("an exception group without exceptions")
    return worst


def pause(
    attempt: int,
    found: Verdict,
    chance: Callable[[], float],
    *,
    first: float = FIRST_PAUSE,
    longest: float = LONGEST_PAUSE,
) -> float:
    """Seconds to wait before attempt `attempt + 1` (the first attempt is 1). `chance` gives a number in [0, 1).

    Half of an exponential step is kept, half is jitter, so that a thousand clients do not come back at once and none
    comes back immediately. What the server asked for is a lower bound. What a person must mend (`NEVER`) is tried
    slowly: passwords are corrected on the server too.
    """
    if found.retry is Retry.NOW and attempt <= 1:
        return 0.0
    if found.retry is Retry.NEVER:
        first, longest = SLOW_FIRST_PAUSE, SLOW_LONGEST_PAUSE
    step = min(longest, first * 2.0 ** min(attempt - 1, 32))
    wait = step / 2 + chance() * step / 2
    return max(wait, found.retry_after or 0.0)
