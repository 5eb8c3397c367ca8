"""As much of what a sender wrote as a page holds. Sizes are bytes of the page, in which it is escaped. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from markupsafe import escape

from mailcore.log import one_line

LONGEST_FIELD: Final = 10_000  # characters of one header field


def beginning(text: str, most: int) -> str:
    """The beginning of the text that takes `most` bytes at most when it is shown."""
    shown = text[:most]
    while (size := _size(shown)) > most:
        shown = shown[: len(shown) * most // size]
    return shown


def fields(headers: Iterable[tuple[str, str]], most: int) -> list[tuple[str, str]]:
    """The first header fields, each of bounded length, that take `most` bytes at most together."""
    found = []
    for name, value in headers:
        field = beginning(name, LONGEST_FIELD), beginning(value, LONGEST_FIELD)
        most -= _size(field[0]) + _size(field[1]) + len("<tr><td></td><td></td></tr>")
        if most < 0:
            break
        found.append(field)
    return found


def listed(parts: Iterable[str], most: int) -> str:
    """`a, b, c`, or `a, b and 3 more` where that is longer than `most` bytes."""
    every = list(parts)
    shown: list[str] = []
    for part in every:
        most -= _size(part) + len(", ")
        if most < 0 and shown:
            break
        shown.append(beginning(part, max(most, 1_000)))
    more = len(every) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


def _size(text: str) -> int:
    return len(escape(one_line(text)).encode(errors="replace"))
