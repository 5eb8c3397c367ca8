"""format=flowed (RFC 3676): the paragraphs that a mailer broke into lines, joined again. Pure; linear."""

from __future__ import annotations

import re
from typing import Final

_STUFFED: Final = re.compile(r"^ ", re.MULTILINE)
_QUOTES: Final = re.compile(r">*")
_SIGNATURE: Final = "-- "


def joined(text: str, *, delsp: bool) -> str:
    """A line that ends in a blank goes on in the next one of the same depth of quotation (§4.1, §4.5); with `delsp`
    that blank is not part of the text. What was put before a line (§4.4) goes; quoted lines begin with `> `."""
    if " \n" not in text and " \r\n" not in text:
        return _STUFFED.sub("", text) if "\n " in text or text.startswith(" ") else text
    out: list[str] = []
    depth, flows = 0, False  # of the line before
    for whole in text.split("\n"):
        line = whole.removesuffix("\r")
        quotes = _QUOTES.match(line)
        level = quotes.end() if quotes is not None else 0
        line = line[level:].removeprefix(" ")
        signature = line == _SIGNATURE  # §4.3: neither flows nor takes up what flows
        if flows and level == depth and not signature:
            out[-1] = out[-1].removesuffix("\r")
            if delsp:
                out[-1] = out[-1][:-1]
            out.append(line)
        else:
            if out:
                out.append("\n")
            out.append(">" * level + " " * (level > 0) + line)
        depth, flows = level, line.endswith(" ") and not signature
        if whole.endswith("\r"):
            out[-1] += "\r"
    return "".join(out)
