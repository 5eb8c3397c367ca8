"""One command on its way: aioimaplib's Command, with a future, chunks and a repr that shows no argument."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import aioimaplib.aioimaplib as base

from mailcore.imap.quote import Text
from mailcore.imap.quote import command as chunks_of
from mailcore.imap.response import Fetch, Response, Tagged
from mailcore.imap.sequence import UidSet
from mailcore.imap.session import Event

# aioimaplib's table of commands and the states that allow them, with what it does not know.
COMMANDS: Final = {
    **base.Commands,
    "UNSELECT": base.Cmd("UNSELECT", (base.SELECTED,), base.Exec.is_sync),
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
        self._sent = False
        self.future: asyncio.Future[Tagged] = loop.create_future()
        self.future.add_done_callback(_retrieve)
        self.untagged: list[Response] = []
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

    def finished(self, tagged: Tagged) -> None:
        if not self.future.done():
            self.future.set_result(tagged)

    def failed(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class FetchCommand(ImapCommand):
    """UID FETCH; several may be in flight. `take` gets each message as soon as all that was asked for is there.

    `uids` None stands for an open range (`n:*`): any UID may come, even one below n (RFC 9051 §6.4.9).
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
        complete: Callable[[Fetch], bool],
        take: Callable[[Fetch], None],
    ) -> None:
        super().__init__("UID", tag, (b"FETCH", sequence.encode("ascii"), items), loop=loop)
        self._uids = uids
        self._complete = complete
        self._take = take
        self._begun: dict[int, Fetch] = {}
        self._taken: set[int] = set()

    def claim(self, fetch: Fetch) -> bool:
        """False: it is not ours, or it is a flag update, which is news to the mailbox as well."""
        uid = fetch.uid
        if uid is None or uid in self._taken or (self._uids is not None and uid not in self._uids):
            return False
        begun = self._begun.pop(uid, None) if self._begun else None
        if begun is not None:
            fetch = _merge(begun, fetch)
        if not self._complete(fetch):
            self._begun[uid] = fetch
            return not (fetch.flags is not None and fetch.size is None and not fetch.sections)
        self._taken.add(uid)
        if not self.future.cancelled():
            self._take(fetch)
        return True


def _merge(old: Fetch, new: Fetch) -> Fetch:
    """A server may send the items of one message in several responses."""
    return Fetch(
        new.seq,
        new.uid,
        new.flags if new.flags is not None else old.flags,
        new.internaldate or old.internaldate,
        new.size if new.size is not None else old.size,
        new.modseq if new.modseq is not None else old.modseq,
        {**old.sections, **new.sections},
    )


def _retrieve(future: asyncio.Future[Tagged]) -> None:
    """An error that nobody awaits any more is no complaint of the event loop's."""
    if not future.cancelled():
        future.exception()
