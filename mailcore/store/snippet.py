"""The beginning of a text in one line. Pure."""

from __future__ import annotations

from typing import Final

LOOKED_AT: Final = 2_000
"""Characters of a text that are enough."""
_LONGEST: Final = 200


def snippet(text: str) -> str:
    """At most 200 characters, blanks joined, without the lines that quote somebody else; what is left out at the end is
    an ellipsis."""
    lines = text[:LOOKED_AT].splitlines()
    own = [line for line in lines if not line.lstrip().startswith(">")]
    # A text that only quotes is better than none.
    words = " ".join(" ".join(own or lines).split()) or " ".join(text[:LOOKED_AT].split())
    if len(words) <= _LONGEST and len(text) <= LOOKED_AT:
        return words
    return words[: _LONGEST - 1].rstrip() + "…"
