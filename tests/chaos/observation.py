"""One moment as it is found from outside: the server by IMAP, the database by SQL, the files as they lie there, the
events as a subscriber heard them. mozzart itself is asked for nothing but what is dead, refused or in flight.
"""

from __future__ import annotations

import hashlib
import imaplib
import json
import re
from collections.abc import Iterator, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from tests.chaos.comparison import Attachment, Identity, Message, Row, World
from tests.chaos.subscriber import Heard, Subscriber
from tests.support.dovecot import quoted, unquoted
from tests.support.mailboxes import Mailboxes
from tests.support.processes import Answer, Mozzart

_ROWS: Final = """
SELECT m.id, b.mailbox, m.uidvalidity, m.uid, m.sha256, m.expunged_at, m.flags FROM mailbox_app_mailmessage m
JOIN mailbox_app_mailboxstate b ON b.id = m.mailbox_id"""
_FILES: Final = """
SELECT message_id, filename, size, sha256, file FROM mailbox_app_mailattachment ORDER BY message_id, id"""
_RECENT: Final = frozenset({r"\Recent"})


class NotYet(Exception):
    """It cannot be looked at now; what stands in the way."""


@dataclass
class Sight:
    """Server, database and files. Bytes are read once for each message, and once for each file that did not change."""

    mozzart: Mozzart
    mailboxes: Mailboxes
    _messages: dict[Identity, str] = field(default_factory=dict)
    _files: dict[tuple[int, int, int], str] = field(default_factory=dict)

    def world(self, heard: Heard) -> World:
        """With the events that somebody heard. Raises OSError, sqlite3.Error, imaplib.IMAP4.error or NotYet while
        something is away."""
        spool = self.mozzart.home / "data" / "spool"
        return World(
            server=self._server(),
            rows=self._rows(),
            files=self._media(),
            sent={sha256: mail.files for sha256, mail in self.mailboxes.sent.items()},
            announced=heard.announced,
            told=heard.told,
            left={f"data/spool/{path.name}" for path in spool.glob("*")},
        )

    def in_step(self) -> bool:
        """Whether the rows are what is on the server; files and events are not looked at."""
        rows = {row.identity: Message(row.sha256, row.flags) for row in self._rows() if not row.expunged}
        return rows == self._server()

    def _server(self) -> dict[Identity, Message]:
        found: dict[Identity, Message] = {}
        with self.mailboxes.dovecot.connect() as connection:
            names = set(_mailboxes(connection))
            if names != self.mailboxes.uids.keys():
                raise NotYet(f"not the mailboxes that people made: {sorted(names ^ self.mailboxes.uids.keys())}")
            for mailbox in names:
                found |= dict(self._mailbox(connection, mailbox))
        self._messages = {identity: message.sha256 for identity, message in found.items()}
        return found

    def _mailbox(self, connection: imaplib.IMAP4, mailbox: str) -> Iterator[tuple[Identity, Message]]:
        connection.select(quoted(mailbox), readonly=True)
        uidvalidity = int(connection.response("UIDVALIDITY")[1][0])
        listed = connection.uid("SEARCH", "ALL")[1][0].split()
        for line in connection.uid("FETCH", "1:*", "(FLAGS)")[1] if listed else ():
            told = re.search(rb"UID (\d+) FLAGS \(([^)]*)\)|FLAGS \(([^)]*)\) UID (\d+)", line)
            assert told, line
            identity = Identity(mailbox, uidvalidity, int(told[1] or told[4]))
            flags = frozenset((told[2] or told[3] or b"").decode().split()) - _RECENT
            yield identity, Message(self._messages.get(identity) or _sha256(connection, identity.uid), flags)

    def _rows(self) -> list[Row]:
        attachments: dict[int, list[Attachment]] = {}
        for row in self.mozzart.rows(_FILES):
            found = Attachment(row["filename"], row["size"], row["sha256"], row["file"])
            attachments.setdefault(row["message_id"], []).append(found)
        return [
            Row(
                row["id"],
                Identity(row["mailbox"], row["uidvalidity"], row["uid"]),
                row["sha256"],
                frozenset(json.loads(row["flags"])) - _RECENT,
                row["expunged_at"] is not None,
                attachments.get(row["id"], ()),
            )
            for row in self.mozzart.rows(_ROWS)
        ]

    def _media(self) -> dict[str, str]:
        """Whatever is no directory, temporary files, too."""
        return {file: self._content(self.mozzart.media / file) for file in self.mozzart.files()}

    def _content(self, path: Path) -> str:
        facts = path.stat()
        version = facts.st_ino, facts.st_mtime_ns, facts.st_size
        if version not in self._files:
            self._files[version] = hashlib.sha256(path.read_bytes()).hexdigest()
        return self._files[version]


@dataclass
class Observation:
    """The same of a `mozzart up` that runs, with what it says of itself."""

    sight: Sight
    subscriber: Subscriber

    def take(self) -> World:
        """As Sight.world()."""
        seen = self.sight.world(self.subscriber.heard())
        states = self._get("/api/mailbox/states/").json["mailboxes"]
        live = {one["mailbox"]: one["live"] for one in states if one["live"]}
        return replace(
            seen,
            dead=self._dead(),
            refused={
                Identity(one["mailbox"], one["uidvalidity"], uid)
                for one in states
                if "uidvalidity" in one  # else it was never opened
                for uid in _refused(one)
            },
            in_flight=sum(one["in_flight"] for one in live.values()),
            unfollowed=self.sight.mailboxes.uids.keys() - live.keys(),
        )

    def _dead(self) -> dict[tuple[int, int], str]:
        """All pages; the bytes that are kept with each letter, not those that it is said to have."""
        found: dict[tuple[int, int], str] = {}
        after: int | None = 0
        while after is not None:
            page = self._get(f"/api/dead-letters/?limit=200&after={after}").json
            for one in page["dead_letters"]:
                raw = self._get(f"/api/dead-letters/{one['seq']}/raw").body
                found[one["uidvalidity"], one["uid"]] = hashlib.sha256(raw).hexdigest()
            after = page["next"]
        return found

    def _get(self, path: str) -> Answer:
        answer = self.sight.mozzart.http("GET", path)
        if answer.status != 200:
            raise NotYet(f"{path}: {answer.status} {answer.text[:200]}")
        return answer


def _refused(state: dict[str, Any]) -> Set[int]:
    """UIDs, of the row and of the living syncer."""
    named = [*state["refused"], *(state["live"] or {"refused": ()})["refused"]]
    return {one["uid"] for one in named}


def _mailboxes(connection: imaplib.IMAP4) -> Iterator[str]:
    for line in connection.list()[1]:
        assert isinstance(line, bytes), line
        match = re.fullmatch(rb'\(([^)]*)\) (?:"."|NIL) (.+)', line)
        assert match, line
        if b"\\Noselect" not in match[1]:
            name = match[2].decode()
            yield unquoted(name if name.startswith('"') else f'"{name}"')


def _sha256(connection: imaplib.IMAP4, uid: int) -> str:
    answer = connection.uid("FETCH", str(uid), "(BODY.PEEK[])")[1]
    return hashlib.sha256(next(part[1] for part in answer if isinstance(part, tuple))).hexdigest()
