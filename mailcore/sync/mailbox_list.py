"""The mailboxes of an account as LIST tells them (RFC 9051 §6.3.9), and what became of those that were known. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from mailcore.imap.name import INBOX


def is_pattern(name: str) -> bool:
    return "*" in name or "%" in name


def fits(name: str, patterns: Iterable[str], delimiter: str | None) -> bool:
    """Whether LIST gives the mailbox for one of the patterns: `*` is anything, `%` anything but the delimiter. INBOX
    alone is case-insensitive (§5.1)."""
    level = f"[^{re.escape(delimiter)}]*" if delimiter else ".*"

    def fit(pattern: str) -> bool:
        parts = (".*" if part == "*" else level if part == "%" else re.escape(part) for part in pattern)
        return bool(re.fullmatch("".join(parts), name, re.DOTALL | (re.IGNORECASE if name == INBOX else 0)))

    return any(fit(pattern) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class Changes:
    """Since the LIST before. `gone` are those of `missing` that two LISTs in a row on two connections lack."""

    appeared: frozenset[str]
    missing: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()


class Absences:
    """What a LIST gives is believed at once; what it does not give is gone when another connection says so, too."""

    def __init__(self) -> None:
        self._missing: Mapping[str, object] = {}  # by which connection

    def compare(
        self, known: Set[str], listed: Set[str], patterns: Iterable[str], connection: object, *, whole: bool = True
    ) -> Changes:
        """`known` are those of the mailboxes that `patterns` ask for; `whole` is False where some of the answer could
        not be read."""
        appeared = frozenset(listed - known)
        before, self._missing = self._missing, {}
        if not whole or (INBOX not in listed and fits(INBOX, patterns, None)):  # each account has an INBOX (§5.1)
            return Changes(appeared)
        missing = known - listed
        self._missing = {name: before.get(name, connection) for name in missing}
        gone = (name for name in missing if self._missing[name] is not connection)
        return Changes(appeared, frozenset(missing), frozenset(gone))


@dataclass(frozen=True, slots=True)
class Found:
    """What tells a mailbox: its MAILBOXID (RFC 8474; empty where there is none), UIDVALIDITY and UIDNEXT."""

    objectid: str
    uidvalidity: int | None
    uidnext: int | None


def may_be(before: Found, now: Found) -> bool:
    """Whether a mailbox that appeared may be one that is missing, under another name (RFC 9051 §6.3.6). With MAILBOXIDs
    that is certain, else what is in them decides: some servers give many mailboxes the same UIDVALIDITY."""
    if before.objectid and now.objectid:
        return before.objectid == now.objectid
    grown = before.uidnext is None or now.uidnext is None or now.uidnext >= before.uidnext
    return before.uidvalidity is not None and before.uidvalidity == now.uidvalidity and grown
