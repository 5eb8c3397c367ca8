"""As much of what a sender wrote as a page holds. Sizes are bytes of the page, in which it is escaped. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from markupsafe import escape

from mailcore.visible import lines

_PIECE: Final = 4_000  # characters that are looked at together, so that no more is looked at than is shown
_LARGEST_CHARACTER: Final = len("\\U000e0001")
LONGEST_FIELD: Final = 10_000  # characters of one header field


def beginning(text: str, most: int) -> str:
    """The beginning of the text that takes `most` bytes at most when it is shown."""
    if len(text) * _LARGEST_CHARACTER <= most:
        return text
    at = 0
    while at < len(text):
        piece = text[at : at + _PIECE]
        while (size := _size(piece)) > most:
            piece = piece[: len(piece) * most // size]
        at += len(piece)
        most -= size
        if len(piece) < _PIECE:
            break
    return text[:at]


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
    return len(escape(lines(text)).encode(errors="replace"))
