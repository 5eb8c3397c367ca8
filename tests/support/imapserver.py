"""What people do with their mail on any IMAP server, with the standard library alone."""

from __future__ import annotations

import base64
import imaplib
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar


class ImapServer:
    """One that tests start, and its user. `prefix` stands before the name of each mailbox but INBOX;
    `keeps_uidvalidity`: over RENAME (RFC 9051 §6.3.6)."""

    host: str
    port: int
    user: str
    password: str
    prefix: ClassVar[str] = ""
    keeps_uidvalidity: ClassVar[bool] = True

    def place(self, name: str) -> str:
        """A mailbox beside INBOX, as this server calls it."""
        return self.prefix + name

    def connect(self, mailbox: str | None = None) -> imaplib.IMAP4:
        """A logged-in stdlib connection, with `mailbox` selected if given. Use it in a `with`."""
        connection = imaplib.IMAP4(self.host, self.port, timeout=60)
        connection.login(self.user, self.password)
        if mailbox is not None:
            _ok(connection.select(quoted(mailbox)))
        return connection

    def append(self, raw: bytes, mailbox: str = "INBOX", flags: str = "", internaldate: datetime | None = None) -> int:
        """Put a message there; its UID (APPENDUID, RFC 4315)."""
        with self.connect() as connection:
            return append(connection, raw, mailbox, flags, internaldate)

    def append_many(self, messages: Iterator[bytes] | list[bytes], mailbox: str = "INBOX") -> list[int]:
        """The same for many over one connection."""
        with self.connect() as connection:
            return [append(connection, raw, mailbox) for raw in messages]

    def expunge(self, *uids: int, mailbox: str = "INBOX") -> None:
        with self.connect(mailbox) as connection:
            numbers = ",".join(map(str, uids))
            _ok(connection.uid("STORE", numbers, "+FLAGS.SILENT", r"(\Deleted)"))
            _ok(connection.uid("EXPUNGE", numbers))

    def set_flags(self, uid: int, flags: str, mailbox: str = "INBOX") -> None:
        """Replace the flags of a message; `flags` as in `\\Seen \\Flagged`."""
        with self.connect(mailbox) as connection:
            _ok(connection.uid("STORE", str(uid), "FLAGS.SILENT", f"({flags})"))

    def uids(self, mailbox: str = "INBOX") -> list[int]:
        with self.connect(mailbox) as connection:
            return [int(uid) for uid in _ok(connection.uid("SEARCH", "ALL"))[0].split()]

    def fetch(self, uid: int, mailbox: str = "INBOX") -> bytes:
        """The whole message, without setting \\Seen."""
        with self.connect(mailbox) as connection:
            found = _ok(connection.uid("FETCH", str(uid), "(BODY.PEEK[])"))[0]
            assert isinstance(found, tuple), f"no message {uid}"
            return bytes(found[1])

    def uidvalidity(self, mailbox: str = "INBOX") -> int:
        with self.connect() as connection:
            answer = _ok(connection.status(quoted(mailbox), "(UIDVALIDITY)"))[0]
            match = re.search(rb"UIDVALIDITY (\d+)", answer)
            assert match, answer
            return int(match[1])

    def create(self, mailbox: str) -> None:
        with self.connect() as connection:
            make_mailbox(connection, mailbox)

    def delete(self, mailbox: str) -> None:
        with self.connect() as connection:
            _ok(connection.delete(quoted(mailbox)))

    def rename(self, old: str, new: str) -> None:
        with self.connect() as connection:
            _ok(connection.rename(quoted(old), quoted(new)))

    def copy(self, uid: int, source: str, target: str) -> int:
        """Its UID there (COPYUID, RFC 4315)."""
        with self.connect(source) as connection:
            return _copyuid(connection, connection.uid("COPY", str(uid), quoted(target)))

    def move(self, uid: int, source: str, target: str) -> int:
        """The same by MOVE, or by what a client does instead (RFC 6851 §3.3)."""
        with self.connect(source) as connection:
            if "MOVE" in connection.capabilities:
                return _copyuid(connection, connection.uid("MOVE", str(uid), quoted(target)))
            there = _copyuid(connection, connection.uid("COPY", str(uid), quoted(target)))
            _ok(connection.uid("STORE", str(uid), "+FLAGS.SILENT", r"(\Deleted)"))
            _ok(connection.uid("EXPUNGE", str(uid)))
            return there


def append(
    connection: imaplib.IMAP4, raw: bytes, mailbox: str = "INBOX", flags: str = "", internaldate: datetime | None = None
) -> int:
    """APPEND over an open connection; the UID."""
    date = imaplib.Time2Internaldate(internaldate) if internaldate else None
    # imaplib's own append() turns lone CR and LF into CRLF, which would change the bytes under test; this is its core.
    sender: Any = connection
    sender.literal = raw
    words = [quoted(mailbox), f"({flags})" if flags else None, date]
    answer = _ok(sender._simple_command("APPEND", *[word for word in words if word]))[0]
    match = re.search(rb"APPENDUID \d+ (\d+)", answer)
    assert match, f"no APPENDUID: {answer!r}"
    return int(match[1])


def quoted(mailbox: str) -> str:
    """Modified UTF-7 (RFC 3501 §5.1.3) in quotes."""

    def encode(match: re.Match[str]) -> str:
        if match[0] == "&":
            return "&-"
        packed = base64.b64encode(match[0].encode("utf-16-be")).rstrip(b"=").replace(b"/", b",")
        return f"&{packed.decode()}-"

    name = re.sub(r"&|[^\x20-\x7e]+", encode, mailbox)
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquoted(name: str) -> str:
    """The inverse of `quoted`."""

    def decode(match: re.Match[str]) -> str:
        packed = match[1].replace(",", "/")
        return base64.b64decode(packed + "=" * (-len(packed) % 4)).decode("utf-16-be") if packed else "&"

    plain = re.sub(r"\\(.)", r"\1", name[1:-1])
    return re.sub(r"&([A-Za-z0-9+,]*)-", decode, plain)


def make_mailbox(connection: imaplib.IMAP4, name: str) -> None:
    """CREATE one of a name that is new. Dovecot says ALREADYEXISTS, too, where a LIST of somebody else has seen it
    while it was made."""
    kind, data = connection.create(quoted(name))
    assert kind == "OK" or b"[ALREADYEXISTS]" in data[0], (name, data)


def _ok(answer: tuple[str, list[Any]]) -> list[Any]:
    assert answer[0] == "OK", answer
    return answer[1]


def _copyuid(connection: imaplib.IMAP4, answer: tuple[str, list[Any]]) -> int:
    _ok(answer)
    told = connection.response("COPYUID")[1]  # in the tagged answer to COPY, in an untagged one to MOVE
    words = b" ".join(each for each in told if each).split()
    assert len(words) == 3, f"no COPYUID: {answer!r} {told!r}"
    return int(words[2])
