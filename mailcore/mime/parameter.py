"""Values with parameters: Content-Type and Content-Disposition (RFC 2045 §5.1, RFC 2183, RFC 2231).

Never raises; linear.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from mailcore.mime.charset import decode
from mailcore.mime.defects import Defects
from mailcore.mime.encodedword import decode_words

_MAX_LENGTH: Final = 1 << 16

# Most there are: one parameter, of which nothing must be decoded.
_USUAL: Final = re.compile(
    r"""([\w.+-]++(?:/[\w.+-]++)?);\s*+([A-Za-z-]++)=(?:"([^"\\?]*+)"|([^\s;"()\\?]++))""", re.ASCII
)
_MAIN: Final = re.compile(r"[^;,\s]*+")
# A parameter begins at the start of a token; what precedes it need not be a semicolon. Values: quoted (perhaps never
# closed), an unquoted encoded word, or anything up to the next semicolon.
_PARAMETER: Final = re.compile(
    r"""(?<![^\s;"])([^\s;="]++)\s*+=\s*+("(?:[^"\\]++|\\.)*+"?|=\?[^?\s]*+\?[bBqQ]\?[^?]*+\?=[^;]*+|[^;]*+)""",
    re.DOTALL,
)
_QUOTE_END: Final = re.compile(r'"\s*+(?:;|\Z)')
_SPACED_MAIN: Final = re.compile(r"([^\s;,/]++)\s*+/\s*+([^\s;,]++)")
_COMMENT_TOKEN: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|\\.|[();]|[^"\\();]++|\\', re.DOTALL)
# A name that is not quoted may hold blanks and parentheses: `report (1).pdf`.
_UNQUOTED_NAME: Final = re.compile(r"\s*+(?:file)?name[*0-9]*+\s*+=\s*+[^\s\"]", re.IGNORECASE)
# Parameters whose values are tokens: one that is not quoted ends at a blank, and no encoded word is meant.
_TOKENS: Final = frozenset({"boundary", "charset", "format", "delsp", "type", "protocol", "micalg", "report-type"})
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


def parse_parameters(value: str, defects: Defects) -> tuple[str, dict[str, str]]:
    """(main value in lower case, parameters by lower-case name, decoded). The first of two of one name counts; the
    extended form of RFC 2231 counts before the plain one. Defect: `bad-parameter`."""
    usual = _USUAL.fullmatch(value) if len(value) <= _MAX_LENGTH else None
    if usual is not None and defects.parameters > 0:
        defects.parameters -= 1
        main, name, quoted, token = usual.groups()
        return main.lower(), {name.lower(): token if quoted is None else quoted}
    if len(value) > _MAX_LENGTH:
        defects.add("header-too-large")
        value = value[:_MAX_LENGTH]
    if "(" in value:
        value = _without_comments(value)
    value = value.strip()
    main_match = _MAIN.match(value)
    main = main_match.group().lower() if main_match else ""
    if "/" in value and ("/" not in main or main[-1] == "/") and (spaced := _SPACED_MAIN.match(value)) is not None:
        main = f"{spaced[1]}/{spaced[2]}".lower()
    if "=" not in value:
        return main, {}
    plain: dict[str, str] = {}
    pieces: dict[str, dict[int, tuple[bool, str]]] = {}
    for name, text in _pairs(value, defects):
        if "*" not in name:
            plain.setdefault(name, text)
            continue
        base, _, rest = name.partition("*")
        extended = rest.endswith("*") or not rest
        digits = rest.removesuffix("*")
        if not digits:
            number = -1  # `name*=`: complete in itself
        elif digits.isascii() and digits.isdigit() and len(digits) < 7:
            number = int(digits)
        else:
            defects.add("bad-parameter")
            continue
        pieces.setdefault(base, {}).setdefault(number, (extended, text))
    out = {
        name: (decode_words(text, defects) if "=?" in text and name not in _TOKENS else text)
        for name, text in plain.items()
    }
    for name, parts in pieces.items():
        found = _joined(parts, defects, encoded=name not in _TOKENS)
        if found or name not in out:  # an empty one names nothing
            out[name] = found
    return main, out


def _without_comments(value: str) -> str:
    """RFC 822 §3.1.4: comments may stand between any two tokens. One that is never closed is text."""
    out: list[str] = []
    depth = 0
    begin = 0  # of the parameter, in `out`
    for found in _COMMENT_TOKEN.finditer(value):
        token = found.group()
        if depth:
            depth += (token == "(") - (token == ")")
        elif token == "(" and _UNQUOTED_NAME.match("".join(out[begin : begin + 8])) is None:
            depth = 1
            out.append(" ")
        else:
            out.append(token)
            if token == ";":
                begin = len(out)
    return "".join(out) if not depth else value


def _pairs(value: str, defects: Defects) -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    position = 0
    last: re.Match[str] | None = None  # the last place found where a quote ends a value
    hopeless = False  # there is none further on: do not look again
    while (found := _PARAMETER.search(value, position)) is not None:
        if defects.parameters <= 0:
            defects.add("too-many-parameters")
            break
        defects.parameters -= 1
        name, text = found[1].lower(), found[2]
        position = max(found.end(), position + 1)
        if text.startswith('"'):
            if not hopeless and not _ends_well(value, position):
                # A quote inside the quotes that was not escaped: the value ends where a quote meets a semicolon.
                begin = max(position - 1, found.start(2) + 1)
                if last is None or last.start() < begin:
                    last = _QUOTE_END.search(value, begin)
                if last is None:
                    hopeless = True
                elif value.find("=", position, last.start()) < 0:
                    text = value[found.start(2) : last.start() + 1]
                    position = last.start() + 1
            text = text[1:-1] if len(text) > 1 and text.endswith('"') else text[1:]
            if "\\" in text:
                text = _ESCAPED.sub(r"\1", text)
        else:
            text = text.strip()
            if " " in text and name.partition("*")[0] in _TOKENS:
                text = text.split(" ", 1)[0]
                position = found.start(2) + len(text)
        out.append((name, text))
    return out


def _ends_well(value: str, position: int) -> bool:
    return position >= len(value) or value[position] == ";" or value[position].isspace()


def _joined(parts: dict[int, tuple[bool, str]], defects: Defects, *, encoded: bool) -> str:
    """RFC 2231 §3 and §4: pieces in the order of their numbers, joined as bytes, for a character may be split. Holes
    are closed: half a name is better than none."""
    if -1 in parts:
        parts = {-1: parts[-1]}
    ordered = [parts[number] for number in sorted(parts)]
    if not any(extended for extended, _ in ordered):
        whole = "".join(text for _, text in ordered)
        return decode_words(whole, defects) if encoded else whole
    charset = ""
    chunks: list[bytes] = []
    for index, (extended, text) in enumerate(ordered):
        if not extended:
            chunks.append(text.encode("utf-8", "surrogatepass"))
            continue
        if index == 0:
            found = text.split("'", 2)
            if len(found) == 3:
                charset, _, text = found
            else:
                defects.add("bad-parameter")
        chunks.append(unquote_to_bytes(text.encode("utf-8", "surrogatepass")))
    whole = decode(b"".join(chunks), charset, defects)
    return decode_words(whole, defects) if encoded else whole


def first_token(text: str) -> str:
    """A parameter value that is a token: what follows (a comment, rubbish) is cut off."""
    parts = text.split(None, 1)
    return parts[0].strip("\"'") if parts else ""
