"""Sizes and times in the words of the terminal. Pure."""

from __future__ import annotations

from datetime import datetime


def size(count: int) -> str:
    """Bytes in decimal units: 703 B, 35.6 kB, 1.2 GB."""
    if count < 1000:
        return f"{count} B"
    for power, unit in enumerate(("kB", "MB", "GB"), start=1):
        if count < 999_950 * 1000 ** (power - 1):
            return f"{count / 1000**power:.1f} {unit}"
    return f"{count / 1000**4:.1f} TB"


def counted(count: int, noun: str, plural: str = "") -> str:
    """1 message, 2,000 messages."""
    if count == 1 or plural:
        return f"{count:,} {noun if count == 1 else plural}"
    return f"{count:,} {noun}es" if noun.endswith("x") else f"{count:,} {noun}s"


def ago(moment: datetime | None, now: datetime) -> str:
    """How long before `now`: 12 s ago."""
    return "–" if moment is None else f"{span(moment, now)} ago"


def span(begin: datetime, end: datetime) -> str:
    """The time between, in one unit, rounded down: 12 s."""
    seconds = max(0.0, (end - begin).total_seconds())
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{int(seconds)} s"
