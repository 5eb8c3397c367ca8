"""How long whoever asks waits for the database in all, however many calls that takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, NamedTuple


class End(NamedTuple):
    """When a call is to be given up, and of how many seconds of patience that is the end."""

    at: float
    seconds: float


class Patience:
    """`seconds` of waiting; time in which several calls wait counts once, time in which none does not at all. It is
    part of the `outer` one, if there is any. Pure: `now` is in seconds of any clock that goes forward."""

    def __init__(self, seconds: float, outer: Patience | None = None) -> None:
        self.seconds = seconds
        self._outer = outer
        self._left = seconds
        self._waiting = 0
        self._since = 0.0

    def begin(self, now: float) -> End:
        """A call waits from now on. `end` it."""
        if not self._waiting:
            self._since = now
        self._waiting += 1
        mine = End(self._since + self._left, self.seconds)
        return mine if self._outer is None else min(mine, self._outer.begin(now))

    def end(self, now: float) -> None:
        if self._outer is not None:
            self._outer.end(now)
        self._waiting -= 1
        if not self._waiting:
            self._left = max(self._left - (now - self._since), 0.0)


_PATIENCE: Final[ContextVar[Patience | None]] = ContextVar("patience", default=None)


@contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """In this block, and in tasks that begin in it, all calls of a Store together wait for no longer; then they raise
    StoreError. None: for as long as outside of it."""
    outer = _PATIENCE.get()
    token = _PATIENCE.set(outer if seconds is None else Patience(seconds, outer))
    try:
        yield
    finally:
        _PATIENCE.reset(token)


def current() -> Patience | None:
    """Of whoever asks now."""
    return _PATIENCE.get()
