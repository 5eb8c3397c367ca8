"""A message's HTML as a document for a sandboxed frame: nothing of it runs, nothing of it is fetched but the message's
own pictures. Who asks for pictures from elsewhere gets those of its elements, not those of its styles. Pure.

Three fences: what is not on the list is taken out here; the answer's content security policy allows no script and no
other request; the frame is sandboxed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import unquote

import nh3

from mailcore.html.complexity import fault
from mailcore.html.plaintext import readable
from mailcore.visible import lines

# Characters, and bytes of the document: a frame that takes minutes to lay out helps nobody; the api has the rest.
LONGEST: Final = 300_000
LONGEST_READ: Final = 200_000  # of what is shown as text
LARGEST: Final = 900_000
TOO_LONG: Final = "To show it would take too long."

_TAGS: Final = (nh3.ALLOWED_TAGS - {"map", "area"}) | {"style", "font", "center", "body", "main", "section"}
_EVERYWHERE: Final = {"style", "align", "valign", "bgcolor", "width", "height", "dir", "lang", "title", "class", "id"}
# What makes CSS fetch something; a picture inside of it is fetched from nowhere.
_CSS_REQUEST: Final = re.compile(
    r"""@import\b[^;]*;?|\b(?:url|src|image|(?:-webkit-)?image-set|(?:-webkit-)?cross-fade)\(\s*(?!["']?data:image/)[^)]*\)?""",
    re.I,
)
_STYLE: Final = re.compile(r"(<style\b[^>]*>)(.*?)(</style>)", re.I | re.S)
_FRAME: Final = """<!doctype html>
<html><head><meta charset="utf-8"><meta name="referrer" content="no-referrer"><title>Message</title>
<style>body{{margin:16px;background:#fff;color:#1a1f29;font:15px/1.55 system-ui,sans-serif;overflow-wrap:anywhere}}\
img{{max-width:100%}}pre{{font:inherit;white-space:pre-wrap}}</style></head>
<body>{body}</body></html>
"""
# Important, as the message's own styles are in the same document.
_NOTICE: Final = (
    '<p style="display:block!important;margin:0 0 16px!important;padding:8px 12px!important;'
    "border-radius:6px!important;background:#f1f3f7!important;color:#454d5c!important;"
    'font:14px/1.5 system-ui,sans-serif!important">{}</p>'
)
_BLOCKED: Final = "not loaded: that would tell the sender who reads this, and when."
_LEFT: Final = "not loaded all the same: its address is no public name, or a style asks for it."
# A name as in the public DNS, and nothing that a browser might take for another one: a mail is not to name a machine
# that only its reader reaches. What a browser takes for an IPv4 address has a last label that begins with a digit.
_ELSEWHERE: Final = re.compile(
    r"(?:https?:)?//(?:[a-z0-9_-]{1,63}\.){1,20}(?!(?:localhost|local|internal|lan|arpa)\b)[a-z][a-z0-9-]{1,62}"
    r"(?::\d{1,5})?(?:[/?#].*)?",
    re.I | re.S | re.A,
)
_ASKS_ELSEWHERE: Final = re.compile(
    r"""<(?:img|body|table|t[dhr])\b[^<>]*?\s(?:src|background)\s*+=\s*+["']?+\s*+(?:https?:)?//""", re.I
)
_CUT: Final = "This is only the beginning: the message is larger than what is shown of one. The api has all of it."


@dataclass(frozen=True, slots=True)
class MailDocument:
    """`blocked`: how many pictures and the like would have been fetched from elsewhere; `cut`: not all of it."""

    html: str
    blocked: int
    cut: bool


def asks_elsewhere(html: str) -> bool:
    """Whether it has pictures that `document` could let be fetched. It may find some where there are none."""
    return _ASKS_ELSEWHERE.search(html, 0, LONGEST) is not None


def document(html: str, pictures: Mapping[str, str], *, elsewhere: bool = False) -> MailDocument:
    """`pictures`: addresses of the message's own parts by their Content-ID. `elsewhere`: pictures may be fetched from
    where the sender says. What is too much to be taken apart becomes text (`as_text`)."""
    blocked = 0
    if why := fault(html[:LONGEST]):
        return as_text(html, f"It has {why}.")

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
            if tag == "img" and scheme.lower() == "cid":
                return pictures.get(rest) or pictures.get(unquote(rest))  # RFC 2392 §2: it may be percent-encoded
            if tag == "img" and value.strip().lower().startswith("data:image/"):
                return value
            if elsewhere and _ELSEWHERE.fullmatch(value.strip()):
                # Without a scheme it would be that of the page.
                return f"https:{value.strip()}" if value.strip().startswith("//") else value.strip()
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
        html[:LONGEST].replace("\0", ""),
        tags=set(_TAGS),
        clean_content_tags={"script", "title", "noscript", "template", "svg", "math", "iframe", "object"},
        attributes=attributes,
        attribute_filter=keep,
        url_schemes={"http", "https", "mailto", "tel", "cid", "data"},
        link_rel="noopener noreferrer",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )
    clean = _STYLE.sub(lambda found: found[1] + without_requests(found[2]) + found[3], clean)
    return _framed(clean, blocked, cut=len(html) > LONGEST, reason=_LEFT if elsewhere else _BLOCKED)


def as_text(html: str, why: str) -> MailDocument:
    """What can be read of it, and why there is no more; `why` is a sentence."""
    text = escape(lines(readable(html[:LONGEST_READ])), quote=False)
    made = _framed(f"<pre>{text}</pre>", 0, cut=len(html) > LONGEST_READ, notice=f"Shown as text, not as HTML. {why}")
    return MailDocument(made.html, 0, True)


def _framed(body: str, blocked: int, *, cut: bool, notice: str = "", reason: str = _BLOCKED) -> MailDocument:
    shown = body.encode()
    if len(shown) > LARGEST:
        body, cut = shown[:LARGEST].decode(errors="ignore"), True
    were = f"{blocked:,} pictures from elsewhere were" if blocked > 1 else "1 picture from elsewhere was"
    told = [notice, f"{were} {reason}" if blocked else "", _CUT if cut else ""]
    notices = "".join(_NOTICE.format(words) for words in told if words)
    return MailDocument(_FRAME.format(body=notices + body), blocked, cut)
