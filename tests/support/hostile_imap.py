"""An IMAP server with one mailbox, INBOX (or the same one under several `names`, in upper case): a decent one, until a
test overrides the answer that is to be wrong.

What may be overridden stands first in HostileImap; any of it may raise Refused, HangUp or Silence. Each connection has
a thread of its own; `log` holds every command with its time and connection, so that a test can count what was asked.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

CAPABILITIES: Final = "IMAP4rev1 IDLE UNSELECT UIDPLUS ESEARCH"
INTERNALDATE: Final = "03-Feb-2026 09:00:00 +0000"
MAX_UID: Final = 0xFFFFFFFF
_NEVER: Final = -1.0


class Refused(Exception):
    """The command is ended by this tagged answer: `Refused("NO [LIMIT] later")`."""


class HangUp(Exception):
    """The connection ends without a tagged answer; `words` (`* BYE …`) are said before."""

    def __init__(self, words: str = "") -> None:
        super().__init__(words)
        self.words = words


class Silence(Exception):
    """The command is never answered, and nothing else on this connection."""


@dataclass(frozen=True)
class Counters:
    """What SELECT and STATUS tell of the mailbox; None: they do not say it."""

    messages: int | None
    uidnext: int | None
    uidvalidity: int | None
    highestmodseq: int | None = None


@dataclass(frozen=True)
class Command:
    """One line of a client's. `at` is time.monotonic(); `name` is `LOGIN`, `UID FETCH`, …, or `CONNECT` for the
    connection itself; `rest` its arguments in upper case, without credentials; `uids` what a UID FETCH names of what
    is there."""

    at: float
    connection: int
    name: str
    rest: str = ""
    uids: tuple[int, ...] = ()

    @property
    def body(self) -> bool:
        """Whether it asks for a message and not for its facts alone."""
        return self.name == "UID FETCH" and "BODY" in self.rest


@dataclass
class Session:
    """One connection, as the server sees it. `known` are the UIDs behind the client's sequence numbers, `marked` those
    of whose flags it is to be told; `user` is who tried to log in by LOGIN."""

    number: int
    socket: socket.socket
    lock: threading.RLock = field(default_factory=threading.RLock)
    tag: str = ""
    selected: bool = False
    known: list[int] = field(default_factory=list)
    marked: list[int] = field(default_factory=list)
    octets: int = 0
    user: str = ""
    _buffer: bytes = b""

    def say(self, *lines: str | bytes) -> None:
        data = b"".join((line if isinstance(line, bytes) else line.encode()) + b"\r\n" for line in lines)
        with self.lock:
            self.octets += len(data)
            self.socket.sendall(data)

    def line(self) -> str | None:
        """The client's next line; None when it has left."""
        while b"\r\n" not in self._buffer:
            data = self.socket.recv(1 << 16)
            if not data:
                return None
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        return line.decode("utf-8", "surrogateescape")

    def hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


def mail(number: int, size: int = 0) -> bytes:
    """A short message, or one of about `size` bytes, with `number` in its subject and text."""
    head = (
        f"Message-ID: <{number}@mail.example.com>\r\nFrom: Anna <anna@example.org>\r\nTo: bob@example.org\r\n"
        f"Date: Tue, 3 Feb 2026 10:00:00 +0100\r\nSubject: mail {number}\r\n\r\nThis is mail {number}.\r\n"
    ).encode()
    return head + (b"0123456789" * 7 + b"\r\n") * max(0, (size - len(head)) // 72)


class HostileImap:
    """Serves INBOX on loopback until `close()`, in plaintext, to anybody who logs in."""

    capabilities = CAPABILITIES
    user = "anna"
    password = "a-password-only-for-tests"
    names: tuple[str, ...] = ("INBOX",)

    # ---- what a test may override ----

    def greeting(self) -> str:
        """The first line; the connection ends behind any but `* OK` and `* PREAUTH`."""
        return f"* OK [CAPABILITY {self.capabilities}] ready"

    def login(self, session: Session) -> str:
        """The tagged answer."""
        return f"OK [CAPABILITY {self.capabilities}] logged in"

    def counters(self, session: Session, command: str) -> Counters:
        """What `SELECT` or `STATUS` tells."""
        modseq = self.modseq if "CONDSTORE" in self.capabilities else None
        return Counters(len(self.mails), self.uidnext, self.uidvalidity, modseq)

    def listed(self, session: Session, rest: str) -> list[str]:
        """The untagged lines of LIST."""
        return [f'* LIST (\\HasNoChildren) "/" {name}' for name in self.names]

    def select(self, session: Session) -> list[str]:
        """The untagged lines of SELECT."""
        told = self.counters(session, "SELECT")
        lines = [r"* FLAGS (\Seen \Answered \Flagged \Deleted \Draft)"]
        lines += [] if told.messages is None else [f"* {told.messages} EXISTS"]
        codes = (("UIDVALIDITY", told.uidvalidity), ("UIDNEXT", told.uidnext), ("HIGHESTMODSEQ", told.highestmodseq))
        return [*lines, *(f"* OK [{name} {value}] so" for name, value in codes if value is not None)]

    def status(self, session: Session, items: str) -> list[str]:
        """The untagged lines of STATUS."""
        told = self.counters(session, "STATUS")
        values = {"MESSAGES": told.messages, "UIDNEXT": told.uidnext, "UIDVALIDITY": told.uidvalidity}
        values["HIGHESTMODSEQ"] = told.highestmodseq
        found = (f"{name} {value}" for name, value in values.items() if name in items and value is not None)
        return [f"* STATUS INBOX ({' '.join(found)})"]

    def search(self, session: Session, criteria: str) -> list[int]:
        """The UIDs that UID SEARCH finds."""
        found = sorted(self.mails)
        for part in re.findall(r"\bUID ([\d,:*]+)", criteria):
            found = self._among(found, part)
        return found

    def found(self, session: Session, uids: list[int], options: str | None) -> list[str]:
        """The untagged lines of UID SEARCH; `options` are those of RETURN (RFC 4731), None without it."""
        if options is None or "ESEARCH" not in self.capabilities:
            return ["* SEARCH" + "".join(f" {uid}" for uid in uids)]
        told = [f'* ESEARCH (TAG "{session.tag}") UID']
        if "COUNT" in options:
            told.append(f"COUNT {len(uids)}")
        if uids and "MIN" in options:
            told.append(f"MIN {min(uids)}")
        if uids and "MAX" in options:
            told.append(f"MAX {max(uids)}")
        if uids and ("ALL" in options or not options.strip()):
            told.append(f"ALL {ranges(uids)}")
        return [" ".join(told)]

    def fetch(self, session: Session, uids: list[int], items: str) -> None:
        """Before anything of a UID FETCH is answered; `uids` are those that it names and the mailbox has."""

    def give(self, session: Session, number: int, uid: int, items: str) -> list[bytes]:
        """The FETCH responses for one message; [] for none. `number` is its sequence number."""
        return [b"* %d FETCH (%s)" % (number, b" ".join((*self.facts(uid, items), *self.body(uid, items))))]

    def facts(self, uid: int, items: str) -> list[bytes]:
        """UID and what else is asked for but the text."""
        every = {"UID": f"UID {uid}", "FLAGS": f"FLAGS ({' '.join(self.flags.get(uid, ()))})"}
        every["INTERNALDATE"] = f'INTERNALDATE "{INTERNALDATE}"'
        every["RFC822.SIZE"] = f"RFC822.SIZE {len(self.mails[uid])}"
        every["MODSEQ"] = f"MODSEQ ({self.modseqs.get(uid, self.modseq)})"
        asked = "UID " + re.sub(r"BODY(?:\.PEEK)?\[.*?\]", "", items).replace("CHANGEDSINCE", "MODSEQ")
        return [text.encode() for name, text in every.items() if re.search(rf"\b{re.escape(name)}\b", asked)]

    def text(self, uid: int) -> bytes | None:
        """The message's bytes; None is said as NIL."""
        return self.mails[uid]

    def body(self, uid: int, items: str) -> list[bytes]:
        """Every `BODY[…]<…>` that is asked for."""
        asked = re.findall(r"BODY(?:\.PEEK)?\[([^\]]*)\](?:<(\d+)\.(\d+)>)?", items)
        return [self._section(uid, name, int(at or 0), int(count or MAX_UID), bool(count)) for name, at, count in asked]

    def marked(self, session: Session, number: int, uid: int) -> str:
        """What a client that idles is told when the flags of a message change (RFC 9051 §7.5.2)."""
        return f"* {number} FETCH (FLAGS ({' '.join(self.flags[uid])}))"

    def idle(self, session: Session) -> None:
        """Whether IDLE is taken: raise Refused, also `Refused("OK …")` behind `session.say("+ idling")`."""
        session.say("+ idling")

    # ---- the mailbox, as tests fill it and ask about it ----

    def __init__(self, *mails: bytes, count: int = 0, host: str = "127.0.0.1") -> None:
        """Holds `mails`, or `count` of mail(). Servers that are to be strangers to each other get a `host` (any of
        127.0.0.0/8) of their own."""
        self.host = host
        self.uidvalidity, self.uidnext, self.modseq = 1_700_000_000, 1, 1
        self.mails: dict[int, bytes] = {}
        self.flags: dict[int, tuple[str, ...]] = {}
        self.modseqs: dict[int, int] = {}
        self.log: list[Command] = []
        self.errors: list[BaseException] = []
        self.lock = threading.RLock()
        self.open: list[Session] = []
        self._sessions: list[Session] = []
        self._idling: list[Session] = []
        self._threads: list[threading.Thread] = []
        self.add(*mails, *(mail(number) for number in range(1, count + 1)))
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    @property
    def uids(self) -> list[int]:
        with self.lock:
            return sorted(self.mails)

    @property
    def idling(self) -> list[Session]:
        """The connections that idle."""
        with self.lock:
            return list(self._idling)

    @property
    def octets(self) -> int:
        """Bytes said so far to all connections together."""
        with self.lock:
            return sum(session.octets for session in self._sessions)

    def add(self, *mails: bytes) -> list[int]:
        """Messages that nobody is told of; their UIDs."""
        with self.lock:
            made = []
            for raw in mails:
                self.mails[self.uidnext] = raw
                made.append(self.uidnext)
                self.uidnext, self.modseq = self.uidnext + 1, self.modseq + 1
                self.modseqs[made[-1]] = self.modseq
            return made

    def mark(self, uid: int, *flags: str, quietly: bool = False) -> None:
        """These are its flags now; whoever has the mailbox selected is told at the next occasion, unless `quietly`."""
        with self.lock:
            self.flags[uid], self.modseq = flags, self.modseq + 1
            self.modseqs[uid] = self.modseq
            if not quietly:
                for session in self.open:
                    session.marked.append(uid)
                self._tell()

    def deliver(self, *mails: bytes) -> list[int]:
        """Messages (without any, one of mail()) that come together: one EXISTS to whoever idles; their UIDs."""
        with self.lock:
            made = self.add(*(mails or (mail(self.uidnext),)))
            self._tell()
            return made

    def expunge(self, *uids: int) -> None:
        with self.lock:
            for uid in uids:
                del self.mails[uid]
            self.modseq += 1
            self._tell()

    def renumber(self, uidvalidity: int | None = None) -> None:
        """A new UIDVALIDITY (by default the next one): the same messages under UIDs from 1 on, and nobody is told."""
        with self.lock:
            kept = [self.mails[uid] for uid in sorted(self.mails)]
            self.uidvalidity = self.uidvalidity + 1 if uidvalidity is None else uidvalidity
            flags = [self.flags.get(uid, ()) for uid in sorted(self.mails)]
            self.mails, self.uidnext, self.modseqs = {}, 1, {}
            self.flags = dict(enumerate(flags, 1))
            self.add(*kept)

    def cut(self) -> None:
        """End every connection that idles, without a word."""
        with self.lock:
            for session in self._idling:
                session.hang_up()

    def asked(self, name: str = "", *, since: float = _NEVER, body: bool = False) -> list[Command]:
        """Commands of that name (all, with the connections themselves, without one) that came since; `body`: those that
        ask for messages."""
        return [one for one in list(self.log) if one.at >= since and name in ("", one.name) and (one.body or not body)]

    def close(self) -> None:
        """End it; raises what an override raised besides Refused, HangUp and Silence."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for session in list(self._sessions):
            session.hang_up()
        for thread in self._threads:
            thread.join(10)
        if self.errors:
            raise self.errors[0]

    # ---- the protocol ----

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                connection, _ = self._listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                session = Session(len(self._sessions) + 1, connection)
                self._sessions.append(session)
                self._start(self._serve, session)

    def _serve(self, session: Session) -> None:
        self.open.append(session)
        try:
            self._note(session, "CONNECT")
            greeting = self.greeting()
            session.say(greeting)
            if greeting.startswith(("* OK", "* PREAUTH")):
                self._converse(session)
        except HangUp as farewell:
            if farewell.words:
                with contextlib.suppress(OSError):
                    session.say(farewell.words)
        except OSError:
            pass  # the client left, or we were closed
        except BaseException as error:  # noqa: BLE001  # shown by close(), in the test's own thread
            self.errors.append(error)
        finally:
            self.open.remove(session)
            session.hang_up()
            session.socket.close()

    def _converse(self, session: Session) -> None:
        while (line := session.line()) is not None:
            session.tag, _, command = line.partition(" ")
            if session.tag.upper() == "DONE":
                continue  # of an IDLE that the server had ended
            name, _, rest = command.partition(" ")
            if name.upper() == "UID":
                second, _, rest = rest.partition(" ")
                name = f"UID {second}"
            if name.upper() == "LOGIN":
                session.user = rest.partition(" ")[0].strip('"')
            name, rest = name.upper(), "" if name.upper() in ("LOGIN", "AUTHENTICATE") else rest.upper()
            self._note(session, name, rest)
            try:
                answer = self._answer(session, name, rest)
            except Refused as refusal:
                answer = str(refusal)
            except Silence:
                while session.line() is not None:
                    pass
                return
            session.say(f"{session.tag} {answer}")
            if name == "LOGOUT":
                return

    def _answer(self, session: Session, name: str, rest: str) -> str:
        known: dict[str, Callable[[Session, str], str]] = {
            "LOGIN": lambda session, _: self.login(session),
            "CAPABILITY": self._capability,
            "LIST": self._list,
            "SELECT": self._select,
            "EXAMINE": self._select,
            "STATUS": self._status,
            "UID SEARCH": self._search,
            "UID FETCH": self._fetch,
            "FETCH": self._fetch_numbers,
            "IDLE": self._idle,
            "NOOP": self._noop,
            "UNSELECT": self._unselect,
            "CLOSE": self._unselect,
            "LOGOUT": self._logout,
            "ID": lambda *_: "OK ID completed",
            "ENABLE": lambda *_: "OK ENABLE completed",
        }
        return known[name](session, rest) if name in known else f"BAD no such command: {name}"

    def _capability(self, session: Session, _: str) -> str:
        session.say(f"* CAPABILITY {self.capabilities}")
        return "OK CAPABILITY completed"

    def _list(self, session: Session, rest: str) -> str:
        session.say(*self.listed(session, rest))
        return "OK LIST completed"

    def _select(self, session: Session, rest: str) -> str:
        session.selected = False
        if rest.split(" (")[0].strip('"') not in self.names:
            return "NO [NONEXISTENT] no such mailbox"
        with self.lock:
            session.known, session.marked = sorted(self.mails), []
            lines = self.select(session)
        session.say(*lines)
        session.selected = True
        return "OK [READ-WRITE] selected"

    def _unselect(self, session: Session, _: str) -> str:
        session.selected = False
        return "OK left"

    def _status(self, session: Session, rest: str) -> str:
        session.say(*self.status(session, rest))
        return "OK STATUS completed"

    def _search(self, session: Session, rest: str) -> str:
        options = re.match(r"RETURN \(([^)]*)\) ", rest)
        criteria = rest[options.end() :] if options else rest
        with self.lock:
            uids = self.search(session, criteria)
            lines = self.found(session, uids, options[1] if options else None)
        session.say(*lines)
        self._news(session)
        return "OK SEARCH completed"

    def _fetch(self, session: Session, rest: str) -> str:
        numbers, _, items = rest.partition(" ")
        self._news(session, expunged=False)  # RFC 9051 §7.5.1: no EXPUNGE while messages are numbered
        uids = self._among(self.uids, numbers)
        if since := re.search(r"\(CHANGEDSINCE (\d+)\)", items):  # RFC 7162 §3.1.4.1
            uids = [uid for uid in uids if self.modseqs[uid] > int(since[1])]
        self.fetch(session, uids, items)
        for uid in uids:
            with self.lock:
                here = uid in self.mails and uid in session.known
                answer = self.give(session, session.known.index(uid) + 1, uid, items) if here else []
            if answer:
                session.say(*answer)
        return "OK FETCH completed"

    def _fetch_numbers(self, session: Session, rest: str) -> str:
        numbers, _, items = rest.partition(" ")
        with self.lock:
            places = self._among(list(range(1, len(session.known) + 1)), numbers)
            uids = [session.known[place - 1] for place in places]
            answers = [self.give(session, place, uid, items) for place, uid in zip(places, uids, strict=True)]
        session.say(*(line for answer in answers for line in answer))
        return "OK FETCH completed"

    def _noop(self, session: Session, _: str) -> str:
        self._news(session)
        return "OK NOOP completed"

    def _logout(self, session: Session, _: str) -> str:
        session.say("* BYE until soon")
        return "OK LOGOUT completed"

    def _idle(self, session: Session, _: str) -> str:
        self.idle(session)
        with self.lock:
            self._news(session)
            self._idling.append(session)
        try:
            session.line()  # DONE, or the end
        finally:
            with self.lock:
                self._idling.remove(session)
        return "OK IDLE ended"

    def _tell(self) -> None:
        for session in self._idling:
            with contextlib.suppress(OSError):
                self._news(session)

    def _news(self, session: Session, *, expunged: bool = True) -> None:
        """What this client does not know yet."""
        if not session.selected:
            return
        with self.lock:
            if expunged:
                for uid in [uid for uid in session.known if uid not in self.mails]:
                    session.say(f"* {session.known.index(uid) + 1} EXPUNGE")
                    session.known.remove(uid)
            fresh = sorted(set(self.mails) - set(session.known))
            if fresh:
                session.known += fresh
                session.say(f"* {len(session.known)} EXISTS")
            marked, session.marked = session.marked, []
            for uid in marked:
                if uid in session.known:
                    session.say(self.marked(session, session.known.index(uid) + 1, uid))

    def _section(self, uid: int, name: str, start: int, count: int, partial: bool) -> bytes:
        raw, origin = self.text(uid), f"<{start}>" if partial else ""
        if raw is None:
            return f"BODY[{name}]{origin} NIL".encode()
        if name.startswith("HEADER"):
            raw = raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        part = raw[start : start + count]
        return f"BODY[{name}]{origin} {{{len(part)}}}\r\n".encode() + part

    @staticmethod
    def _among(uids: list[int], numbers: str) -> list[int]:
        """Those that a sequence set names; `*` is the highest that there is (RFC 9051 §9, seq-number)."""
        highest = uids[-1] if uids else 0
        ends = [[int(end.replace("*", str(highest))) for end in part.split(":")] for part in numbers.split(",")]
        return [uid for uid in uids if any(min(each) <= uid <= max(each) for each in ends)]

    def _note(self, session: Session, name: str, rest: str = "") -> None:
        uids = tuple(self._among(self.uids, rest.partition(" ")[0])) if name == "UID FETCH" else ()
        self.log.append(Command(time.monotonic(), session.number, name, rest, uids))


def ranges(uids: Iterable[int]) -> str:
    """A sequence set: `1:3,7`."""
    found: list[list[int]] = []
    for uid in sorted(set(uids)):
        if found and uid == found[-1][1] + 1:
            found[-1][1] = uid
        else:
            found.append([uid, uid])
    return ",".join(f"{first}:{last}" if first != last else f"{first}" for first, last in found)
