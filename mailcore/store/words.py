"""What a person types into a search field → phrases. Pure, and whatever is typed is a query."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

_PARTS: Final = re.compile(r'"([^"]*)(?:"|$)|([^\s"]+)')
# Words as SQLite's unicode61 has them: letters, digits, and the accents that it drops.
_WORDS: Final = re.compile(r"(?:[^\W_]|[\u0300-\u036f])+")
_MOST: Final = 32


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that stand side by side; with `prefix`, the last one may go on."""

    words: tuple[str, ...]
    prefix: bool = False


def phrases(query: str) -> tuple[Phrase, ...]:
    """`words that "stand together" begin*`: all must be found. At most 32; () when nothing in `query` is a word."""
    found = []
    for quoted, plain in _PARTS.findall(unicodedata.normalize("NFC", query)):
        words = tuple(_WORDS.findall(quoted or plain))
        if words:
            found.append(Phrase(words, prefix=plain.endswith("*")))
    return tuple(found[:_MOST])
