"""What people do with their mail, straight at the IMAP server: each act is drawn from dice, none looks at a clock.

The same dice on an empty server do the same acts: what they choose from is what earlier acts have left.
"""

from __future__ import annotations

import imaplib
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.dovecot import Dovecot, append, quoted
from tests.support.mail import Mail, make_mail

FLAGS: Final = (r"\Seen", r"\Flagged", r"\Answered", "$Work")
LARGE: Final = 9_500_000  # more than one message of NATS holds
_MOST_MAILBOXES: Final = 12


@dataclass
class People:
    """`sent` are all mails that were ever delivered, by SHA-256."""

    dovecot: Dovecot
    sent: dict[str, Mail] = field(default_factory=dict)
    _uids: dict[str, list[int]] = field(default_factory=lambda: {"INBOX": []})
    _connection: imaplib.IMAP4 | None = None
    _made: int = 0

    def move_in(self) -> People:
        """Some mailboxes, and some mail from before."""
        dice = random.Random(0)
        for mailbox in ("Archiv", "Arbeit"):
            self._ok("create", quoted(mailbox))
            self._uids[mailbox] = []
        for _ in range(6):
            self.deliver(dice)
        self.leave()
        return self

    @property
    def mailboxes(self) -> set[str]:
        """Those that are on the server now."""
        return set(self._uids)

    @property
    def kinds(self) -> dict[str, tuple[int, Callable[[random.Random], str]]]:
        """How often relative to the others, and what; it returns what it did, in words."""
        return {
            "deliver": (12, self.deliver),
            "again": (1, self.again),
            "copy": (2, self.copy),
            "move": (3, self.move),
            "flag": (3, self.flag),
            "expunge": (3, self.expunge),
            "create": (1, self.create),
            "rename": (1, self.rename),
            "delete": (1, self.delete),
        }

    def act(self, dice: random.Random, names: list[str]) -> str:
        """One act of those kinds."""
        kinds = self.kinds
        name = dice.choices(names, [kinds[each][0] for each in names])[0]
        return kinds[name][1](dice)

    def deliver(self, dice: random.Random) -> str:
        mailbox = dice.choice([*self._uids, "INBOX", "INBOX", "INBOX"])
        mails = [self._mail(dice) for _ in range(dice.choice((1, 1, 1, 2, 5)))]
        for mail in mails:
            self._append(mail, mailbox)
        return f"deliver {len(mails)} to {mailbox}"

    def again(self, dice: random.Random) -> str:
        """Bytes that were delivered before."""
        if not self.sent:
            return "nothing to deliver again"
        mailbox = dice.choice([*self._uids])
        self._append(dice.choice([*self.sent.values()]), mailbox)
        return f"deliver known bytes to {mailbox}"

    def copy(self, dice: random.Random) -> str:
        return self._transfer(dice, "COPY")

    def move(self, dice: random.Random) -> str:
        return self._transfer(dice, "MOVE")

    def flag(self, dice: random.Random) -> str:
        if (found := self._some(dice, 3)) is None:
            return "nothing to flag"
        mailbox, uids = found
        flag, sign = dice.choice(FLAGS), dice.choice("++-")
        self._select(mailbox)
        self._uid("STORE", _set(uids), f"{sign}FLAGS.SILENT", f"({flag})")
        return f"flag {sign}{flag} on {len(uids)} of {mailbox}"

    def expunge(self, dice: random.Random) -> str:
        if (found := self._some(dice, 3)) is None:
            return "nothing to expunge"
        mailbox, uids = found
        self._select(mailbox)
        self._uid("STORE", _set(uids), "+FLAGS.SILENT", r"(\Deleted)")
        self._uid("EXPUNGE", _set(uids))
        self._uids[mailbox] = [uid for uid in self._uids[mailbox] if uid not in uids]
        return f"expunge {len(uids)} of {mailbox}"

    def create(self, dice: random.Random) -> str:
        if len(self._uids) >= _MOST_MAILBOXES:
            return "enough mailboxes"
        mailbox = self._name(dice)
        self._ok("create", quoted(mailbox))
        self._uids[mailbox] = []
        for _ in range(dice.randrange(3)):
            self._append(self._mail(dice), mailbox)
        return f"create {mailbox} with {len(self._uids[mailbox])}"

    def rename(self, dice: random.Random) -> str:
        if (old := self._other(dice)) is None:
            return "nothing to rename"
        new = self._name(dice)
        self._unselect()
        self._ok("rename", quoted(old), quoted(new))
        self._uids[new] = self._uids.pop(old)
        return f"rename {old} to {new}"

    def delete(self, dice: random.Random) -> str:
        if (mailbox := self._other(dice)) is None:
            return "nothing to delete"
        self._unselect()
        self._ok("delete", quoted(mailbox))
        return f"delete {mailbox} with {len(self._uids.pop(mailbox))}"

    def leave(self) -> None:
        """Without a connection; the next act makes one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.shutdown()

    def _transfer(self, dice: random.Random, verb: str) -> str:
        if (found := self._some(dice, 2)) is None:
            return f"nothing to {verb.lower()}"
        source, uids = found
        others = [each for each in self._uids if each != source]
        if not others:
            return "nowhere to go"
        target = dice.choice(others)
        self._select(source)
        connection = self._connected()
        self._uid(verb, _set(uids), quoted(target))
        told = [*connection.response("COPYUID")[1], *connection.response(verb)[1]]  # RFC 4315; untagged with MOVE
        match = next(filter(None, (re.search(rb"\d+ \S+ ([\d:,]+)", each) for each in told if each)), None)
        assert match, f"no COPYUID: {told!r}"
        self._uids[target] += _numbers(match[1].decode())
        if verb == "MOVE":
            self._uids[source] = [uid for uid in self._uids[source] if uid not in uids]
        return f"{verb.lower()} {len(uids)} from {source} to {target}"

    def _mail(self, dice: random.Random) -> Mail:
        self._made += 1
        sizes: tuple[int, ...] = ()
        if (drawn := dice.random()) < 0.02:
            sizes = (LARGE,)
        elif drawn < 0.25:
            sizes = tuple(dice.randrange(500, 60_000) for _ in range(dice.choice((1, 1, 2))))
        return make_mail(self._made, seed=dice.getrandbits(32), text=dice.randrange(300, 6_000), files=sizes)

    def _append(self, mail: Mail, mailbox: str) -> None:
        self._uids[mailbox].append(append(self._connected(), mail.raw, mailbox))
        self.sent[mail.sha256] = mail

    def _name(self, dice: random.Random) -> str:
        self._made += 1
        return f"{dice.choice(('Projekt', 'Entwürfe', 'Rechnungen & mehr', 'a-b', 'Архив'))} {self._made}"

    def _some(self, dice: random.Random, most: int) -> tuple[str, list[int]] | None:
        full = [mailbox for mailbox, uids in self._uids.items() if uids]
        if not full:
            return None
        mailbox = dice.choice(full)
        uids = self._uids[mailbox]
        return mailbox, sorted(dice.sample(uids, min(len(uids), dice.randint(1, most))))

    def _other(self, dice: random.Random) -> str | None:
        others = [mailbox for mailbox in self._uids if mailbox != "INBOX"]
        return dice.choice(others) if others else None

    def _connected(self) -> imaplib.IMAP4:
        if self._connection is None:
            self._connection = self.dovecot.connect()
        return self._connection

    def _select(self, mailbox: str) -> None:
        self._ok("select", quoted(mailbox))

    def _unselect(self) -> None:
        if self._connected().state == "SELECTED":
            self._ok("unselect")

    def _uid(self, *words: str) -> list[Any]:
        return self._ok("uid", *words)

    def _ok(self, command: str, *words: str) -> list[Any]:
        kind, data = getattr(self._connected(), command)(*words)
        assert kind == "OK", (command, words, data)
        found: list[Any] = data
        return found


def _set(uids: list[int]) -> str:
    return ",".join(map(str, uids))


def _numbers(text: str) -> list[int]:
    """Of a sequence set."""
    out: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition(":")
        out += range(int(first), int(last or first) + 1)
    return out
