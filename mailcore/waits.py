"""What keeps mail from being stored, in one word for everybody: a process of ours *waits*, or none answers.

A process that cannot go on because of the world (a full disk, a locked database, a NATS that takes nothing) keeps its
reason in WAITS for as long; each one tells it with its metrics. `mozzart status`, `doctor`, `sync`, `/readyz` and the
states of mailboxes say what `told` says. What only a person may order is kept there, too; mail is stored meanwhile.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from prometheus_client import Gauge

# A passing hiccup is none: a database that is locked for a second, a NATS that starts.
_PASSING: Final = 5.0
# Whoever was refused tries again by then; else nobody knows any more whether it still holds.
_FORGOTTEN: Final = 90.0


@dataclass(slots=True)
class _Reason:
    words: str
    since: float
    told: float


class Waits:
    """The reasons of one process, by whoever has one."""

    def __init__(self) -> None:
        self._reasons: dict[object, _Reason] = {}
        self._asks: dict[object, str] = {}

    def begin(self, who: object, words: str) -> None:
        """`who` waits for that reason, now or still."""
        now = time.time()
        known = self._reasons.get(who)
        self._reasons[who] = _Reason(words[:500], known.since if known else now, now)

    def end(self, who: object) -> None:
        """It goes on."""
        self._reasons.pop(who, None)
        self._asks.pop(who, None)

    def ask(self, who: object, words: str) -> None:
        """`who` does something only when a person says so; `words` tell what, and how."""
        self._asks[who] = words[:500]

    @property
    def asks(self) -> str:
        return "; ".join(self._asks.values())

    def longest(self) -> tuple[str, datetime] | None:
        """The reason that has lasted longest, and since when; None when nobody waits for more than a moment."""
        now = time.time()
        lasting = [one for one in self._reasons.values() if now - one.told < _FORGOTTEN and now - one.since >= _PASSING]
        if not lasting:
            return None
        first = min(lasting, key=lambda one: one.since)
        return first.words, datetime.fromtimestamp(first.since, UTC)


WAITS: Final = Waits()
"""Those of this process."""

_GAUGE: Final = Gauge("mozzart_waiting", "1 while the process cannot go on for a reason outside of it")
_GAUGE.set_function(lambda: float(WAITS.longest() is not None))


def facts(waits: Waits = WAITS) -> dict[str, str]:
    """As a process tells them."""
    found = waits.longest()
    waiting = {} if found is None else {"waiting": found[0], "since": found[1].isoformat(timespec="seconds")}
    return waiting | ({"asks": waits.asks} if waits.asks else {})


@dataclass(frozen=True, slots=True)
class Told:
    """What all processes told. `faults`: what keeps mail from being stored, by `syncer` and `consumer`, {} when nothing
    does; `asks`: what waits for a person's order, while mail is stored."""

    faults: dict[str, str]
    asks: tuple[str, ...] = ()


def told(answers: Iterable[bytes]) -> Told:
    """Pure."""
    heads = [_head(answer) for answer in answers]
    faults = {}
    for process, words in _ABSENT.items():
        ours = [one for one in heads if one.get("process") == process]
        waiting = sorted((one["since"], one["waiting"]) for one in ours if one.get("waiting"))
        if not ours:
            faults[process] = words
        elif waiting:
            faults[process] = f"waits since {waiting[0][0][11:16]} UTC: {waiting[0][1]}"
    return Told(faults, tuple(sorted({one["asks"] for one in heads if one.get("asks")})))


_ABSENT: Final = {
    "syncer": "none answers: nothing new is noticed; start `mozzart up`, or `mozzart syncer`",
    "consumer": "none answers: mail is not stored; start `mozzart up`, or `mozzart consumer`",
}


def _head(answer: bytes) -> Mapping[str, str]:
    try:
        head = json.loads(answer.partition(b"\n")[0])
        return {str(name): str(value) for name, value in head.items()}
    except (ValueError, AttributeError):
        return {}
