"""Address lists (RFC 5322 §3.4), as tolerant as people need. Never raises; linear."""

from __future__ import annotations

import re
from typing import Final

from mailcore.mime.defects import Defects
from mailcore.mime.encodedword import decode_words

# Nearly all there is: one address, with or without a display name.
_SIMPLE: Final = re.compile(r'\s*+(?:"([^"\\]*+)"\s*+|([^"\\<>,;:()@]*+))<\s*+([^\s<>,;:()"\\]++)\s*+>\s*+')
_BARE: Final = re.compile(r'\s*+([^\s<>,;:()"\\@]++@[^\s<>,;:()"\\@]++)\s*+')
# An encoded word is one token, whatever stands in it: a comma in a name that is sent raw delimits nothing.
_TOKEN: Final = re.compile(
    r'"(?:[^"\\]++|\\.)*+"?|=\?[^?\s]{1,64}\?[bBqQ]\?(?:[^?]|\?(?!=)){0,500}+\?=|\\.|[<>(),;:]'
    r'|(?:[^"\\<>(),;:=]|=(?!\?))++|[\\=]',
    re.DOTALL,
)
_BEFORE_DOT: Final = re.compile(r"(?<!\s)\s++([.@])\s*+")
_QUOTED: Final = re.compile(r'"((?:[^"\\]++|\\.)*+)"?', re.DOTALL)
_QUOTED_LOCAL: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"@\S++')
_SPECIAL: Final = re.compile(r'[()<>\[\]:;@\\,"]')
_TO_ESCAPE: Final = re.compile(r'[\\"]')
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


def parse_addresses(value: str, defects: Defects) -> list[tuple[str, str]]:
    """[(display name, address)], groups dissolved, names decoded. An entry without `@` is kept as it stands when it is
    all there is to the entry, and taken for the beginning of the next one's name (`Miller, Ann <ann@example.org>`)
    when there is one. Defect: `bad-address`."""
    out: list[tuple[str, str]] = []
    position, length = 0, len(value)
    while position < length:
        if defects.addresses <= 0:
            defects.add("too-many-addresses")
            return out
        defects.addresses -= 1
        found = _SIMPLE.match(value, position)
        if found is not None and (found.end() == length or value[found.end()] == ","):
            out.append((_name(found[1] if found[1] is not None else found[2], defects), found[3]))
        else:
            found = _BARE.match(value, position)
            if found is None or "=?" in found[1] or (found.end() < length and value[found.end()] != ","):
                break
            out.append(("", found[1]))
        position = found.end() + 1
    if position < length:
        rest = value[position : position + defects.odd_address_characters]
        defects.odd_address_characters -= len(rest)
        if len(rest) < length - position:
            defects.add("too-many-addresses")
        out += _slow(rest, defects)
    return out


def address_text(name: str, address: str) -> str:
    """`Anna <anna@example.org>` as RFC 5322 §3.4 writes it, decoded; what would end a name stands in quotes."""
    if _SPECIAL.search(name):
        name = '"' + _TO_ESCAPE.sub(r"\\\g<0>", name) + '"'
    return f"{name} <{address}>" if name else address


def _slow(value: str, defects: Defects) -> list[tuple[str, str]]:
    """The rest of the grammar: comments, groups, routes, and what breaks it."""
    out: list[tuple[str, str]] = []
    phrase: list[str] = []
    comment: list[str] = []
    bare: list[tuple[str, str]] = []  # (words, comment) without an address before a comma: perhaps half a name
    address: list[str] | None = None
    in_angle = False
    named = 0  # how much of the phrase stood before the address
    depth = 0

    def leave_bare() -> None:
        for words, said in bare:
            out.extend(_without_angle(words, said, defects))
        bare.clear()

    def finish() -> None:
        nonlocal address, in_angle
        words = "".join(phrase)
        if address is not None:
            if bare:
                defects.add("bad-address")
                words = ", ".join([half for half, _ in bare] + [words.strip()] * bool(words.strip()))
                bare.clear()
            found = _unquoted("".join([token if token[0] == '"' else "".join(token.split()) for token in address]))
            name = _name(words, defects) or _name("".join(comment), defects)
            if found or name:
                out.append((name, found))
        elif words.strip() and "@" not in decode_words(words, defects):
            bare.append((words.strip(), "".join(comment)))
        elif words.strip():
            leave_bare()
            out.extend(_without_angle(words, "".join(comment), defects))
        phrase.clear()
        comment.clear()
        address, in_angle = None, False

    for found in _TOKEN.finditer(value):
        token = found.group()
        if depth:
            depth += (token == "(") - (token == ")")
            if depth:
                comment.append(token)
        elif token == "(":
            depth = 1
        elif token == "<":
            if address is not None:
                defects.add("bad-address")
                if not in_angle:  # a comma is missing
                    following = phrase[named:]
                    del phrase[named:]
                    finish()
                    phrase += following
            address, in_angle = [], True
            named = len(phrase)
        elif token == ">":
            in_angle = False
        elif in_angle and token == ":" and address and _in_route(address):
            address.clear()
        elif in_angle and token != "," and token != ";":
            if address is not None:
                address.append(token)
        elif in_angle and token == "," and address is not None and _in_route(address):
            continue
        elif token == ",":
            finish()
        elif token == ";":
            finish()
            leave_bare()
        elif token == ":" and "@" not in "".join(phrase[-3:]):
            phrase.clear()  # the name of a group
            comment.clear()
            leave_bare()
        else:
            phrase.append(token)
    finish()
    leave_bare()
    return out


def _unquoted(address: str) -> str:
    """Quotes belong to an address around its local part alone (RFC 5322 §3.2.4)."""
    whole = _QUOTED.fullmatch(address)
    return _ESCAPED.sub(r"\1", whole[1]) if whole is not None and "@" in whole[1] else address


def _in_route(address: list[str]) -> bool:
    """Domains before a colon may stand in front of the address, with commas between them: obs-route (RFC 5322 §4.4)."""
    return not address or not address[0].strip() or address[0].lstrip().startswith("@")


def _without_angle(words: str, comment: str, defects: Defects) -> list[tuple[str, str]]:
    decoded = _BEFORE_DOT.sub(r"\1", decode_words(words, defects)).strip()  # obs-domain (RFC 5322 §4.4)
    if "=?" in words and "@" in decoded and "<" in decoded:  # a whole address inside an encoded word
        name, _, rest = decoded.rpartition("<")
        return [(_name(name, defects), rest.partition(">")[0].strip())]
    if _QUOTED_LOCAL.fullmatch(decoded):
        return [(_name(comment, defects), decoded)]
    tokens = decoded.split()
    with_at = [token for token in tokens if "@" in token]
    if len(tokens) > 1 and len(with_at) == 1:
        defects.add("bad-address")
        return [(_name(" ".join(token for token in tokens if "@" not in token), defects), with_at[0])]
    if len(with_at) > 1 and len(with_at) == len(tokens):  # the commas are missing
        defects.add("bad-address")
        return [("", token) for token in tokens]
    if "@" in decoded:
        return [(_name(comment, defects), "".join(tokens))]
    defects.add("bad-address")
    return [(_name(comment, defects), decoded)]


def _name(text: str, defects: Defects) -> str:
    text = text.strip()
    if '"' in text:
        text = _QUOTED.sub(lambda quoted: _ESCAPED.sub(r"\1", quoted[1]), text)
    return " ".join(decode_words(text, defects).split())
