"""What people do with their mail, straight at the IMAP server: each act is drawn from dice, none looks at a clock.

The same dice on an empty server do the same acts: what they choose from is what earlier acts have left.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.support.mail import Mail, make_mail
from tests.support.mailboxes import Mailboxes

FLAGS: Final = (r"\Seen", r"\Flagged", r"\Answered", "$Work")
LARGE: Final = 9_500_000  # more than one message of NATS holds
_MOST_MAILBOXES: Final = 12


@dataclass
class People:
    mailboxes: Mailboxes
    _made: int = 0

    def move_in(self) -> People:
        """Some mailboxes, and some mail from before."""
        dice = random.Random(0)
        for mailbox in ("Archiv", "Arbeit"):
            self.mailboxes.create(mailbox)
        for _ in range(6):
            self.deliver(dice)
        self.mailboxes.leave()
        return self

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
            "create": (2, self.create),
            "rename": (1, self.rename),
            "delete": (1, self.delete),
            "renumber": (1, self.renumber),
        }

    def act(self, dice: random.Random, names: list[str]) -> str:
        """One act of those kinds."""
        kinds = self.kinds
        name = dice.choices(names, [kinds[each][0] for each in names])[0]
        return kinds[name][1](dice)

    def deliver(self, dice: random.Random) -> str:
        mailbox = dice.choice([*self._names, "INBOX", "INBOX", "INBOX"])
        mails = [self._mail(dice) for _ in range(dice.choice((1, 1, 1, 2, 5)))]
        self.mailboxes.deliver(*mails, to=mailbox)
        return f"deliver {len(mails)} to {mailbox}"

    def again(self, dice: random.Random) -> str:
        """Bytes that were delivered before."""
        mailbox, mail = dice.choice(self._names), dice.choice([*self.mailboxes.sent.values()])
        self.mailboxes.deliver(mail, to=mailbox)
        return f"deliver known bytes to {mailbox}"

    def copy(self, dice: random.Random) -> str:
        return self._transfer(dice, "copy", self.mailboxes.copy)

    def move(self, dice: random.Random) -> str:
        return self._transfer(dice, "move", self.mailboxes.move)

    def flag(self, dice: random.Random) -> str:
        if (found := self._some(dice, 3)) is None:
            return "nothing to flag"
        mailbox, uids = found
        flag, sign = dice.choice(FLAGS), dice.choice("++-")
        self.mailboxes.flag(uids, flag, mailbox, sign=sign)
        return f"flag {sign}{flag} on {len(uids)} of {mailbox}"

    def expunge(self, dice: random.Random) -> str:
        if (found := self._some(dice, 3)) is None:
            return "nothing to expunge"
        mailbox, uids = found
        self.mailboxes.expunge(uids, mailbox)
        return f"expunge {len(uids)} of {mailbox}"

    def create(self, dice: random.Random) -> str:
        if len(self._names) >= _MOST_MAILBOXES:
            return "enough mailboxes"
        mailbox = self._name(dice)
        self.mailboxes.create(mailbox)
        mails = [self._mail(dice) for _ in range(dice.randrange(3))]
        self.mailboxes.deliver(*mails, to=mailbox)
        return f"create {mailbox} with {len(mails)}"

    def rename(self, dice: random.Random) -> str:
        if (old := self._other(dice)) is None:
            return "nothing to rename"
        new = self._name(dice)
        self.mailboxes.rename(old, new)
        return f"rename {old} to {new}"

    def delete(self, dice: random.Random) -> str:
        if (mailbox := self._other(dice)) is None:
            return "nothing to delete"
        count = len(self.mailboxes.uids[mailbox])
        self.mailboxes.delete(mailbox)
        return f"delete {mailbox} with {count}"

    def renumber(self, dice: random.Random) -> str:
        mailbox = dice.choice(self._names)
        self.mailboxes.renumber(mailbox)
        return f"renumber {mailbox}"

    @property
    def _names(self) -> list[str]:
        return [*self.mailboxes.uids]

    def _transfer(self, dice: random.Random, verb: str, transfer: Callable[[list[int], str, str], None]) -> str:
        if (found := self._some(dice, 2)) is None:
            return f"nothing to {verb}"
        source, uids = found
        others = [each for each in self._names if each != source]
        if not others:
            return "nowhere to go"
        target = dice.choice(others)
        transfer(uids, source, target)
        return f"{verb} {len(uids)} from {source} to {target}"

    def _mail(self, dice: random.Random) -> Mail:
        self._made += 1
        sizes: tuple[int, ...] = ()
        if (drawn := dice.random()) < 0.02:
            sizes = (LARGE,)
        elif drawn < 0.25:
            sizes = tuple(dice.randrange(500, 60_000) for _ in range(dice.choice((1, 1, 2))))
        return make_mail(self._made, seed=dice.getrandbits(32), text=dice.randrange(300, 6_000), files=sizes)

    def _name(self, dice: random.Random) -> str:
        self._made += 1
        return f"{dice.choice(('Projekt', 'Entwürfe', 'Rechnungen & mehr', 'a-b', 'Архив'))} {self._made}"

    def _some(self, dice: random.Random, most: int) -> tuple[str, list[int]] | None:
        full = [mailbox for mailbox, uids in self.mailboxes.uids.items() if uids]
        if not full:
            return None
        mailbox = dice.choice(full)
        uids = self.mailboxes.uids[mailbox]
        return mailbox, sorted(dice.sample(uids, min(len(uids), dice.randint(1, most))))

    def _other(self, dice: random.Random) -> str | None:
        others = [mailbox for mailbox in self._names if mailbox != "INBOX"]
        return dice.choice(others) if others else None
