"""A search as people type it → words and filters. Pure, and nothing that is typed is an error.

`from:anna to:"Carl B" subject:invoice has:attachment is:unread before:2026-02-01 after:2026-01 in:archive account:work
-word "side by side" begin*`: all must hold. What looks like one of these and is not (`before:noon`) is words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, tzinfo
from enum import Enum
from typing import Any, Final

from mailcore.store.page import MessageFilter
from mailcore.store.words import MOST, Phrase, phrase, phrases, unquoted

_BEGIN: Final = re.compile(
    r"(?:(?<!\S)(?P<minus>-))?(?:(?P<name>from|to|cc|subject|has|is|before|after|in|account):\s*)?", re.IGNORECASE
)
_PARTS: Final = re.compile(_BEGIN.pattern + r'(?:"(?P<quoted>[^"]*)(?:"|$)|(?P<plain>[^\s"]+))', re.IGNORECASE)
# Telephones and word processors put them where `"` was typed.
_QUOTES: Final = str.maketrans(dict.fromkeys("“”„‟", '"'))
_DATE: Final = re.compile(r"([0-9]{4})(?:[-/.]([0-9]{1,2})(?:[-/.]([0-9]{1,2}))?)?")
_YES_OR_NO: Final = ("has_attachments", "seen", "flagged", "answered")
_LEVELS: Final = ("/", ".")


class Place(Enum):
    """Where a phrase must stand."""

    ANYWHERE = ""
    SENDER = "sender"
    RECIPIENTS = "recipients"
    SUBJECT = "subject"


_PLACES: Final = {
    "from": Place.SENDER,
    "to": Place.RECIPIENTS,
    "cc": Place.RECIPIENTS,
    "subject": Place.SUBJECT,
}
_FIELDS: Final = {"sender": Place.SENDER, "recipients": Place.RECIPIENTS, "subject": Place.SUBJECT}
_FLAGS: Final = {
    "read": ("seen", True),
    "unread": ("seen", False),
    "flagged": ("flagged", True),
    "starred": ("flagged", True),
    "answered": ("answered", True),
}


@dataclass(frozen=True, slots=True)
class Term:
    """A phrase that must stand there, or must not."""

    phrase: Phrase
    place: Place = Place.ANYWHERE
    excluded: bool = False


@dataclass(frozen=True, slots=True)
class Name:
    """Of a mailbox or an account, in whatever case."""

    name: str
    excluded: bool = False

    def admits(self, name: str) -> bool:
        """The whole name; of a mailbox also its last levels: `sent` is `INBOX/Sent`."""
        wanted, found = self.name.casefold(), unicodedata.normalize("NFC", name).casefold()
        is_it = found == wanted or found.endswith(tuple(level + wanted for level in _LEVELS))
        return is_it is not self.excluded


@dataclass(frozen=True, slots=True)
class Search:
    """What all of a filter means. `filter` has no words left; `impossible`: no message is like
    that, be it that the filter contradicts itself or that nothing which was typed can be in a message."""

    filter: MessageFilter
    terms: tuple[Term, ...] = ()
    accounts: tuple[Name, ...] = ()
    mailboxes: tuple[Name, ...] = ()
    impossible: bool = False


def understand(wanted: MessageFilter) -> Search:
    """The words of `sender`, `recipients` and `subject`, and `query` as it was typed, taken together with the other
    fields."""
    fields = [(getattr(wanted, name), place) for name, place in _FIELDS.items()]
    of_fields = tuple(Term(each, place) for typed, place in fields for each in phrases(typed))
    terms: list[Term] = []
    accounts: list[Name] = []
    mailboxes: list[Name] = []
    narrowed = replace(wanted, query="", sender="", recipients="", subject="")
    impossible = any(typed.strip() and not phrases(typed) for typed, _ in fields)
    parts = list(_PARTS.finditer(unicodedata.normalize("NFC", wanted.query).translate(_QUOTES)))[:MOST]
    understood = not parts
    for part in parts:
        name = (part["name"] or "").lower()
        value = (part["plain"] if part["quoted"] is None else part["quoted"]).strip()
        excluded = part["minus"] is not None
        if name in ("in", "account") and value:
            (mailboxes if name == "in" else accounts).append(Name(value, excluded))
        elif (limit := _limit(name, value, excluded, wanted.zone)) is not None:
            impossible |= _contradict(narrowed, limit)
            narrowed = _both(narrowed, limit)
        else:
            found = _terms(part, _PLACES.get(name), value, excluded)
            terms += found
            if not found:
                continue
        understood = True
    return Search(
        narrowed, (*terms, *of_fields), tuple(accounts), tuple(mailboxes), impossible=impossible or not understood
    )


def together(argument: str) -> str:
    """An argument of a shell as one part of a search: what was quoted there belongs together here."""
    if not re.search(r"\s", argument) or '"' in argument:
        return argument
    begin = _BEGIN.match(argument)
    end = begin.end() if begin else 0
    return f'{argument[:end]}"{argument[end:]}"'


def _terms(part: re.Match[str], place: Place | None, value: str, excluded: bool) -> Iterable[Term]:
    if place is None:
        # An operator that was not understood is a word, as it stands.
        stands = [phrase(part["quoted"])] if part["quoted"] is not None else []
        typed = (part["name"] or "") if stands else part[0]
        found = [phrase(typed, begins=typed.endswith("*")) if excluded else unquoted(typed), *stands]
        return [Term(each, excluded=excluded) for each in found if each is not None]
    # Who asks for a sender has seldom typed all of an address; what is not wanted is whole words.
    wanted = part["quoted"] is None and not excluded
    one = phrase(value, begins=wanted or (part["quoted"] is None and value.endswith("*")), inside=wanted)
    return [] if one is None else [Term(one, place, excluded)]


def _limit(name: str, value: str, excluded: bool, zone: tzinfo) -> MessageFilter | None:
    """None where this is none."""
    word = value.lower()
    if name == "has" and word in ("attachment", "attachments"):
        return MessageFilter(has_attachments=not excluded)
    if name == "is" and word in _FLAGS:
        field, flag = _FLAGS[word]
        flags: dict[str, Any] = {field: flag is not excluded}
        return MessageFilter(**flags)
    if name in ("before", "after") and (moment := _moment(value, zone)) is not None:
        # What is not before a day is from that day on.
        return MessageFilter(until=moment) if (name == "before") is not excluded else MessageFilter(since=moment)
    return None


def midnight(day: date, zone: tzinfo) -> datetime:
    """The beginning of that day there, in UTC."""
    try:
        return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    except OverflowError:  # the first day that there is began there before there are times
        return datetime.min.replace(tzinfo=UTC)


def _moment(value: str, zone: tzinfo) -> datetime | None:
    """The beginning there of a day, month or year."""
    found = _DATE.fullmatch(value)
    if found is None:
        return None
    try:
        return midnight(date(int(found[1]), int(found[2] or 1), int(found[3] or 1)), zone)
    except ValueError:
        return None


def _contradict(one: MessageFilter, other: MessageFilter) -> bool:
    return any(None is not getattr(one, name) is not getattr(other, name) is not None for name in _YES_OR_NO)


def _both(one: MessageFilter, other: MessageFilter) -> MessageFilter:
    """`one`, with the limits of `other` besides."""
    values: dict[str, Any] = {name: _either(getattr(one, name), getattr(other, name)) for name in _YES_OR_NO}
    since = max(filter(None, (one.since, other.since)), default=None)
    until = min(filter(None, (one.until, other.until)), default=None)
    return replace(one, since=since, until=until, **values)


def _either(one: bool | None, other: bool | None) -> bool | None:
    return other if one is None else one
