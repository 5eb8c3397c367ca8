"""What somebody else wrote, as it may be shown: nothing of it pretends. Pure.

`invoice<U+202E>fdp.exe` reads `invoiceexe.pdf`. What cannot be seen, or moves what stands beside it, is shown as Python
writes it (`\\u202e`). Some of it has its use, which its neighbours decide:

- a joiner (U+200D) in emoji (families, professions), behind a virama or an Arabic letter;
- a non-joiner (U+200C) behind a virama, or between Arabic letters (Persian);
- a zero-width space between letters of scripts without blanks (Thai, Lao, Tibetan, Burmese, Khmer);
- a direction mark (U+200E, U+200F, U+061C) beside a letter that is written from right to left; embeddings, overrides
  and isolates never;
- a variation selector behind an emoji, a keycap or a Han character, and those of Mongolian in Mongolian;
- fillers among Hangul jamo; the tags of the flags of England, Scotland and Wales;
- a space of another width by itself between other characters.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

# Classes of characters, as they stand between brackets in Python's and in ECMAScript's regular expressions.
_EMOJI: Final = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u24c2\u25aa-\u27bf\u2934\u2935\u2b05-\u2b55\u3030"
    "\u303d\u3297\u3299\U0001f000-\U0001faff"
)
_ARABIC: Final = (
    "\u0620-\u065f\u066e-\u06d3\u06d5-\u06dc\u06df-\u06ff\u0750-\u077f\u08a0-\u08e1\u08e3-\u08ff\ufb50-\ufdff"
)
_RIGHT_TO_LEFT: Final = "\u05be-\u0605\u0608-\u061b\u061d-\u08ff\ufb1d-\ufdff\ufe70-\ufefc"
_UNSPACED: Final = "\u0e01-\u0fff\u1000-\u109f\u1780-\u17b3\u17b6-\u17ff"
_HAN: Final = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_MONGOLIAN: Final = "\u1800-\u180a\u1810-\u18aa"
# Canonical combining class 9.
_VIRAMA: Final = (
    "\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d3b\u0d3c\u0d4d\u0dca\u0e3a\u0eba\u0f84\u1039\u103a\u1714\u1715"
    "\u1734\u17d2\u1a60\u1b44\u1baa\u1bab\u1bf2\u1bf3\u2d7f\ua806\ua82c\ua8c4\ua953\ua9c0\uaaf6\uabed\U00010a3f"
    "\U00011046\U00011070\U0001107f\U000110b9\U00011133\U00011134\U000111c0\U00011235\U000112ea\U0001134d\U00011442"
    "\U000114c2\U000115bf\U0001163f\U000116b6\U0001172b\U00011839\U0001193d\U0001193e\U000119e0\U00011a34\U00011a47"
    "\U00011a99\U00011c3f\U00011d44\U00011d45\U00011d97"
)
_SPACES: Final = "\u1680\u2000-\u200a\u202f\u205f"
_TAGS: Final = "\U000e0020-\U000e007f"
_FLAGS: Final = "|".join("".join(chr(0xE0000 + ord(one)) for one in name) for name in ("gbeng", "gbsct", "gbwls"))
# Whatever stands beside them: controls, format characters, line and paragraph separators, characters that are none,
# and what is blank though it is called a letter, a mark or a symbol.
_NEVER: Final = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u17b4\u17b5\u2028-\u202e\u2060-\u2064\u2066-\u206f\u2800\u3164\ufdd0-\ufdef"
    "\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001"
)
# In a name, what would begin another line or column.
_APART: Final = "\t\n"
_LONE_SURROGATES: Final = "\ud800-\udfff"

# The first group is what stays; all else has no use where it is found. Scripts take it, too (`api/static/visible.js`).
PATTERN: Final = "|".join(
    (
        f"(\U0001f3f4(?:{_FLAGS})\U000e007f)",
        f"[{_NEVER}{_TAGS}]",
        f"(?<![{_VIRAMA}{_ARABIC}])\u200d(?!(?<=[{_EMOJI}\ufe0f]\u200d)[{_EMOJI}])",
        f"(?<![{_VIRAMA}])\u200c(?!(?<=[{_ARABIC}]\u200c)[{_ARABIC}])",
        f"\u200b(?!(?<=[{_UNSPACED}]\u200b)[{_UNSPACED}])",
        f"(?<![{_RIGHT_TO_LEFT}])[\u061c\u200e\u200f](?![{_RIGHT_TO_LEFT}])",
        f"(?<![{_EMOJI}{_HAN}])[\ufe0e\ufe0f](?!(?<=[0-9#*].)\u20e3)",
        f"(?<![{_EMOJI}{_HAN}])[\ufe00-\ufe0d]",
        f"(?<![{_HAN}])[\U000e0100-\U000e01ef]",
        f"(?<![{_MONGOLIAN}])[\u180b-\u180f]",
        "(?<![\u1100-\u115e])\u1160(?![\u11a8-\u11ff])",
        "\u115f(?![\u1160-\u11a7])",
        f"(?<!\\S)[{_SPACES}]",
        f"[{_SPACES}](?!\\S)",
    )
)
# What any of these begins with: a text in which it is not is looked at quickly.
_BEGINNINGS: Final = (
    f"{_NEVER}{_TAGS}{_SPACES}\U0001f3f4\u061c\u115f\u1160\u180b-\u180f\u200b-\u200f\ufe00-\ufe0f\U000e0100-\U000e01ef"
)


def one_line(text: str) -> str:
    """A name, a subject, an error: as one line, in which nothing pretends."""
    return text if text.isascii() and text.isprintable() else _pattern(_APART).sub(_shown, text)


def lines(text: str) -> str:
    """A text of several lines: line ends and tabs stay what they are."""
    if text.isascii() and text.isprintable():
        return text
    return _pattern("").sub(_shown, text.replace("\r\n", "\n"))


def references(html: str) -> str:
    """HTML whose text is the same, with character references for what pretends."""
    return _pattern("").sub(lambda found: found[1] or _reference(found[0]), html)


@cache  # compiled when it is needed: that takes longer than many a command
def _pattern(also: str) -> re.Pattern[str]:
    return re.compile(f"[{_LONE_SURROGATES}{also}]|(?=[{_BEGINNINGS}])(?:{PATTERN})")


def _shown(found: re.Match[str]) -> str:
    return found[1] or _escape(found[0])


@cache
def _escape(one: str) -> str:
    return one.encode("unicode_escape").decode()


def _reference(one: str) -> str:
    # HTML has none for lone surrogates, and others than these for controls.
    return f"&#x{ord(one):x};" if ord(one) >= 0xA0 and not 0xD800 <= ord(one) < 0xE000 else one
