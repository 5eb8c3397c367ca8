"""The mailboxes of one person at a Dovecot: what people do there, and what must be there afterwards."""

from __future__ import annotations

import imaplib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.support.dovecot import Dovecot, append, quoted
from tests.support.imapserver import make_mailbox
from tests.support.mail import Mail


@dataclass
class Mailboxes:
    """`uids` are those that are there, by mailbox; `sent` are all mails that were ever delivered, by SHA-256."""

    dovecot: Dovecot
    uids: dict[str, list[int]] = field(default_factory=lambda: {"INBOX": []})
    sent: dict[str, Mail] = field(default_factory=dict)
    _connection: imaplib.IMAP4 | None = None

    def deliver(self, *mails: Mail, to: str = "INBOX") -> None:
        for mail in mails:
            self.uids[to].append(append(self._connected(), mail.raw, to))
            self.sent[mail.sha256] = mail

    def copy(self, uids: Iterable[int], source: str, target: str) -> None:
        self._transfer("COPY", list(uids), source, target)

    def move(self, uids: Iterable[int], source: str, target: str) -> None:
        moved = list(uids)
        self._transfer("MOVE", moved, source, target)
        self._forget(moved, source)

    def flag(self, uids: Iterable[int], flag: str, mailbox: str = "INBOX", *, sign: str = "+") -> None:
        self._select(mailbox)
        self._ok("uid", "STORE", _set(uids), f"{sign}FLAGS.SILENT", f"({flag})")

    def expunge(self, uids: Iterable[int], mailbox: str = "INBOX") -> None:
        gone = list(uids)
        self.flag(gone, r"\Deleted", mailbox)
        self._ok("uid", "EXPUNGE", _set(gone))
        self._forget(gone, mailbox)

    def create(self, mailbox: str) -> None:
        make_mailbox(self._connected(), mailbox)
        self.uids[mailbox] = []

    def rename(self, old: str, new: str) -> None:
        self._unselect()
        self._ok("rename", quoted(old), quoted(new))
        self.uids[new] = self.uids.pop(old)

    def delete(self, mailbox: str) -> None:
        self._unselect()
        self._ok("delete", quoted(mailbox))
        del self.uids[mailbox]

    def renumber(self, mailbox: str) -> None:
        """A new UIDVALIDITY (RFC 9051 §2.3.1.1), which no other mailbox has, with the same messages."""
        self.leave()
        new = self.dovecot.uidvalidity(mailbox) + 100_000
        self.dovecot.doveadm("mailbox", "update", "--uid-validity", str(new), mailbox)

    def leave(self) -> None:
        """Without a connection; what comes next makes one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.shutdown()

    def _transfer(self, verb: str, uids: list[int], source: str, target: str) -> None:
        self._select(source)
        self._ok("uid", verb, _set(uids), quoted(target))
        connection = self._connected()
        told = [*connection.response("COPYUID")[1], *connection.response(verb)[1]]  # RFC 4315; untagged with MOVE
        match = next(filter(None, (re.search(rb"\d+ \S+ ([\d:,]+)", each) for each in told if each)), None)
        assert match, f"no COPYUID: {told!r}"
        self.uids[target] += _numbers(match[1].decode())

    def _forget(self, uids: list[int], mailbox: str) -> None:
        self.uids[mailbox] = [uid for uid in self.uids[mailbox] if uid not in uids]

    def _connected(self) -> imaplib.IMAP4:
        if self._connection is None:
            self._connection = self.dovecot.connect()
        return self._connection

    def _select(self, mailbox: str) -> None:
        self._ok("select", quoted(mailbox))

    def _unselect(self) -> None:
        if self._connected().state == "SELECTED":
            self._ok("unselect")

    def _ok(self, command: str, *words: str) -> list[Any]:
        kind, data = getattr(self._connected(), command)(*words)
        assert kind == "OK", (command, words, data)
        found: list[Any] = data
        return found


def _set(uids: Iterable[int]) -> str:
    return ",".join(map(str, uids))


def _numbers(text: str) -> list[int]:
    """Of a sequence set."""
    out: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition(":")
        out += range(int(first), int(last or first) + 1)
    return out
