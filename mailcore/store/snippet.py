"""A line of a text: its beginning, or where it has what was searched for. Pure."""

from __future__ import annotations

from typing import Final

from mailcore.store.hits import Hits

LOOKED_AT: Final = 2_000
SEARCHED: Final = 20_000
"""Characters of a text that are enough for its beginning, and for what is searched for."""
_LONGEST: Final = 200
_BEFORE: Final = 60


def snippet(text: str, hits: Hits | None = None) -> str:
    """At most 200 characters, blanks joined, without the lines that quote somebody else; what is left out is an
    ellipsis. Where the beginning has no hit, the line is around the first one, also of what is quoted."""
    shown = _beginning(text)
    if hits is None or hits.find(shown):
        return shown
    for words in (_own(text), _joined(text)):
        if found := hits.find(words):
            return _around(words, found[0][0])
    return shown


def _beginning(text: str) -> str:
    # A text that only quotes is better than none.
    words = _own(text[:LOOKED_AT]) or _joined(text[:LOOKED_AT])
    if len(words) <= _LONGEST and len(text) <= LOOKED_AT:
        return words
    return words[: _LONGEST - 1].rstrip() + "…"


def _own(text: str) -> str:
    return _joined(" ".join(line for line in text.splitlines() if not line.lstrip().startswith(">")))


def _joined(text: str) -> str:
    return " ".join(text.split())


def _around(words: str, begin: int) -> str:
    first = max(begin - _BEFORE, 0)
    # From the beginning of a word, where there are blanks between them.
    first = max(words.find(" ", first, begin) + 1, first)
    last = first + _LONGEST - 2
    before, after = "…" if first else "", "…" if last < len(words) else ""
    return before + words[first:last].rstrip() + after
