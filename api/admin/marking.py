"""Hits of a search, marked. Pure."""

from __future__ import annotations

import re
from html import unescape
from typing import Final

from markupsafe import Markup, escape

from mailcore.store.hits import MOST, Hits
from mailcore.store.query import Place
from mailcore.visible import lines

# A style or a tag, also one that was cut, in HTML as the sanitizer writes it: attributes stand in double quotes.
_MARKUP: Final = re.compile(r'(<(?:style|title)\b.*?(?:</|\Z)|<(?:[^">]|"[^"]*(?:"|\Z))*+(?:>|\Z))', re.S)


def marked(text: str, hits: Hits, place: str = "") -> Markup:
    """What somebody else wrote, as it is shown, with its hits in `<mark>`. `place`: a value of Place."""
    shown = lines(text)
    return _marked(shown, hits.find(shown, Place(place)))


def marked_html(html: str, hits: Hits) -> str:
    """A document that was made safe, with the hits in its text in `<mark>`: no more than hits of one text are."""
    left = MOST
    pieces = _MARKUP.split(html)
    # Texts and markup by turns, a text first.
    for place in range(0, len(pieces), 2):
        text = unescape(pieces[place])
        found = hits.find(text)[:left]
        if found:
            left -= len(found)
            pieces[place] = _marked(text, found)
    return "".join(pieces)


def _marked(text: str, found: list[tuple[int, int]]) -> Markup:
    pieces: list[str] = []
    last = 0
    for begin, end in found:
        pieces += [escape(text[last:begin]), Markup("<mark>{}</mark>").format(text[begin:end])]
        last = end
    return Markup("").join([*pieces, escape(text[last:])])
