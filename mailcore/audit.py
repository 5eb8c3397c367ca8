"""What people and programs did here: who, from where, what, on what. Pure.

An entry never holds a secret. What a stranger wrote (the user of a failed sign-in) is kept as it is, cut to a length,
and shown by `mailcore.visible`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal, get_args

Action = Literal[
    "signed-in",
    "sign-in-failed",
    "signed-out",
    "synced",
    "redriven",
    "discarded",
    "account-added",
    "account-changed",
    "account-authorized",
    "account-paused",
    "account-resumed",
    "account-removed",
    "key-rotated",
    "token-made",
    "token-revoked",
    "pruned",
]
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
# `stranger`: whoever tried to sign in; then `who` is what they claimed to be.
By = Literal["user", "token", "command", "stranger"]

LONGEST_WHO: Final = 100
LONGEST_OBJECT: Final = 300
_LONGEST_ADDRESS: Final = 60


@dataclass(frozen=True)
class Actor:
    """Who does something, and from which address; "" from none."""

    by: By
    who: str
    address: str = ""


COMMAND_LINE: Final = Actor("command", "command line")


@dataclass(frozen=True)
class Entry:
    """One thing that was done. `count`: so many of them, where each alone would flood the table. `id` is 0 until it is
    kept; times are aware, in UTC."""

    at: datetime
    action: Action
    by: By
    who: str
    address: str
    object: str = ""
    count: int = 1
    id: int = 0


def entry(at: datetime, action: Action, actor: Actor, about: str = "", count: int = 1) -> Entry:
    """With everything cut to what the table takes."""
    address = actor.address[:_LONGEST_ADDRESS]
    return Entry(at, action, actor.by, _cut(actor.who, LONGEST_WHO), address, _cut(about, LONGEST_OBJECT), count)


class Flood:
    """Failed sign-ins: the first `most` of a minute have entries of their own, the others of it share one, which comes
    when the minute is over. Pure: `at` is the time of day."""

    def __init__(self, most: int = 10) -> None:
        self._most = most
        self._minute: datetime | None = None
        self._own = 0
        self._shared: Entry | None = None

    def add(self, one: Entry) -> list[Entry]:
        """What is to be kept now."""
        minute = one.at.replace(second=0, microsecond=0)
        kept = [] if minute == self._minute else self.end()
        if minute != self._minute:
            self._minute, self._own = minute, 0
        if self._own < self._most:
            self._own += 1
            return [*kept, one]
        shared = self._shared or replace(one, who="", address="", count=0)
        self._shared = replace(shared, count=shared.count + one.count)
        return kept

    @property
    def waits(self) -> bool:
        """Whether there is one to be kept when the minute is over."""
        return self._shared is not None

    def end(self) -> list[Entry]:
        """The minute is over, or the process ends: what is left to keep."""
        shared, self._shared = self._shared, None
        return [] if shared is None else [shared]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
