"""A message's HTML as a document for a sandboxed frame: nothing of it runs, nothing of it is fetched. Pure.

Three fences: what is not on the list is taken out here; the answer's content security policy allows no script and no
request; the frame is sandboxed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Final

import nh3

# A frame that takes minutes to lay out helps nobody; the rest is in the text and in the database.
LONGEST: Final = 2_000_000

_TAGS: Final = (nh3.ALLOWED_TAGS - {"map", "area"}) | {"style", "font", "center", "body", "main", "section"}
_EVERYWHERE: Final = {"style", "align", "valign", "bgcolor", "width", "height", "dir", "lang", "title", "class", "id"}
# What makes CSS fetch something; a picture inside of it is fetched from nowhere.
_CSS_REQUEST: Final = re.compile(
    r"""@import\b[^;]*;?|\b(?:url|src|image|(?:-webkit-)?image-set|(?:-webkit-)?cross-fade)\(\s*(?!["']?data:image/)[^)]*\)?""",
    re.I,
)
_STYLE: Final = re.compile(r"(<style\b[^>]*>)(.*?)(</style>)", re.I | re.S)
_TAG: Final = re.compile(r"<(/?)([a-z][a-z0-9]*)", re.I)
_ENDS_ALONE: Final = frozenset("area base br col dd dt hr img input li link meta option p source td th tr wbr".split())
_DEEPEST: Final = 5_000
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


def _is_deep(html: str) -> bool:
    """Whether it nests so deep that only a trap does; the sanitizer's time grows with the square of the depth."""
    depth = 0
    for found in _TAG.finditer(html):
        if found[2].lower() not in _ENDS_ALONE:
            depth = max(0, depth - 1) if found[1] else depth + 1
            if depth > _DEEPEST:
                return True
    return False


def document(html: str, pictures: Mapping[str, str]) -> MailDocument:
    """`pictures`: data URLs of the message's own parts by their Content-ID."""
    blocked = 0

    def without_requests(css: str) -> str:
        nonlocal blocked
        # An escape may spell `url(`, and `<` could be an element to whoever parses it otherwise; no style needs them.
        quiet, found = _CSS_REQUEST.subn("none", css.replace("\\", "").replace("<", ""))
        blocked += found
        return quiet

    def keep(tag: str, name: str, value: str) -> str | None:
        nonlocal blocked
        if name == "style":
            return without_requests(value)
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

    if _is_deep(html[:LONGEST]):
        return MailDocument(_FRAME.format(body="<p>This HTML is nested too deep to be shown.</p>"), 0, True)
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
    clean = _STYLE.sub(lambda found: found[1] + without_requests(found[2]) + found[3], clean)
    return MailDocument(_FRAME.format(body=clean), blocked, len(html) > LONGEST)
