"""The form above the list of messages: its fields, what they mean, and how an address and the api's query have them.
Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, timedelta, tzinfo
from typing import Final
from urllib.parse import urlencode

from api.admin.zone import key
from mailcore.store import MessageFilter
from mailcore.store.query import midnight

_LONGEST: Final = 1000
_WORDS: Final = ("q", "account", "mailbox", "from")
_DAYS: Final = ("since", "until")
# Of each: the api's name, and what is said of its messages when it is `yes` or `no`.
_CHOICES: Final = {
    "attachments": ("has_attachments", "with attachments", "without attachments"),
    "expunged": ("expunged", "no longer on the server", "still on the server"),
    "seen": ("seen", "read", "unread"),
    "flagged": ("flagged", "flagged", "not flagged"),
    "answered": ("answered", "answered", "not answered"),
}
FIELDS: Final = (*_WORDS, *_DAYS, *_CHOICES)
# Those that are seen without opening anything.
_IN_SIGHT: Final = frozenset({"q", "account", "mailbox"})


@dataclass(frozen=True, slots=True)
class Form:
    """`given` has every field, "" where nothing is chosen. A field with which nothing can be done is "", too: it would
    be a filter that nobody sees. `fault` says in words what was wrong. Days are those of `zone`."""

    given: dict[str, str]
    fault: str = ""
    zone: tzinfo = UTC

    @classmethod
    def of(cls, query: Mapping[str, str], zone: tzinfo = UTC) -> Form:
        given = {name: query.get(name, "").strip()[:_LONGEST].replace("\0", "") for name in FIELDS}
        faults = []
        for name in _DAYS:
            day = _day(given[name])
            if given[name] and day is None:
                faults.append(f"“{given[name][:40]}” is no date like 2026-11-22.")
            given[name] = day.isoformat() if day else ""
        for name in _CHOICES:
            if given[name] not in ("yes", "no"):
                given[name] = ""
        return cls(given, " ".join(faults), zone)

    @property
    def on(self) -> dict[str, str]:
        """The fields that restrict something."""
        return {name: value for name, value in self.given.items() if value}

    @property
    def wanted(self) -> MessageFilter:
        since, until = self._limits()
        choices = {_CHOICES[name][0]: {"yes": True, "no": False}.get(self.given[name]) for name in _CHOICES}
        return MessageFilter(
            account=self.given["account"] or None,
            mailbox=self.given["mailbox"] or None,
            sender=self.given["from"],
            query=self.given["q"],
            zone=self.zone,
            since=midnight(since, self.zone) if since else None,
            until=midnight(until, self.zone) if until else None,
            **choices,  # type: ignore[arg-type]  # they have the names of its fields
        )

    def path(self, to: str, **also: str) -> str:
        """The address of a page to which this filter goes along."""
        query = urlencode(self.on | {name: value for name, value in also.items() if value})
        return f"{to}?{query}" if query else to

    def api(self, path: str, **also: str) -> str:
        """The same messages by the api (`GET /api/messages/`), which is told whose days they are."""
        query = {name: self.given[name] for name in _WORDS if self.given[name]}
        for name, day in zip(_DAYS, self._limits(), strict=True):
            if day:
                query[name] = day.isoformat()
        for name, (parameter, _, _) in _CHOICES.items():
            if self.given[name]:
                query[parameter] = "true" if self.given[name] == "yes" else "false"
        if query:
            query["zone"] = key(self.zone)
        return f"{path}?{urlencode(query | also)}"

    def _limits(self) -> tuple[date | None, date | None]:
        """From the first day on, and before the second: the last one of the form is meant, too."""
        until = _day(self.given["until"])
        return _day(self.given["since"]), until and until + timedelta(days=1)

    def out_of_sight(self, to: str) -> list[tuple[str, str]]:
        """What is filtered by in the part of the form that may be closed: in words, and the address of the list without
        it."""
        found = []
        for name, value in self.on.items():
            if name not in _IN_SIGHT:
                others = {other: kept for other, kept in self.on.items() if other != name}
                found.append((_words(name, value), f"{to}?{urlencode(others)}" if others else to))
        return found


def here(query: Mapping[str, str]) -> str:
    """The query of a page of the list, as it goes along with what is opened from there."""
    position = {name: query.get(name, "")[:_LONGEST] for name in ("cursor", "newer")}
    return Form.of(query).path("", **position)


def _words(name: str, value: str) -> str:
    if name in _CHOICES:
        _, yes, no = _CHOICES[name]
        return yes if value == "yes" else no
    return f"{name} {value}"


def _day(text: str) -> date | None:
    """None where it is none; nor is the last one that there is, as none comes after it."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if day < date.max else None
