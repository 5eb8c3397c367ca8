"""Units → typed responses (RFC 9051 §7, §9). Pure; raises nothing but ProtocolError, and linear in the unit.

What we have no use for becomes Other; only what we rely on is checked, and what fails becomes Unreadable: it costs what
it speaks of, not the connection. A line that is no response at all is a ProtocolError. Both name the response, never
its content: that may be somebody's mail.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Final

from mailcore.errors import ProtocolError
from mailcore.imap import name as mailbox_name
from mailcore.imap.fetch import parse_fetch, parse_usual, unescape
from mailcore.imap.framing import Literal, Unit
from mailcore.imap.response import (
    Capability,
    Condition,
    Continuation,
    Enabled,
    ESearch,
    Exists,
    Expunge,
    ListItem,
    Other,
    Response,
    Search,
    StatusItem,
    Tagged,
    Unreadable,
    Vanished,
)
from mailcore.imap.sequence import MAX_UID, UidSet

_NUMBERED: Final = re.compile(rb"\* +(\d{1,10}) +([A-Za-z]+)(?: |\Z)")
_NAMED: Final = re.compile(rb"\* +([A-Za-z][A-Za-z0-9.\-]*)(?: +|\Z)")
_TAGGED: Final = re.compile(rb"([^\x00-\x20(){%*\"\\+\x7f-\xff]{1,64}) +(OK|NO|BAD)(?: +|\Z)", re.IGNORECASE)
_CODE: Final = re.compile(
    rb"\[([^\] ]+)(?: ((?:\"[^\"\\]*(?:\\.[^\"\\]*)*\"|[^\]\"])*))?\] ?", re.DOTALL
)  # resp-text-code
_CONDITIONS: Final = frozenset((b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH"))
_OBJECTID: Final = re.compile(rb"(?i:\bMAILBOXID) *\(([A-Za-z0-9_-]{1,255})\)")  # RFC 8474 §7
_LIST: Final = re.compile(rb" *\(([^()]*)\) +(?:NIL|\"(\\?.)\") +", re.IGNORECASE | re.DOTALL)
_QUOTED: Final = re.compile(rb"\"([^\"\\]*(?:\\.[^\"\\]*)*)\"", re.DOTALL)
_ATOM: Final = re.compile(rb"[^\x00-\x20()\"]+")
_TAG: Final = re.compile(rb" *\(TAG +\"?([^\" )]*)\"?\)", re.IGNORECASE)
_ESEARCH_PAIR: Final = re.compile(rb" *([A-Za-z][A-Za-z0-9.\-/]*) +([0-9:,]+)(?= |\Z)")
_ESEARCH_UID: Final = re.compile(rb" *UID(?= |\Z)", re.IGNORECASE)
_MODSEQ: Final = re.compile(rb" *\(MODSEQ +(\d{1,20})\) *\Z", re.IGNORECASE)
_EARLIER: Final = re.compile(rb" *\(EARLIER\) *", re.IGNORECASE)


def parse(unit: Unit) -> Response:
    """One unit of the Framer as a typed response."""
    head = unit[0]
    assert isinstance(head, bytes)
    if head.startswith(b"*"):
        return parse_usual(head, unit) or _untagged_or_unreadable(head, unit)
    if head.startswith(b"+"):
        return Continuation(_text(head[1:].lstrip(b" ")))
    tagged = _TAGGED.match(head)
    if tagged:
        code, argument, text = _response_text(head[tagged.end() :])
        return Tagged(tagged[1].decode("ascii"), tagged[2].upper().decode("ascii"), code, argument, text)
    if not head and len(unit) == 1:
        return Other("", b"")  # some servers send an empty line now and then
    raise ProtocolError("the server sent a line that is neither tagged nor untagged nor a continuation")


def _untagged_or_unreadable(head: bytes, unit: Unit) -> Response:
    try:
        return _untagged(head, unit)
    except ProtocolError as error:
        numbered = _NUMBERED.match(head)
        named = _NAMED.match(head)
        name = numbered[2] if numbered else named[1] if named else b""
        return Unreadable(name.upper().decode("ascii"), str(error))


def _untagged(head: bytes, unit: Unit) -> Response:
    numbered = _NUMBERED.match(head)
    if numbered:
        number, kind = int(numbered[1]), numbered[2].upper()
        if kind == b"FETCH":
            return parse_fetch(number, unit, numbered.end())
        if number > MAX_UID:
            raise ProtocolError(f"the server sent a number out of range in {kind.decode('ascii')}")
        if kind == b"EXISTS":
            return Exists(number)
        if kind == b"EXPUNGE":
            return Expunge(number)
        return Other(kind.decode("ascii"), head)
    named = _NAMED.match(head)
    if not named:
        return Other("", head)
    kind = named[1].upper()
    if kind in _CONDITIONS:
        return Condition(kind.decode("ascii"), *_response_text(head[named.end() :]))
    make = _MAKERS.get(kind)
    return make(unit, named.end()) if make else Other(kind.decode("ascii"), head)


def _response_text(raw: bytes) -> tuple[str, str, str]:
    """(code, argument, text) of resp-text, RFC 9051 §7.1."""
    code = _CODE.match(raw)
    if not code:
        return "", "", _text(raw)
    return _text(code[1]).upper(), _text(code[2] or b""), _text(raw[code.end() :])


def names(raw: str) -> frozenset[str]:
    """A list of capability names, upper case."""
    return frozenset(raw.upper().split())


def _capability(unit: Unit, start: int) -> Capability:
    return Capability(names(_text(_only(unit, "CAPABILITY")[start:])))


def _enabled(unit: Unit, start: int) -> Enabled:
    return Enabled(names(_text(_only(unit, "ENABLED")[start:])))


def _search(unit: Unit, start: int) -> Search:
    line = _only(unit, "SEARCH")
    modseq = _MODSEQ.search(line, max(start, len(line) - 64)) if line.endswith(b")") else None
    numbers: list[int] = []
    for word in line[start : modseq.start() if modseq else len(line)].split():
        if len(word) > 20 or not word.isdigit():
            raise ProtocolError("the server sent a SEARCH result that is no number")
        if 0 < (number := int(word)) <= MAX_UID:  # some servers list 0, which nothing can have (nz-number, RFC 9051 §9)
            numbers.append(number)
    return Search(tuple(numbers), int(modseq[1]) if modseq else None)


def _esearch(unit: Unit, start: int) -> ESearch:
    line = _only(unit, "ESEARCH")
    tag = _TAG.match(line, start)
    position = tag.end() if tag else start
    by_uid = _ESEARCH_UID.match(line, position)
    position = by_uid.end() if by_uid else position
    found: dict[bytes, bytes] = {}
    while pair := _ESEARCH_PAIR.match(line, position):
        found[pair[1].upper()] = pair[2]
        position = pair.end()
    if line[position:].strip():
        raise ProtocolError("the server sent an ESEARCH result that we cannot read")
    every = found.get(b"ALL")
    return ESearch(
        tag=_text(tag[1]) if tag else "",
        uid=by_uid is not None,
        all=_uids(every.decode("ascii"), "ESEARCH") if every is not None else None,
        min=_number(found.get(b"MIN")),
        max=_number(found.get(b"MAX")),
        count=_number(found.get(b"COUNT")),
        modseq=_number(found.get(b"MODSEQ")),
    )


def _number(digits: bytes | None) -> int | None:
    if digits is None:
        return None
    if not digits.isdigit() or len(digits) > 20:
        raise ProtocolError("the server sent an ESEARCH result that is no number")
    return int(digits)


def _vanished(unit: Unit, start: int) -> Vanished:
    line = _only(unit, "VANISHED")
    earlier = _EARLIER.match(line, start)
    uids = _text(line[earlier.end() if earlier else start :].strip())
    return Vanished(_uids(uids, "VANISHED"), earlier is not None)


def _uids(text: str, kind: str) -> UidSet:
    try:
        return UidSet.parse(text, lax=True)
    except ProtocolError:
        raise ProtocolError(f"the server sent a {kind} that is no set of UIDs") from None


def _list(unit: Unit, start: int) -> ListItem:
    head = unit[0]
    assert isinstance(head, bytes)
    found = _LIST.match(head, start)
    if not found:
        raise ProtocolError("the server sent a LIST response that we cannot read")
    raw, _ = _astring(unit, found.end(), "LIST")
    delimiter = _text(found[2][-1:]) if found[2] else None
    return ListItem(tuple(_text(found[1]).split()), delimiter, mailbox_name.decode(raw))


def _status(unit: Unit, start: int) -> StatusItem:
    raw, rest = _astring(unit, start, "STATUS")
    if not rest.lstrip().startswith(b"("):
        raise ProtocolError("the server sent a STATUS response that we cannot read")
    words = rest.translate(None, b"()").split()
    values = {
        _text(item).upper(): int(value)
        for item, value in pairwise(words)
        if value.isdigit() and len(value) <= 20 and not item.isdigit()
    }
    objectid = _OBJECTID.search(rest)
    return StatusItem(mailbox_name.decode(raw), values, _text(objectid[1]) if objectid else "")


def _astring(unit: Unit, position: int, kind: str) -> tuple[bytes, bytes]:
    """The string at `position` of the first text, or the literal behind it, and the text that follows."""
    head = unit[0]
    assert isinstance(head, bytes)
    if position == len(head) and len(unit) > 1:
        literal, rest = unit[1], unit[2]
        assert isinstance(literal, Literal)
        assert isinstance(rest, bytes)
        if len(literal.data) < literal.size:
            raise ProtocolError(f"the server sent a {kind} name of {literal.size} bytes")
        return literal.data, rest
    quoted = _QUOTED.match(head, position)
    if quoted:
        return unescape(quoted[1]), head[quoted.end() :]
    atom = _ATOM.match(head, position)
    if not atom:
        raise ProtocolError(f"the server sent a {kind} response without a name")
    return atom[0], head[atom.end() :]


def _only(unit: Unit, kind: str) -> bytes:
    if len(unit) > 1:
        raise ProtocolError(f"the server sent a literal in {kind}")
    head = unit[0]
    assert isinstance(head, bytes)
    return head


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


_MAKERS: Final[dict[bytes, Callable[[Unit, int], Response]]] = {
    b"CAPABILITY": _capability,
    b"ENABLED": _enabled,
    b"SEARCH": _search,
    b"ESEARCH": _esearch,
    b"VANISHED": _vanished,
    b"LIST": _list,
    b"STATUS": _status,
}
