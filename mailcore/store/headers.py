"""The beginning of a message's headers, which may be long, as the database has them: a JSON array of pairs of strings.
Pure."""

from __future__ import annotations

import json
import re
from typing import Final

_BETWEEN: Final = re.compile(r"[\s,]*+")
_DECODER: Final = json.JSONDecoder()
_LONGEST_ESCAPE: Final = len("\\u1234")


def beginning(text: str) -> list[tuple[str, str]]:
    """The fields whose names are whole; where `text` was cut within a value, that one is cut."""
    found: list[tuple[str, str]] = []
    at = len("[")
    while (between := _BETWEEN.match(text, at)) and text[between.end() : between.end() + 1] not in ("", "]"):
        at = between.end()
        try:
            (name, value), at = _DECODER.raw_decode(text, at)
        except ValueError:
            return found + _cut(text[at:])
        found.append((name, value))
    return found


def _cut(pair: str) -> list[tuple[str, str]]:
    """A pair without its end, which may be within an escape."""
    for end in range(len(pair), max(len(pair) - _LONGEST_ESCAPE, 0), -1):
        try:
            name, value = json.loads(pair[:end] + '"]')
        except ValueError:
            continue
        return [(name, value)]
    return []
