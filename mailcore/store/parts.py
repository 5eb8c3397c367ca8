"""Parts of words, for indexes that know whole words alone. Pure.

A part is four letters of a word, from each of its places on (fewer at its end), behind a mark that no text has. So what
is typed is found in the middle of a word, too: up to four letters begin one of its parts, more of them are several. No
search merges what begins alike: three letters and the mark are the beginnings that SQLite's index has. Parts cost, in
the index and in time; so there are those of

- all words of the short fields (subject, people, names of files),
- long words at the beginning of the text, which are compounds as a rule,
- what is written without blanks between words (Chinese, Japanese, Thai …), wherever it is found.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from mailcore.store.words import Phrase

LETTERS: Final = 4
SHORTEST: Final = 3
"""Letters that are looked for within words; where there are no blanks between words one is enough."""

_MARK: Final = "ˑ"
# Thai, Lao, Burmese, Khmer, Chinese, Japanese, and Korean, whose words carry their endings.
_UNSPACED: Final = (
    "[\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ebd\u0ec0-\u0ece\u0edc-\u0edf\u1000-\u103f\u1050-\u108f\u109a-\u109d"
    "\u1100-\u11ff\u1780-\u17b3\u17b6-\u17d3\u17d7\u17dc\u17dd\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3041-\u3096"
    "\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f\u3131-\u318e\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7fb\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
_HAS_UNSPACED: Final = re.compile(_UNSPACED)
_WORD: Final = re.compile(r"[^\W_]{3,}")
_LONG_WORD: Final = re.compile(r"\b[^\W_]{10,}")
# Words of which some letters are unspaced (looked for from their beginnings alone, which is linear), and what is of one
# kind in them.
_MIXED: Final = re.compile(rf"(?<![^\W_])[^\W_]*{_UNSPACED}[\w{_UNSPACED[1:-1]}]*")
_SEGMENT: Final = re.compile(rf"({_UNSPACED}+)")
# SQLite takes vowel signs for no letters: the scripts that have them are written as rare Chinese characters.
_SIGNED: Final = re.compile("[\u0e00-\u1fff]")
_TO_LETTER: Final = 0x3400 - 0x0E00
_ACCENTS: Final = re.compile("[\u0300-\u036f]+")

# Characters that are looked at.
_FIELD: Final = 2_000
_NAMES: Final = 10_000
_TEXT: Final = 500
LOOKED_AT: Final = 10_000
_LONGEST_WORD: Final = 40
# A tsvector of PostgreSQL holds 1 MB, and the text has most of it (migration 0002).
_MOST_PARTS: Final = 8_000


@dataclass(frozen=True, slots=True)
class Token:
    """As it is in the index; with `prefix`, it may go on."""

    text: str
    prefix: bool = False


def of_message(subject: str, people: Iterable[str], files: Iterable[str], text: str) -> str:
    """A line with the names of the files, as they are, and a line of parts; empty when there is nothing of either."""
    names = " ".join(" ".join(files)[:_NAMES].split())
    fields = " ".join((subject[:_FIELD], " ".join(people)[:_FIELD], names[:_FIELD]))
    parts = " ".join(list(dict.fromkeys(_parts(fields, text)))[:_MOST_PARTS])
    return f"{names}\n{parts}" if names or parts else ""


def tokens(phrase: Phrase) -> tuple[Token, ...]:
    """All of what an index has of a message that has the phrase within its words; () where that cannot be known. What
    stands beside unspaced words is whole words."""
    words = [folded(each) for each in phrase.words]
    if any(map(is_unspaced, words)):
        return tuple(each for word in words for each in (_looked_for(word) if is_unspaced(word) else [Token(word)]))
    if phrase.inside and len(words) == 1 and len(words[0]) >= SHORTEST:
        return tuple(_looked_for(words[0]))
    return ()


def folded(text: str) -> str:
    """Without case and accents, as the databases have it."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", _ACCENTS.sub("", unicodedata.normalize("NFD", text)).lower())


def _parts(fields: str, text: str) -> list[str]:
    """The same one may be in it several times."""
    words = _WORD.findall(folded(fields)) + _LONG_WORD.findall(folded(text[:_TEXT]))
    found = [part for word in words for part in _cut(word[:_LONGEST_WORD], SHORTEST)]
    for each in (fields, text[:LOOKED_AT]):
        if is_unspaced(each):
            foreign = dict.fromkeys(word for word in each.split() if not word.isascii())
            found += [part for word in foreign for segment in _segments(folded(word)) for part in _cut(segment, 1)]
    return found


def _cut(word: str, shortest: int) -> list[str]:
    if not word.isascii():
        word = _written(word)
    return [_MARK + word[place : place + LETTERS] for place in range(len(word) - shortest + 1)]


def _segments(text: str) -> Iterator[str]:
    """Of its words that are unspaced or have unspaced letters in them: what is of one kind."""
    for word in _MIXED.findall(text.replace("_", " ")):
        for segment in _SEGMENT.split(word):
            yield segment if is_unspaced(segment) else segment[:_LONGEST_WORD]


def _looked_for(word: str) -> Iterator[Token]:
    for segment in _segments(word) if is_unspaced(word) else [word]:
        if len(segment) >= LETTERS:
            yield from (Token(part) for part in _cut(segment[:_LONGEST_WORD], LETTERS))
        elif segment:
            # One or two other letters beside unspaced ones are a word.
            begins = len(segment) >= SHORTEST or is_unspaced(segment)
            yield Token(_MARK + _written(segment), prefix=begins)


def is_unspaced(text: str) -> bool:
    """Whether any of it is written without blanks between words."""
    return not text.isascii() and _HAS_UNSPACED.search(text) is not None


def _written(word: str) -> str:
    """So that all of it is letters to SQLite."""
    return _SIGNED.sub(lambda found: chr(ord(found[0]) + _TO_LETTER), word)
