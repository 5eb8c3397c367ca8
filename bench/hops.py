"""Where the time of one new message goes: each hop from the server's word to our last event."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

# In the order of their coming.
HOPS: Final = (
    "raw EXISTS",
    "EXISTS at the syncer",
    "DONE sent",
    "IDLE has ended",
    "FETCH sent",
    "the message is here",
    "its event is made",
    "`new` at a subscriber",
    "the row is committed",
    "`stored` at a subscriber",
)

_LINE: Final = re.compile(r"(?P<at>\S+) (?P<connection>\d+) (?P<who>C:|S:|--) (?P<said>.*)")
_GIVEN: Final = re.compile(r"\* \d+ FETCH \(.*?UID (\d+)\b.*BODY\[")
_MARKS: Final = (  # newest first
    ("FETCH sent", "C:", re.compile(r"\S+ UID FETCH \d+:\*")),
    ("IDLE has ended", "S:", re.compile(r"\S+ OK Idle", re.IGNORECASE)),
    ("DONE sent", "C:", re.compile(r"DONE")),
    ("EXISTS at the syncer", "S:", re.compile(r"\* \d+ EXISTS")),
)


@dataclass(frozen=True)
class _Line:
    at: float
    connection: str
    who: str
    said: str


def fetched(trace: str) -> dict[int, dict[str, float]]:
    """By UID: when each hop of its fetch was, in seconds since 1970, as far as IMAP_TRACE shows it."""
    lines = [_line(found) for text in trace.splitlines() if (found := _LINE.fullmatch(text))]
    out: dict[int, dict[str, float]] = {}
    for place, line in enumerate(lines):
        if line.who != "S:" or not (given := _GIVEN.match(line.said)) or int(given[1]) in out:
            continue
        times = out[int(given[1])] = {"the message is here": line.at}
        before = (one for one in reversed(lines[:place]) if one.connection == line.connection)
        for hop, who, pattern in _MARKS:
            times |= next(({hop: one.at} for one in before if one.who == who and pattern.match(one.said)), {})
    return out


def _line(found: re.Match[str]) -> _Line:
    return _Line(datetime.fromisoformat(found["at"]).timestamp(), found["connection"], found["who"], found["said"])


def steps(times: Mapping[str, float]) -> dict[str, float]:
    """Milliseconds of each hop from the one before it; {} unless all were seen."""
    if times.keys() < set(HOPS):
        return {}
    return {f"{first} → {then}": (times[then] - times[first]) * 1000 for first, then in pairwise(HOPS)}
