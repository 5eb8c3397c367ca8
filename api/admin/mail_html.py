"""A message's HTML as a document for a sandboxed frame: nothing of it runs, nothing of it is fetched. Pure.

Three fences: what is not on the list is taken out here; the answer's content security policy allows no script and no
request, those of style sheets included; the frame is sandboxed.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Final

import nh3

# A frame that takes minutes to lay out helps nobody; the rest is in the text and in the database.
LONGEST: Final = 2_000_000

_TAGS: Final = (nh3.ALLOWED_TAGS - {"map", "area"}) | {"style", "font", "center", "body", "main", "section"}
_EVERYWHERE: Final = {"style", "align", "valign", "bgcolor", "width", "height", "dir", "lang", "title", "class", "id"}
_FRAME: Final = """<!doctype html>
<html><head><meta charset="utf-8"><meta name="referrer" content="no-referrer"><title>Message</title>
<style>body{{margin:16px;background:#fff;color:#1a1f29;font:15px/1.55 system-ui,sans-serif;overflow-wrap:anywhere}}\
img{{max-width:100%}}</style></head>
<body>{body}</body></html>
"""


@dataclass(frozen=True, slots=True)
class MailDocument:
    """`blocked`: how many pictures and the like would have been fetched from elsewhere; `cut`: not all of it."""

    html: str
    blocked: int
    cut: bool


def document(html: str, pictures: Mapping[str, str]) -> MailDocument:
    """`pictures`: data URLs of the message's own parts by their Content-ID."""
    blocked = 0

    def keep(tag: str, name: str, value: str) -> str | None:
        nonlocal blocked
        if name in ("src", "background"):
            scheme, _, rest = value.strip().partition(":")
            if tag == "img" and scheme.lower() == "cid" and rest in pictures:
                return pictures[rest]
            if tag == "img" and value.strip().lower().startswith("data:image/"):
                return value
            blocked += not value.lower().startswith(("cid:", "data:"))
            return None
        if name == "href" and value.strip().lower().startswith(("cid:", "data:")):
            return None
        return value

    attributes = deepcopy(nh3.ALLOWED_ATTRIBUTES)
    for allowed in attributes.values():
        allowed.discard("srcset")
    attributes["*"] = set(_EVERYWHERE)
    attributes["img"] = {"src", "alt", "border"}
    attributes["font"] = {"color", "face", "size"}
    for tag in ("table", "td", "th", "tr", "body"):
        attributes.setdefault(tag, set()).update({"background", "border", "cellpadding", "cellspacing"})
    clean = nh3.clean(
        html[:LONGEST],
        tags=set(_TAGS),
        clean_content_tags={"script", "title", "noscript", "template", "svg", "math", "iframe", "object"},
        attributes=attributes,
        attribute_filter=keep,
        url_schemes={"http", "https", "mailto", "tel", "cid", "data"},
        link_rel="noopener noreferrer",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )
    return MailDocument(_FRAME.format(body=clean), blocked, len(html) > LONGEST)
