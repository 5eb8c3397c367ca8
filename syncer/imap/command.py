"""One command on its way: aioimaplib's Command, with a future, chunks and a repr that shows no argument."""

from __future__ import annotations

import asyncio
from array import array
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import aioimaplib.aioimaplib as base

from mailcore.imap.quote import Text
from mailcore.imap.quote import command as chunks_of
from mailcore.imap.response import Fetch, Response, Tagged
from mailcore.imap.sequence import UidSet
from mailcore.imap.session import Event
from mailcore.sync.flags import Told

MAX_BEGUN: Final = 8 << 20  # bytes of bodies whose date or size is still to come

# aioimaplib's table of commands and the states that allow them, with what it does not know.
COMMANDS: Final = {
    **base.Commands,
    "UNSELECT": base.Cmd("UNSELECT", (base.SELECTED,), base.Exec.is_sync),
    "NOTIFY": base.Cmd("NOTIFY", (base.AUTH, base.SELECTED), base.Exec.is_sync),
}

# What a command does to the session: when it is sent, when it is OK, when it is refused.
_EVENTS: Final[dict[str, tuple[Event | None, Event | None, Event | None]]] = {
    "STARTTLS": (Event.STARTTLS_SENT, Event.STARTTLS_OK, Event.STARTTLS_REFUSED),
    "LOGIN": (Event.LOGIN_SENT, Event.LOGIN_OK, Event.LOGIN_REFUSED),
    "AUTHENTICATE": (Event.LOGIN_SENT, Event.LOGIN_OK, Event.LOGIN_REFUSED),
    "SELECT": (Event.SELECT_SENT, Event.SELECT_OK, Event.SELECT_REFUSED),
    "EXAMINE": (Event.SELECT_SENT, Event.SELECT_OK, Event.SELECT_REFUSED),
    "UNSELECT": (Event.UNSELECT_SENT, Event.UNSELECT_OK, Event.UNSELECT_REFUSED),
    "CLOSE": (Event.UNSELECT_SENT, Event.UNSELECT_OK, Event.UNSELECT_REFUSED),
    "IDLE": (Event.IDLE_SENT, Event.IDLE_ENDED, Event.IDLE_ENDED),
    "LOGOUT": (Event.LOGOUT_SENT, None, None),
}


class ImapCommand(base.Command):  # type: ignore[misc]  # aioimaplib is not typed
    """Alone on the connection (all but FETCH): it waits for those before it, and those behind wait for it.

    `future` ends with the Tagged response, or with our error when the connection fails. A cancelled future means that
    nobody wants the answer any more; the command still stays until its tagged response has come.
    """

    def __init__(
        self,
        name: str,
        tag: str,
        parts: Iterable[bytes | Text] = (),
        *,
        loop: asyncio.AbstractEventLoop,
        more: Iterable[bytes] = (),
        nonsync: int = 0,
    ) -> None:
        """`parts` are the arguments; `more` are lines that answer the server's continuations. Raises ValueError."""
        super().__init__(name, tag, loop=loop)
        words = (name.encode("ascii"), *parts)
        # What may be shown: never an argument.
        self.title = f"{name} {words[1].decode('ascii')}" if name == "UID" and isinstance(words[1], bytes) else name
        first, *rest = chunks_of(words, nonsync=nonsync)
        self._chunks = deque((tag.encode("ascii") + b" " + first, *rest, *more))
        self.secret = name in ("LOGIN", "AUTHENTICATE")  # its arguments are credentials
        self._sent = False
        self.future: asyncio.Future[Tagged] = loop.create_future()
        self.future.add_done_callback(_retrieve)
        self.untagged: list[Response] = []
        self.challenge = ""  # the text of the last continuation
        self.exists: int | None = None  # the number of messages that was known when it ended
        self.on_sent, self.on_ok, self.on_refused = _EVENTS.get(name, (None, None, None))

    alone = True

    def __repr__(self) -> str:
        return f"{self.tag} {self.title}"

    @property
    def sent(self) -> bool:
        return self._sent

    def next_chunk(self) -> bytes:
        """What goes out next: at first the command, then what answers each continuation; b"" when that was all."""
        self._sent = True
        return self._chunks.popleft() if self._chunks else b""

    def claim(self, fetch: Fetch) -> bool:
        """Take message data that this command asked for."""
        return False

    def renumbered(self) -> None:
        """A message was expunged: sequence numbers that are known are so no more (RFC 9051 §7.5.1)."""

    def finished(self, tagged: Tagged) -> None:
        if not self.future.done():
            self.future.set_result(tagged)

    def failed(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class FetchCommand(ImapCommand):
    """UID FETCH; several may be in flight. `take` gets each message as soon as all that was asked for is there, and at
    the command's end what of it the server gave.

    `uids` None stands for an open range (`n:*`): any UID may come, even one below n (RFC 9051 §6.4.9). `origin` is the
    offset of the body that was asked for, None where none was. `complete` says that nothing is to come any more,
    `enough` that what came is worth giving at the end.
    """

    alone = False

    def __init__(
        self,
        tag: str,
        sequence: str,
        items: bytes,
        *,
        loop: asyncio.AbstractEventLoop,
        uids: UidSet | None,
        origin: int | None,
        complete: Callable[[Fetch], bool],
        enough: Callable[[Fetch], bool],
        take: Callable[[Fetch], None],
    ) -> None:
        super().__init__("UID", tag, (b"FETCH", sequence.encode("ascii"), items), loop=loop)
        self._uids = uids
        self._origin = origin
        self._complete = complete
        self._enough = enough
        self._take = take
        self._begun: dict[int, Fetch] = {}
        self._begun_octets = 0
        self._uid_of: dict[int, int] = {}  # of what has begun, by sequence number
        self._taken: set[int] = set()

    def claim(self, fetch: Fetch) -> bool:
        """False: it is not ours, or it is a flag update, which is news to the mailbox as well. What has no UID is ours
        only as the rest of a message whose number we know; it is never taken for another one."""
        uid = fetch.uid if fetch.uid is not None else self._uid_of.get(fetch.seq)
        if uid is None or uid in self._taken or (self._uids is not None and uid not in self._uids):
            return False
        body = fetch.sections.get("")
        if body is not None and (self._origin is None or body.origin not in (self._origin, None)):
            return False  # another command asked for it
        begun = self._begun.get(uid)
        if begun is not None:
            if body is not None and "" in begun.sections:
                return False
            self._forget(uid, begun)
            fetch = _merge(begun, fetch)
        elif fetch.uid is None:
            return False
        if self._complete(fetch):
            self._give(uid, fetch)
            return True
        self._begun[uid] = fetch
        self._begun_octets += _octets(fetch)
        self._uid_of[fetch.seq] = uid
        while self._begun_octets > MAX_BEGUN:  # the rest of a message comes soon or never
            oldest, given = next(iter(self._begun.items()))
            self._forget(oldest, given)
            if self._enough(given):
                self._give(oldest, given)
        return not (fetch.flags is not None and fetch.size is None and not fetch.sections)

    def renumbered(self) -> None:
        self._uid_of.clear()

    def finished(self, tagged: Tagged) -> None:
        for uid, fetch in self._begun.items():
            if self._enough(fetch):
                self._give(uid, fetch)
        self._begun.clear()
        super().finished(tagged)

    def _forget(self, uid: int, begun: Fetch) -> None:
        del self._begun[uid]
        self._begun_octets -= _octets(begun)
        self._uid_of.pop(begun.seq, None)

    def _give(self, uid: int, fetch: Fetch) -> None:
        self._taken.add(uid)
        if not self.future.cancelled():
            self._take(fetch)


class UidsCommand(ImapCommand):
    """UID FETCH n:* (UID), or FETCH of sequence numbers: `uids` are those that were given, `whole` is False when a
    message came without one."""

    def __init__(self, tag: str, messages: int | UidSet, *, loop: asyncio.AbstractEventLoop) -> None:
        by_uid = isinstance(messages, int)
        words = (b"FETCH", b"%d:*" % messages) if isinstance(messages, int) else (str(messages).encode("ascii"),)
        super().__init__("UID" if by_uid else "FETCH", tag, (*words, b"(UID)"), loop=loop)
        self.uids = array("L")
        self.whole = True

    def claim(self, fetch: Fetch) -> bool:
        if fetch.uid is not None:
            self.uids.append(fetch.uid)
        elif fetch.flags is None:
            self.whole = False
        return fetch.flags is None  # a flag update is news as well


class FlagsCommand(ImapCommand):
    """UID FETCH of FLAGS; `told` has what came. It is not whole when something came without a UID or without flags that
    can be read. A flag update that nobody asked for is as good as an answer."""

    def __init__(
        self, tag: str, sequence: str, modifier: tuple[bytes, ...], *, loop: asyncio.AbstractEventLoop, told: Told
    ) -> None:
        super().__init__("UID", tag, (b"FETCH", sequence.encode("ascii"), b"(FLAGS)", *modifier), loop=loop)
        self.told = told

    def claim(self, fetch: Fetch) -> bool:
        if fetch.uid is None or fetch.flags is None:
            self.told.whole = False
        else:
            self.told.add(fetch.uid, fetch.flags, fetch.modseq)
        return True


def _octets(fetch: Fetch) -> int:
    return sum(len(section.data or b"") for section in fetch.sections.values())


def _merge(old: Fetch, new: Fetch) -> Fetch:
    """A server may send the items of one message in several responses."""
    return Fetch(
        new.seq,
        old.uid,
        new.flags if new.flags is not None else old.flags,
        new.internaldate or old.internaldate,
        new.size if new.size is not None else old.size,
        new.modseq if new.modseq is not None else old.modseq,
        {**old.sections, **new.sections},
        new.email_id or old.email_id,
        new.thread_id or old.thread_id,
        new.labels if new.labels is not None else old.labels,
    )


def _retrieve(future: asyncio.Future[Tagged]) -> None:
    """An error that nobody awaits any more is no complaint of the event loop's."""
    if not future.cancelled():
        future.exception()
