"""The words of an HTML text, to be searched; nobody reads them. Pure, in time linear to what is looked at."""

from __future__ import annotations

import re
from html import unescape
from typing import Final

_LOOKED_AT: Final = 1_000_000  # characters
_KEPT: Final = 100_000
_TAG: Final = re.compile(r"(<[a-zA-Z/!?][^<>]*>)")
_NAME: Final = re.compile(r"</?([a-zA-Z0-9]+)")
_UNREAD: Final = frozenset({"script", "style", "title"})
# They may stand within a word.
_INLINE: Final = frozenset({"a", "b", "em", "font", "i", "mark", "small", "span", "strong", "u", "wbr"})


def words_of(html: str) -> str:
    """What a reader would see, in one line of at most 100,000 characters."""
    out: list[str] = []
    unread = ""
    # Texts and tags by turns, a text first.
    for number, piece in enumerate(_TAG.split(html[:_LOOKED_AT])):
        if number % 2 == 0:
            if not unread:
                out.append(unescape(piece))
            continue
        found = _NAME.match(piece)
        name = found[1].lower() if found else ""
        if unread:
            unread = "" if name == unread and piece.startswith("</") else unread
        elif name in _UNREAD and not piece.startswith("</"):
            unread = name
        if name not in _INLINE:
            out.append(" ")
    return " ".join("".join(out).split())[:_KEPT]
