"""Words that stand side by side, as both databases have them. Pure."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

_PARTS: Final = re.compile(r'"([^"]*)(?:"|$)|([^\s"]+)')
# Words as SQLite's unicode61 has them: letters, digits, and the accents that it drops.
_WORDS: Final = re.compile(r"(?:[^\W_]|[\u0300-\u036f])+")
# Of what is asked for at once.
MOST: Final = 32


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that stand side by side; with `prefix`, the last one may go on."""

    words: tuple[str, ...]
    prefix: bool = False


def phrase(text: str, *, begins: bool = False) -> Phrase | None:
    """All words of it; None when nothing in it is one."""
    words = tuple(_WORDS.findall(unicodedata.normalize("NFC", text)))
    return Phrase(words, prefix=begins) if words else None


def phrases(typed: str) -> tuple[Phrase, ...]:
    """`words that "stand together" begin*`. At most 32; () when nothing in it is a word."""
    parts = [(quoted, plain) for quoted, plain in _PARTS.findall(unicodedata.normalize("NFC", typed))]
    found = [phrase(quoted or plain, begins=plain.endswith("*")) for quoted, plain in parts]
    return tuple(each for each in found if each is not None)[:MOST]
