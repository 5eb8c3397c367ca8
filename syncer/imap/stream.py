"""Messages of UID FETCHes in flight, each as soon as it is complete."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

from mailcore.errors import CommandFailed
from mailcore.imap.flag import named
from mailcore.imap.response import Fetch, Tagged
from syncer.imap.command import FetchCommand
from syncer.imap.model import FetchedMessage
from syncer.imap.protocol import Protocol

_OVERHEAD: Final = 512  # what a message without a body costs while it waits


def message(fetch: Fetch, limit: int) -> FetchedMessage:
    """Our message out of a complete Fetch; `limit` is how many bytes of the body were asked for."""
    assert fetch.uid is not None
    section = fetch.sections.get("")
    body = section.data[:limit] if section is not None and section.data is not None else None
    announced = section.size if section is not None else 0
    # When as much came as was asked for, only the size tells whether that was all.
    whole = announced < limit or (announced == limit and fetch.size is not None and fetch.size <= limit)
    flags = named(fetch.flags) if fetch.flags else ()
    return FetchedMessage(
        fetch.uid,
        flags,
        fetch.internaldate,
        fetch.size,
        body,
        body is not None and whole,
        fetch.email_id,
        fetch.thread_id,
        fetch.labels,
    )


class MessageStream(AsyncIterator[FetchedMessage]):
    """What uid_fetch_messages() gives. The commands are already on their way: make several and they are pipelined.

    `aclose()` it when leaving early: what still comes is dropped, and the connection stays usable.
    """

    def __init__(self, protocol: Protocol, limit: int, refused: Callable[[Tagged], CommandFailed]) -> None:
        self._protocol = protocol
        self._limit = limit
        self._refused = refused
        self._ready: deque[FetchedMessage] = deque()
        self._commands: deque[FetchCommand] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._closed = False

    def send(self, command: FetchCommand) -> None:
        """Add a command of this stream. Raises ImapError."""
        self._protocol.submit(command)
        self._commands.append(command)
        self._protocol.flow.keep(self._limit)
        command.future.add_done_callback(self._ended)

    def take(self, fetch: Fetch) -> None:
        """The sink of the commands."""
        if self._closed:
            return
        made = message(fetch, self._limit)
        self._ready.append(made)
        self._protocol.flow.hold(_cost(made))
        self._wake_up()

    def __aiter__(self) -> MessageStream:
        return self

    async def __anext__(self) -> FetchedMessage:
        """Raises ImapError: the connection's, or the server's refusal after what it did give."""
        while not self._ready:
            while self._commands and self._commands[0].future.done():
                command = self._commands.popleft()
                if self._closed or command.future.cancelled():
                    continue
                tagged = command.future.result()
                # The server gave what is still there (RFC 5530): not a failure.
                if tagged.status != "OK" and tagged.code != "EXPUNGEISSUED":
                    raise self._refused(tagged)
            if not self._commands:
                raise StopAsyncIteration
            self._wake = self._protocol.loop.create_future()
            with self._protocol.flow:
                await self._wake
        taken = self._ready.popleft()
        self._protocol.flow.hold(-_cost(taken))
        return taken

    async def aclose(self) -> None:
        """Give up what has not been taken. Idempotent."""
        self._closed = True
        for command in self._commands:
            command.future.cancel()
        self._commands.clear()
        while self._ready:
            self._protocol.flow.hold(-_cost(self._ready.popleft()))
        self._wake_up()

    def _ended(self, _: object) -> None:
        self._protocol.flow.unkeep(self._limit)
        self._wake_up()

    def _wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


def _cost(made: FetchedMessage) -> int:
    return len(made.body or b"") + _OVERHEAD
