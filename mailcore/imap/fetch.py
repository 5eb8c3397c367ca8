"""The FETCH response (RFC 9051 §7.5.2): items in any order, unknown ones skipped at any depth. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from mailcore.errors import ProtocolError
from mailcore.imap.framing import Literal, Unit
from mailcore.imap.name import decode
from mailcore.imap.response import Fetch, Section
from mailcore.imap.sequence import MAX_UID

MAX_MODSEQ: Final = (1 << 63) - 1  # RFC 7162 §7

# What a server sends that answers our request in its order, which most do: one match instead of a walk.
_USUAL: Final = re.compile(
    rb"\* ([1-9]\d{0,8}) FETCH \(UID (\d{1,9}) FLAGS \(([^()\"]*)\) INTERNALDATE \"([^\"\\]*)\" RFC822\.SIZE (\d{1,18})"
    rb"(?:\)| BODY\[\](?:<(\d{1,10})>)? )\Z"
)
_ITEM: Final = re.compile(rb" *([A-Za-z][A-Za-z0-9.\-]*)(?:\[([^\]]*)\])?(?:<(\d{1,10})>)? ")
_BLANK: Final = re.compile(rb" *\Z")
# objectid (RFC 8474 §7); Gmail's are numbers.
_OBJECT_ID: Final = re.compile(rb"[A-Za-z0-9_-]{1,255}\Z")
_FLAGS: Final = re.compile(rb"\(([^()\"]*)\)")
_MODSEQ: Final = re.compile(rb"\((\d{1,20})\)")
_TOKEN: Final = re.compile(rb" *(?:(\()|(\))|\"([^\"\\]*(?:\\.[^\"\\]*)*)\"|([^ ()\"]+))", re.DOTALL)
_DATE: Final = re.compile(rb" ?(\d{1,2})-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-]\d{4})\Z")
# As headers have it (RFC 5322 §3.3) and what lies between: a weekday, spaces for hyphens, no seconds, a zone by name.
_LAX_DATE: Final = re.compile(
    rb" *(?:[A-Za-z]{3,9}\.?,? +)?(\d{1,2})[- ]([A-Za-z]{3})[a-z]{0,6}[- ](\d{4}),? +(\d{1,2}):(\d\d)(?::(\d\d))?"
    rb"(?:\.\d{1,9})? *(?:([+-]\d\d:?\d\d)|UTC?|GMT|Z)(?: *\([^()]*\))? *\Z",
    re.IGNORECASE,
)
_MAX_DATE: Final = 80
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)
_MONTHS: Final = {
    month.encode("ascii"): number
    for number, month in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)
}


def parse_fetch(seq: int, unit: Unit, start: int) -> Fetch:
    """Any items in any order; `start` is where the first text goes on after `* n FETCH `. Raises ProtocolError."""
    if not 0 < seq <= MAX_UID:
        raise ProtocolError("the server sent a FETCH of no message")
    return _Reader(seq, unit, start).read()


def parse_usual(head: bytes, unit: Unit) -> Fetch | None:
    """The same for the usual form, in one step; None for any other. `head` is the unit's first text."""
    usual = _USUAL.match(head)
    if usual is None:
        return None
    seq, uid, flags, internaldate, size, origin = usual.groups()
    if len(unit) == 1:
        if not head.endswith(b")"):
            return None
        sections = {}
    elif len(unit) == 3 and unit[2] == b")" and not head.endswith(b")"):
        literal = unit[1]
        assert isinstance(literal, Literal)
        sections = {"": Section(literal.data, int(origin) if origin is not None else None, literal.size)}
    else:
        return None
    return Fetch(
        int(seq),
        int(uid) or None,
        tuple(flags.decode("utf-8", "replace").split()),
        parse_internaldate(internaldate),
        int(size),
        None,
        sections,
    )


def parse_internaldate(raw: bytes) -> datetime | None:
    """date-time of RFC 9051 §9 in UTC, also as headers write it; None for what is no date (Domino says `00-Jan-0000
    00:00:00 +0000`), as a wrong date must not stop a mailbox."""
    found = _DATE.match(raw) or (_LAX_DATE.match(raw) if len(raw) <= _MAX_DATE else None)
    if not found:
        return None
    day, month, year, hour, minute, second, zone = found.groups()
    try:
        local = datetime(
            int(year),
            _MONTHS[month.lower()],
            int(day),
            int(hour),
            int(minute),
            min(int(second or 0), 59),  # 60 is a leap second (RFC 5322 §3.3)
            tzinfo=UTC,
        )
        offset = int((zone or b"0").replace(b":", b""))
        if offset == 0:
            return local
        hours, minutes = divmod(abs(offset), 100)
        ahead = timedelta(hours=hours, minutes=minutes)
        return local - ahead if offset > 0 else local + ahead
    except (ValueError, KeyError, OverflowError):
        return None


def unescape(raw: bytes) -> bytes:
    """The value of a quoted string, without its quotes (RFC 9051 §4.3)."""
    return _ESCAPED.sub(rb"\1", raw) if b"\\" in raw else raw


class _Reader:
    """Walks over text, literal, text, … of one unit."""

    __slots__ = ("_at", "_part", "_sections", "_seq", "_text", "_unit")

    def __init__(self, seq: int, unit: Unit, start: int) -> None:
        self._seq = seq
        self._unit = unit
        self._part = 0
        self._text: bytes = unit[0]  # type: ignore[assignment]  # a unit begins with a text
        self._at = start
        self._sections: dict[str, Section] = {}

    def read(self) -> Fetch:
        uid = size = modseq = None
        flags: tuple[str, ...] | None = None
        internaldate: datetime | None = None
        email_id: str | None = None
        thread_id: str | None = None
        labels: tuple[str, ...] | None = None
        self._expect(b"(")
        while not self._ended():
            item = _ITEM.match(self._text, self._at)
            if not item:
                raise self._malformed("an item without a name")
            self._at = item.end()
            name = item[1].upper()
            if name == b"UID":
                uid = self._number(MAX_UID) or None  # 0 is nobody's (nz-number, RFC 9051 §9)
            elif name == b"FLAGS":
                flags = self._flags()
            elif name == b"INTERNALDATE":
                internaldate = parse_internaldate(self._string("INTERNALDATE") or b"")
            elif name == b"RFC822.SIZE":
                size = self._number()
            elif name == b"MODSEQ":
                modseq = self._modseq()
            elif name in (b"EMAILID", b"X-GM-MSGID"):
                email_id = self._object_id()
            elif name in (b"THREADID", b"X-GM-THRID"):
                thread_id = self._object_id()
            elif name == b"X-GM-LABELS":
                labels = self._labels()
            elif name == b"BODY" and item[2] is not None:
                section = item[2].decode("utf-8", "replace").upper()
                self._sections[section] = self._body(int(item[3]) if item[3] is not None else None)
            else:
                self._skip()
        ids = email_id, thread_id, labels
        return Fetch(self._seq, uid, flags, internaldate, size, modseq, self._sections, *ids)

    def _malformed(self, what: str) -> ProtocolError:
        return ProtocolError(f"the server sent a FETCH that we cannot read: {what}")

    def _expect(self, char: bytes) -> None:
        if not self._text.startswith(char, self._at):
            raise self._malformed(f"no {char.decode('ascii')}")
        self._at += 1

    def _ended(self) -> bool:
        if not self._text.startswith(b")", self._at) and not self._text.startswith(b" )", self._at):
            return False
        if self._part != len(self._unit) - 1 or self._text[self._at :].strip() != b")":
            raise self._malformed("something behind its end")
        return True

    def _literal(self) -> Literal | None:
        """The literal, when the text ends here."""
        if self._part + 2 >= len(self._unit) or not _BLANK.match(self._text, self._at):
            return None
        literal, text = self._unit[self._part + 1], self._unit[self._part + 2]
        assert isinstance(literal, Literal)
        assert isinstance(text, bytes)
        self._part += 2
        self._text, self._at = text, 0
        return literal

    def _token(self) -> re.Match[bytes]:
        token = _TOKEN.match(self._text, self._at)
        if not token:
            raise self._malformed("an item without a value")
        self._at = token.end()
        return token

    def _number(self, cap: int = (1 << 63) - 1) -> int:
        digits = self._token()[4]
        if not digits or not digits.isdigit() or len(digits) > 20 or int(digits) > cap:
            raise self._malformed("no number where one must be")
        return int(digits)

    def _modseq(self) -> int | None:
        """None for what is no MODSEQ (RFC 7162 §7: 1 … 2**63 - 1): it must not cost the message."""
        found = _MODSEQ.match(self._text, self._at)
        if not found:
            self._skip()
            return None
        self._at = found.end()
        return int(found[1]) if 0 < int(found[1]) <= MAX_MODSEQ else None

    def _flags(self) -> tuple[str, ...] | None:
        """None for what is no list of flags: that there are none must be said."""
        found = _FLAGS.match(self._text, self._at)
        if not found:
            self._skip()
            return None
        self._at = found.end()
        return tuple(found[1].decode("utf-8", "replace").split())

    def _object_id(self) -> str | None:
        """In parentheses (RFC 8474 §7) or alone, as Gmail has it. None for NIL, and for what is none: it must not cost
        the message."""
        values = self._values()
        if len(values) != 1 or not _OBJECT_ID.match(values[0]) or values[0].upper() == b"NIL":
            return None
        return values[0].decode("ascii")

    def _labels(self) -> tuple[str, ...] | None:
        """Names as mailboxes have them, and `\\Inbox`, `\\Sent`, …; None for NIL."""
        listed = self._text.startswith(b"(", self._at)
        names = (decode(value).encode("utf-8", "replace").decode() for value in self._values())
        return tuple(dict.fromkeys(names)) if listed else None

    def _values(self) -> list[bytes]:
        """The atoms and strings of any value, in their order, at whatever depth."""
        found: list[bytes] = []
        depth = 0
        while True:
            literal = self._literal()
            if literal is not None:
                found.append(literal.data or b"")
            else:
                token = self._token()
                depth += (token[1] is not None) - (token[2] is not None)
                if depth < 0:
                    raise self._malformed("an item without a value")
                if token[3] is not None or token[4] is not None:
                    found.append(unescape(token[3]) if token[3] is not None else token[4])
            if depth == 0:
                return found

    def _string(self, what: str) -> bytes | None:
        """An nstring (RFC 9051 §9)."""
        literal = self._literal()
        if literal is not None:
            return literal.data
        token = self._token()
        if token[3] is not None:
            return unescape(token[3])
        if token[4] is not None and token[4].upper() == b"NIL":
            return None
        raise self._malformed(f"no string in {what}")

    def _body(self, origin: int | None) -> Section:
        literal = self._literal()
        if literal is not None:
            return Section(literal.data, origin, literal.size)
        data = self._string("BODY")
        return Section(data, origin, len(data) if data is not None else 0)

    def _skip(self) -> None:
        """Any value: an atom, a string, or a list of values at any depth, without recursion."""
        depth = 0
        while True:
            if self._literal() is None:
                token = self._token()
                depth += (token[1] is not None) - (token[2] is not None)
                if depth < 0:
                    raise self._malformed("an item without a value")
            if depth == 0:
                return
