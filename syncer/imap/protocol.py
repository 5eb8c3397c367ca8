"""Our protocol under aioimaplib's name: its framing, parsing and scheduling replaced by linear ones.

1. Every unit is dispatched when it is complete: a tagged response by its tag, message data to the command that asked
   for it, all else to the command in flight and to the mailbox's news. Nothing untagged is dropped between commands.
2. UID FETCH is pipelined; any other command is alone on the connection. A command leaves when its tagged response has
   come, also if nobody waits for it any more: so the responses never get out of step with the commands.
3. Whatever ends the connection (loss, BYE, a protocol error, silence, `fail()`) fails all waiters at once. A response
   that is framed well and cannot be read does not: it was not given.
4. No line that was sent or received is ever logged; IMAP_TRACE has a file of its own.
"""

from __future__ import annotations

import asyncio
import copy
import re
import traceback
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import aioimaplib.aioimaplib as base
import structlog

from mailcore.errors import ConnectionLost, ImapError, ProtocolError
from mailcore.imap.framing import Unit
from mailcore.imap.news import Hint, News
from mailcore.imap.parse import names, parse
from mailcore.imap.refusal import greeting_refused, said_bye
from mailcore.imap.response import (
    Capability,
    Condition,
    Continuation,
    Exists,
    Expunge,
    Fetch,
    ListItem,
    Response,
    StatusItem,
    Tagged,
    Unreadable,
    Vanished,
)
from mailcore.imap.session import Event, State, transition
from syncer.imap.command import COMMANDS, ImapCommand
from syncer.imap.flow import Flow
from syncer.imap.trace import Wire

log = structlog.get_logger(__name__)

PIPELINED: Final = 8
MAX_UNTAGGED: Final = 200_000  # responses to one command

_GREETING: Final = re.compile(rb"\* +(?:OK|PREAUTH)\b", re.IGNORECASE)

# Somebody may have put it there to be taken for the server's (RFC 9051 §11.1).
_INJECTED: Final = "plaintext behind the answer to STARTTLS; the connection may be tampered with"

_BASE_STATE: Final = {
    State.CONNECTING: base.STARTED,
    State.GREETING_AWAITED: base.CONNECTED,
    State.AUTHENTICATED: base.AUTH,
    State.SELECT_REQUESTED: base.AUTH,
    State.SELECTED: base.SELECTED,
    State.UNSELECT_REQUESTED: base.SELECTED,
    State.IDLE_REQUESTED: base.SELECTED,
    State.IDLING: base.SELECTED,
    State.DONE_REQUESTED: base.SELECTED,
    State.LOGOUT_REQUESTED: base.LOGOUT,
    State.CLOSED: base.LOGOUT,
}


class Protocol(base.IMAP4ClientProtocol):  # type: ignore[misc]  # aioimaplib is not typed
    """`where` names the server in errors; `silence` is how many seconds it may owe an answer without sending a byte;
    `wire` is told of what goes over it, `count` of how many bytes come. `quotes`: errors may quote what is no IMAP."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        where: str,
        silence: float,
        wire: Wire | None = None,
        quotes: bool = True,
        count: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__(loop)
        self.where = where
        self.session = State.CONNECTING
        self.capabilities: frozenset[str] = frozenset()
        self.failure: ImapError | None = None
        self.news = News()
        self.flow = Flow(loop, silence, self._silent)
        self.greeting: asyncio.Future[Condition] = loop.create_future()
        self.greeting.add_done_callback(lambda future: future.cancelled() or future.exception())
        self.idle_wake: asyncio.Future[None] | None = None
        self._wire = wire
        self._quotes = quotes
        self._count = count
        self._queue: deque[ImapCommand] = deque()
        self._flight: dict[str, ImapCommand] = {}  # in the order sent
        self._done_wanted = False
        self._unreadable_logged = False
        self._mourners: list[Callable[[], None]] = []

    # ---- the transport's side ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.failure is not None:  # killed while the connection was made
            self.transport.abort()
            return
        self.flow.attach(self.transport, self._is_owed)
        self._happened(f"connected to {self.where}")
        self._move(Event.CONNECTED)

    def data_received(self, data: bytes) -> None:
        if self.failure is not None:
            return
        self.flow.heard()
        if self._count is not None:
            self._count(len(data))
        try:
            self._receive(data)
        except ImapError as error:
            self.fail(type(error)(f"{self.where}: {error}"))
        except Exception as error:  # noqa: BLE001  # a parser's bug must end this connection and nothing else
            # Without locals: they hold somebody's mail. A raising data_received would end a whole trio_asyncio loop.
            log.error("imap-bug", server=self.where, traceback="".join(traceback.format_exception(error)))
            self.fail(ProtocolError(f"{self.where}: a response could not be handled; this is our bug, see the log"))

    def connection_lost(self, error: Exception | None) -> None:
        reason = f": {error}" if error is not None else " by the server"
        self.fail(ConnectionLost(f"{self.where}: the connection was closed{reason}, while {self.session.value}"))

    def tls_established(self, transport: asyncio.Transport) -> None:
        """The transport that STARTTLS made. What was learnt before counts no more (RFC 9051 §6.2.1). Raises
        ImapError."""
        if self.failure is not None:
            transport.abort()
            raise self.failure_now()
        self.transport = transport
        self.flow.attach(transport, self._is_owed)
        self.capabilities = frozenset()
        self._happened("TLS established")
        self._move(Event.TLS_ESTABLISHED)

    def fail(self, error: ImapError) -> None:
        """The end of the connection: every waiter gets `error`. Idempotent; callable at any moment."""
        if self.failure is not None:
            return
        self.failure = error
        self._happened(str(error))
        self._move(Event.GONE)
        self.flow.stop()
        if self.transport is not None:
            self.transport.abort()
        if not self.greeting.done():
            self.greeting.set_exception(self.failure_now())
        commands = [*self._flight.values(), *self._queue]
        self._flight.clear()
        self._queue.clear()
        for command in commands:
            command.failed(self.failure_now())
        if self.idle_wake is not None and not self.idle_wake.done():
            self.idle_wake.set_exception(self.failure_now())
        mourners, self._mourners = self._mourners, []
        for tell in mourners:
            tell()

    def when_failed(self, tell: Callable[[], None]) -> None:
        """Call `tell` once, at the end of the connection; at once if that has come."""
        if self.failure is not None:
            tell()
        else:
            self._mourners.append(tell)

    def failure_now(self) -> ImapError:
        """A copy for each waiter: raised twice, one error would collect both tracebacks."""
        assert self.failure is not None
        return copy.copy(self.failure)

    def _is_owed(self) -> bool:
        return bool(self._flight) and self.session is not State.IDLING

    def _silent(self) -> None:
        command = next(iter(self._flight.values()))
        self.fail(ConnectionLost(f"{self.where}: no answer to {command.title} within {self.flow.silence:g} s"))

    def _move(self, event: Event) -> None:
        self.session = transition(self.session, event)
        self.state = _BASE_STATE.get(self.session, base.NONAUTH)

    # ---- sending ----

    async def execute(self, command: ImapCommand, scrub: str | None = None) -> Tagged:
        """Send it when its turn comes and wait for its tagged response, OK or not. Raises ImapError."""
        self.submit(command)
        with self.flow:
            return await command.future

    def submit(self, command: ImapCommand) -> None:
        """Send it now, or when those before it have ended. Raises ImapError if the connection is gone."""
        if not isinstance(command, ImapCommand):  # aioimaplib's own show their arguments in repr
            raise ImapError(f"{self.where}: {command.name} must be sent through ImapConnection")
        if self.failure is not None:
            raise self.failure_now()
        self._queue.append(command)
        self._pump()

    def finish_idle(self) -> None:
        """DONE, as soon as the server may be told (RFC 2177: not before its continuation)."""
        if self.session is State.IDLING:
            self._move(Event.DONE_SENT)
            self.flow.heard()
            self.flow.watch()
            self._write(b"DONE\r\n")
        elif self.session is State.IDLE_REQUESTED:
            self._done_wanted = True

    def poke(self) -> None:
        """Wake whoever idles."""
        if self.idle_wake is not None and not self.idle_wake.done():
            self.idle_wake.set_result(None)

    def _pump(self) -> None:
        while self._queue and self.failure is None:
            command = self._queue[0]
            if self._flight and not command.future.cancelled():
                first = next(iter(self._flight.values()))
                if command.alone or first.alone or len(self._flight) >= PIPELINED:
                    return
            self._queue.popleft()
            if not command.future.cancelled():
                self._send(command)

    def _send(self, command: ImapCommand) -> None:
        try:
            if self.state not in COMMANDS[command.name].valid_states:
                raise ImapError(f"{self.where}: {command.title} may not be sent while {self.session.value}")
            if command.on_sent is not None:
                self._move(command.on_sent)
        except ImapError as error:
            command.failed(error)
            return
        if command.on_sent is Event.SELECT_SENT:
            self.news.forget()
        if not self._flight:
            self.flow.heard()
        self._done_wanted = False
        self._flight[command.tag] = command
        self.flow.watch()
        self._write(command.next_chunk(), secret=command.secret)

    def _write(self, data: bytes, *, secret: bool = False) -> None:
        if self._wire is not None:
            self._wire.sent(data, secret=secret)
        self.transport.write(data)

    def strike_out(self, token: str) -> None:
        """It stands in no line of IMAP_TRACE."""
        if self._wire is not None:
            self._wire.strike_out(token)

    def _happened(self, what: str) -> None:
        if self._wire is not None:
            self._wire.happened(what)

    # ---- receiving ----

    def _receive(self, data: bytes) -> None:
        framer = self.flow.framer
        for unit in framer.feed(data):
            if self.failure is not None:
                return
            if self.session is State.TLS_HANDSHAKE:
                raise ProtocolError(_INJECTED)
            if self._wire is not None:
                self._wire.received(unit)
            if self.session is State.GREETING_AWAITED:
                self._greet(unit)
            else:
                self._dispatch(parse(unit))
        if self.session is State.TLS_HANDSHAKE and framer.pending:
            raise ProtocolError(_INJECTED)

    def _dispatch(self, response: Response) -> None:
        if isinstance(response, Fetch):
            for command in self._flight.values():
                if command.claim(response):
                    return
            self._tell(response)
        elif isinstance(response, Tagged):
            self._finish(response)
        elif isinstance(response, Continuation):
            self._continue(response)
        else:
            self._untagged(response)

    def _greet(self, unit: Unit) -> None:
        line = unit[0]
        assert isinstance(line, bytes)  # a unit begins with a text
        greeting = parse(unit) if _GREETING.match(line) else None
        if not isinstance(greeting, Condition):
            self.fail(greeting_refused(self.where, line[:1000].decode("utf-8", "replace"), quoted=self._quotes))
            return
        self._condition(greeting)
        self._move(Event.GREETED if greeting.status == "OK" else Event.GREETED_PREAUTH)
        self.greeting.set_result(greeting)

    def _finish(self, tagged: Tagged) -> None:
        command = self._flight.pop(tagged.tag, None)
        if command is None:
            raise ProtocolError("the server answered a command that was never sent")
        command.exists = self.news.exists
        event = command.on_ok if tagged.status == "OK" else command.on_refused
        if event is not None:
            self._move(event)
        if tagged.code == "CAPABILITY":
            self.capabilities = names(tagged.argument)
        if event is Event.STARTTLS_OK:
            self.transport.pause_reading()  # the next byte is for TLS
        command.finished(tagged)
        self._pump()

    def _continue(self, continuation: Continuation) -> None:
        command = next(iter(self._flight.values()), None)
        if command is None:
            return
        command.challenge = continuation.text
        chunk = command.next_chunk()
        if chunk:
            self._write(chunk, secret=command.secret)
        elif self.session is State.IDLE_REQUESTED:
            self._move(Event.IDLE_CONTINUED)
            if self._done_wanted:
                self.finish_idle()
        elif command.name == "AUTHENTICATE":
            self._write(b"*\r\n")  # a challenge that we have no answer for (RFC 9051 §6.2.2)

    def _untagged(self, response: Response) -> None:
        command = next(iter(self._flight.values()), None)
        if command is not None and command.alone:
            if len(command.untagged) >= MAX_UNTAGGED:
                raise ProtocolError(f"more than {MAX_UNTAGGED} untagged responses to {command.title}")
            command.untagged.append(response)
        if isinstance(response, Condition):
            self._condition(response)
        elif isinstance(response, Capability):
            self.capabilities = response.names
        elif isinstance(response, Exists | Expunge | Vanished):
            if not isinstance(response, Exists):
                for each in self._flight.values():
                    each.renumbered()
            self._tell(response)
        elif isinstance(response, StatusItem | ListItem):
            if command is None or command.name not in ("LIST", "STATUS"):
                self._tell(response)
        elif isinstance(response, Unreadable):
            self._unreadable(response)

    def _unreadable(self, response: Unreadable) -> None:
        """What it spoke of was not given; whoever waits for a list of its kind must not take the rest for all."""
        if response.name in ("EXISTS", "EXPUNGE", "VANISHED"):
            self.news.doubt()
        if not self._unreadable_logged:
            self._unreadable_logged = True
            log.warning("imap-unreadable", server=self.where, response=response.name, fault=response.fault)

    def _condition(self, condition: Condition) -> None:
        if condition.status == "BYE" and self.session is not State.LOGOUT_REQUESTED:
            self.fail(said_bye(self.where, condition.code, condition.text))
        elif condition.code == "CAPABILITY":
            self.capabilities = names(condition.argument)
        elif condition.code == "CLOSED":  # what came before was of the mailbox left (RFC 9051 §7.1)
            self.news.forget()
        elif condition.code == "NOTIFICATIONOVERFLOW":  # it notifies no more (RFC 5465 §5.8)
            self.fail(ConnectionLost(f"{self.where}: the server gave up NOTIFY: {condition.text[:200]}"))
        elif condition.code == "ALERT":  # a person must see it (RFC 9051 §7.1)
            log.warning("imap-alert", server=self.where, text=condition.text[:300])

    def _tell(self, hint: Hint) -> None:
        if self.news.record(hint, datetime.now(UTC), selecting=self.session is State.SELECT_REQUESTED):
            self.poke()
