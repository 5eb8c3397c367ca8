"""What can be read of HTML, as text. Pure, in time linear to its length."""

from __future__ import annotations

import re
from html import unescape
from typing import Final

_BLANKS: Final = re.compile(r"\s+")
_UNREAD: Final = re.compile(r"<(head|script|style|title)\b.*?(?:</\1\b[^<>]*>|\Z)", re.I)
# What begins a new line; all others stand in the same one as their neighbours.
_LINE: Final = re.compile(
    r"</?(?:address|article|blockquote|br|center|d[dlt]|div|footer|form|h[1-6r]|header|li|[ou]l|p|pre|section|table|tr)"
    r"\b[^<>]*>",
    re.I,
)
_CELL: Final = re.compile(r"<t[dh]\b[^<>]*>", re.I)
_TAG: Final = re.compile(r"<[a-zA-Z/!?][^<>]*(?:>|\Z)")  # the last one may have been cut
_EMPTY_LINES: Final = re.compile(r"\n{3,}")


def readable(html: str) -> str:
    """Its words in lines."""
    text = _UNREAD.sub(" ", _BLANKS.sub(" ", html))
    for tag, instead in ((_LINE, "\n"), (_CELL, " "), (_TAG, "")):
        text = tag.sub(instead, text)
    lines = "\n".join(line.strip() for line in unescape(text).split("\n"))
    return _EMPTY_LINES.sub("\n\n", lines).strip()
