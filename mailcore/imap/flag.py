"""The flags of a message (RFC 9051 §2.3.2): how they are written, and what they are called by people. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

SEEN: Final = "\\Seen"
FLAGGED: Final = "\\Flagged"
ANSWERED: Final = "\\Answered"

_WORDS: Final = {
    FLAGGED: "flagged",
    ANSWERED: "answered",
    "\\Draft": "draft",
    "\\Deleted": "to be deleted",
}
_SYSTEM: Final = {  # RFC 9051 §2.3.2
    name.lower(): name for name in (SEEN, ANSWERED, FLAGGED, "\\Deleted", "\\Draft")
}


def named(flags: Iterable[str]) -> tuple[str, ...]:
    """As rows hold them: system flags as RFC 9051 §2.3.2 writes them, keywords as sent, in one order, each once, as
    upper and lower case are the same. Without \\Recent, which speaks of sessions and not of the
    message, and without what no flag can be (§9, flag)."""
    found: dict[str, str] = {}
    for flag in flags:
        lower = flag.lower()
        if flag and lower != "\\recent" and flag.isprintable() and " " not in flag:
            found.setdefault(lower, _SYSTEM.get(lower, flag))
    return tuple(found[lower] for lower in sorted(found))


def in_words(flags: Iterable[str]) -> tuple[str, ...]:
    """For people: `read` or `unread` first, then what else there is; keywords as sent."""
    names = named(flags)
    rest = sorted((_WORDS.get(name, name) for name in names if name != SEEN), key=str.lower)
    return ("read" if SEEN in names else "unread", *rest)
