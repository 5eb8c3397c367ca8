"""Hits of a search, marked. Pure."""

from __future__ import annotations

import re
from html import unescape
from typing import Final

from markupsafe import Markup, escape

from mailcore.store.hits import LOOKED_AT, MOST, Hits
from mailcore.store.query import Place
from mailcore.visible import lines

# A style or a tag, also one that was cut, in HTML as the sanitizer writes it: attributes stand in double quotes.
_MARKUP: Final = re.compile(r'(<(?:style|title)\b.*?(?:</|\Z)|<(?:[^">]|"[^"]*(?:"|\Z))*+(?:>|\Z))', re.S)
# As the sanitizer writes them.
_LONGEST_REFERENCE: Final = len("&#xe0001;")


def marked(text: str, hits: Hits, place: str = "") -> Markup:
    """What somebody else wrote, as it is shown, with its hits in `<mark>`. `place`: a value of Place."""
    shown = lines(text)
    return _marked(shown, hits.find(shown, Place(place)))


def marked_html(html: str, hits: Hits) -> str:
    """A document that was made safe, with the hits in its text in `<mark>`: no more than hits of one text are."""
    if not hits:
        return html
    left = MOST
    pieces = _MARKUP.split(html)
    # Texts and markup by turns, a text first.
    for place in range(0, len(pieces), 2):
        end = _looked_at(pieces[place])
        text = unescape(pieces[place][:end])
        found = hits.find(text)[:left]
        if found:
            left -= len(found)
            pieces[place] = str(_marked(text, found)) + pieces[place][end:]
    return "".join(pieces)


def _looked_at(text: str) -> int:
    """Where the beginning of HTML without tags ends in which hits are looked for: within no character reference."""
    if len(text) <= LOOKED_AT:
        return len(text)
    reference = text.rfind("&", LOOKED_AT - _LONGEST_REFERENCE, LOOKED_AT)
    return LOOKED_AT if reference < 0 else reference


def _marked(text: str, found: list[tuple[int, int]]) -> Markup:
    pieces: list[str] = []
    last = 0
    for begin, end in found:
        pieces += [escape(text[last:begin]), Markup("<mark>{}</mark>").format(text[begin:end])]
        last = end
    return Markup("").join([*pieces, escape(text[last:])])
