"""Where a text has what was searched for. Pure, in time linear to the text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Final

from mailcore.store.page import MessageFilter
from mailcore.store.parts import is_unspaced, tokens
from mailcore.store.query import Place, Term, understand
from mailcore.store.words import Phrase

# Whoever shows them must not pay for more: of a text so many characters are looked at, and so many hits are found.
LOOKED_AT: Final = 100_000
MOST: Final = 1_000
_BEGIN: Final = r"(?<![^\W_])"
_END: Final = r"(?![^\W_])"


class Hits:
    """What a search looks for, in each place."""

    def __init__(self, terms: Iterable[Term]) -> None:
        wanted = [term for term in terms if not term.excluded]
        self._patterns = {
            place: _pattern(term.phrase for term in wanted if term.place in (Place.ANYWHERE, place)) for place in Place
        }

    @classmethod
    def of(cls, wanted: MessageFilter) -> Hits:
        return cls(understand(wanted).terms)

    def __bool__(self) -> bool:
        """Whether anything is looked for."""
        return any(self._patterns.values())

    def find(self, text: str, place: Place = Place.ANYWHERE) -> list[tuple[int, int]]:
        """The first 1,000, by where they begin and end in the text; none overlaps another. What stands nowhere in
        particular is looked for in every place, and what must stand in another place is not."""
        pattern = self._patterns[place]
        if pattern is None:
            return []
        looked_at = text[:LOOKED_AT]
        if looked_at.isascii():
            return [found.span() for found in islice(pattern.finditer(looked_at.lower()), MOST)]
        bare, origin = _bare(looked_at)
        found = (each.span() for each in islice(pattern.finditer(bare), MOST))
        # Accents behind the last letter belong to it.
        return [(origin[begin], origin[end]) for begin, end in found]


def _pattern(phrases: Iterable[Phrase]) -> re.Pattern[str] | None:
    every = {each for phrase in phrases for each in _patterns_of(phrase)}
    # Of what begins at the same place, the longest.
    return re.compile("|".join(sorted(every, key=len, reverse=True))) if every else None


def _patterns_of(phrase: Phrase) -> Iterator[str]:
    words = [re.escape(_bare(word)[0]) for word in phrase.words]
    if not tokens(phrase):
        yield _BEGIN + r"[\W_]+".join(words) + ("" if phrase.prefix else _END)
        return
    for typed, word in zip(phrase.words, words, strict=True):
        is_free = phrase.inside or is_unspaced(typed)
        yield word if is_free else _BEGIN + word + _END


def _bare(text: str) -> tuple[str, list[int]]:
    """Without case, accents and ligatures; where in the text each of its characters and its end stand."""
    pieces, origin = [], []
    for place, character in enumerate(text):
        piece = _letter(character)
        pieces.append(piece)
        origin += [place] * len(piece)
    return "".join(pieces), [*origin, len(text)]


@lru_cache(4_096)
def _letter(character: str) -> str:
    bare = "".join(each for each in unicodedata.normalize("NFKD", character) if not "\u0300" <= each <= "\u036f")
    return bare.lower()
