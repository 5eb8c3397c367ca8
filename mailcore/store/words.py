"""Words that stand side by side, as both databases have them. Pure."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

_PARTS: Final = re.compile(r'"([^"]*)(?:"|$)|([^\s"]+)')
# Words as SQLite's unicode61 has them: letters, digits, and the accents that it drops; and the vowel signs of scripts
# without blanks between words.
_WORDS: Final = re.compile(
    r"(?:[^\W_]|[\u0300-\u036f\u0e31-\u0e3a\u0e47-\u0e4e\u0eb1-\u0ebc\u0ec8-\u0ece\u102b-\u103e\u1056-\u108f\u17b4-\u17dd])+"
)
# Of what is asked for at once.
MOST: Final = 32


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that stand side by side; with `prefix`, the last one may go on; with `inside`, a single one may be within a
    longer one."""

    words: tuple[str, ...]
    prefix: bool = False
    inside: bool = False


def phrase(text: str, *, begins: bool = False, inside: bool = False) -> Phrase | None:
    """All words of it; None when nothing in it is one."""
    words = tuple(_WORDS.findall(unicodedata.normalize("NFC", text)))
    return Phrase(words, prefix=begins, inside=inside) if words else None


def phrases(typed: str) -> tuple[Phrase, ...]:
    """`words that "stand together" begin*`. At most 32; () when nothing in it is a word."""
    parts = [(quoted, plain) for quoted, plain in _PARTS.findall(unicodedata.normalize("NFC", typed))]
    found = [unquoted(plain) if plain else phrase(quoted) for quoted, plain in parts]
    return tuple(each for each in found if each is not None)[:MOST]


def unquoted(typed: str) -> Phrase | None:
    """`word` is found within longer ones, too, and `begin*` where one begins."""
    begins = typed.endswith("*")
    return phrase(typed, begins=begins, inside=not begins)
