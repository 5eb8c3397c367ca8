"""What can be read of HTML, as text. Pure, in time linear to its length."""

from __future__ import annotations

import re
from html import unescape
from typing import Final

_TAG: Final = re.compile(r"(<[a-zA-Z/!?][^<>]*(?:>|\Z))")  # the last one may have been cut
_NAME: Final = re.compile(r"</?([a-zA-Z0-9]+)")
_UNREAD: Final = frozenset({"script", "style", "title"})
# What begins a new line, and what may stand within a word; all others stand between words.
_LINE: Final = frozenset(
    "address article blockquote br center dd div dl dt footer form h1 h2 h3 h4 h5 h6 header hr li ol p pre section "
    "table tr ul".split()
)
_INLINE: Final = frozenset({"a", "b", "em", "font", "i", "mark", "small", "span", "strong", "u", "wbr"})
_NEW_LINE: Final = "\0"  # a line break of the source is none
_EMPTY_LINES: Final = re.compile(r"\n{3,}")


def readable(html: str) -> str:
    """Its words in lines."""
    out: list[str] = []
    unread = ""
    # Texts and tags by turns, a text first.
    for number, piece in enumerate(_TAG.split(html)):
        if number % 2 == 0:
            if piece and not unread:
                out.append(unescape(piece) if "&" in piece else piece)
            continue
        found = _NAME.match(piece)
        name = found[1].lower() if found else ""
        if unread:
            unread = "" if name == unread and piece.startswith("</") else unread
        elif name in _UNREAD and not piece.startswith("</"):
            unread = name
        if name not in _INLINE:
            out.append(_NEW_LINE if name in _LINE else " ")
    lines = "\n".join(" ".join(line.split()) for line in "".join(out).split(_NEW_LINE))
    return _EMPTY_LINES.sub("\n\n", lines).strip()
