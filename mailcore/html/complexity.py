"""Whether HTML is too much to be taken apart. Pure, in time linear to its length.

The sanitizer builds a tree as browsers do: its time grows with the square of the attributes of a tag and of the depth.
What is costly in other ways, or hidden from this look by an odd spelling, meets the limits of the process
(`mailcore/html/worker.py`).
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Final

ATTRIBUTES: Final = 200  # in one tag
DEEPEST: Final = 400
TAGS: Final = 20_000
REFERENCES: Final = 50_000  # `&…;`

_TOKEN: Final = re.compile(
    r"""<!--(?:-?>|.*?(?:--!?>|\Z))|<(/?)([a-z][^\s/>]*+)((?:[^>"'=]++|=\s*+(?:"[^"]*+"|'[^']*+')?+|["'])*+)>?""",
    re.I | re.S,
)
_ATTRIBUTE: Final = re.compile(r"""[^\s/>=][^\s/>=]*+(?:\s*+=\s*+(?:"[^"]*+"?|'[^']*+'?|[^\s>]++))?""")
_SHORT: Final = 2 * ATTRIBUTES  # there is no room for more than ATTRIBUTES in it
# Those that have no end, and those that the next one of their kind ends.
_NOT_DEEP: Final = frozenset(
    "area base basefont bgsound br col colgroup dd dt embed frame hr img input keygen li link meta option p param rp "
    "rt source tbody td tfoot th thead tr track wbr".split()
)


def fault(html: str) -> str:
    """What it has too much of, in words that follow "it has"; "" when it may be taken apart."""
    if html.count("<") > TAGS:
        return f"more than {TAGS:,} tags"
    if html.count("&") > REFERENCES:
        return f"more than {REFERENCES:,} character references"
    depth = 0
    for found in _TOKEN.finditer(html):
        end, name, attributes = found.groups()
        if name is None:
            continue
        if len(attributes) > _SHORT and next(islice(_ATTRIBUTE.finditer(attributes), ATTRIBUTES, None), None):
            return f"a tag of more than {ATTRIBUTES} attributes"
        if name.lower() not in _NOT_DEEP:
            depth = max(0, depth - 1) if end else depth + 1
            if depth > DEEPEST:
                return f"elements in one another, more than {DEEPEST} deep"
    return ""
