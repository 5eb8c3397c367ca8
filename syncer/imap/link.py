"""The connection's coming and going: connect, TLS, log in, run commands, log out, kill."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final, Literal, Self

from mailcore.account_hosts import admits
from mailcore.errors import CommandFailed, ConnectionLost, ImapError, NotAdmitted, TlsFailed
from mailcore.imap import sasl
from mailcore.imap.quote import Text, nonsync_limit
from mailcore.imap.refusal import another_token_may_help, login_refused, refused, said
from mailcore.imap.response import Tagged
from mailcore.imap.session import State
from syncer.imap import tls, trace
from syncer.imap.command import ImapCommand
from syncer.imap.login import login_command, token_command
from syncer.imap.model import Endpoint
from syncer.imap.protocol import Protocol

LOGOUT_DEADLINE: Final = 5.0
Stage = Literal["token", "name", "address", "tcp", "tls", "greeting", "login"]


class Link:
    """A connection to one server, without what it is good for."""

    def __init__(self, endpoint: Endpoint, reached: Callable[[Stage], None] = lambda _: None) -> None:
        """Not yet connected; `start()` does that, and tells `reached` what it has come to. Needs the running loop."""
        self.endpoint = endpoint
        self._reached = reached
        self._loop = asyncio.get_running_loop()
        self._protocol = Protocol(
            self._loop,
            where=str(endpoint),
            silence=endpoint.command_timeout,
            wire=trace.wire(endpoint),
            quotes=endpoint.hosts is None,
            count=endpoint.count,
        )
        self._dialing: asyncio.Task[None] | None = None
        self._idle_interrupted = False
        self._selected = ""  # the last mailbox that SELECT was sent for

    @classmethod
    async def open(cls, endpoint: Endpoint, reached: Callable[[Stage], None] = lambda _: None) -> Self:
        """Connect, TLS, log in, ID, ENABLE. An access token that is refused is replaced once, and `reached` is told all
        again. Raises TlsFailed, AuthenticationFailed, ImapError."""
        if endpoint.tokens is None:
            return await cls._opened(endpoint, reached)
        token = await endpoint.tokens.token()
        reached("token")
        try:
            return await cls._opened(endpoint, reached, token)
        except CommandFailed as error:
            if not another_token_may_help(error):
                raise
            refusal = error
        another = await endpoint.tokens.token(token)
        if another == token:
            raise refusal
        return await cls._opened(endpoint, reached, another)

    @classmethod
    async def _opened(cls, endpoint: Endpoint, reached: Callable[[Stage], None], token: str = "") -> Self:
        connection = cls(endpoint, reached)
        await connection.start(token)
        return connection

    @property
    def capabilities(self) -> frozenset[str]:
        return self._protocol.capabilities

    @property
    def state(self) -> State:
        return self._protocol.session

    @property
    def tls_version(self) -> str:
        """`TLSv1.3`; "" without TLS."""
        spoken = self._protocol.transport.get_extra_info("ssl_object")
        return spoken.version() or "" if spoken is not None else ""

    @property
    def closed(self) -> bool:
        return self._protocol.failure is not None

    def when_closed(self, tell: Callable[[], None]) -> None:
        """Call `tell` once, from the loop's thread, when the connection has ended, whichever way; now if it has."""
        self._protocol.when_failed(tell)

    @property
    def supports_idle(self) -> bool:
        return bool(self.capabilities & {"IDLE", "IMAP4REV2"})

    # ---- coming and going ----

    async def start(self, token: str = "") -> None:
        """What `open()` does, on a connection that another task may `kill()` meanwhile; with this access token."""
        try:
            try:
                async with asyncio.timeout(self.endpoint.connect_timeout):
                    context = await self._context()
                    if self._protocol.failure is not None:  # killed meanwhile
                        raise self._protocol.failure_now()
                    await self._dial(context if self.endpoint.use_ssl else None)
                    await self._protocol.greeting
                    self._reached("greeting")
                    if self.endpoint.starttls and not self.endpoint.use_ssl:
                        assert context is not None
                        await self._start_tls(context)
                        self._reached("tls")
            except TimeoutError:
                raise ConnectionLost(self._silence()) from None
            if self.state is State.NOT_AUTHENTICATED:
                await self._login(token)
            self._reached("login")
            await self._introduce()
        except BaseException:  # cancelled, too: half a connection is of use to nobody
            self.kill()
            raise

    def _silence(self) -> str:
        """A server of TLS waits for the client to speak first, one of plaintext speaks itself."""
        what = f"{self.endpoint}: no connection and greeting within {self.endpoint.connect_timeout:g} s"
        if self.state is State.GREETING_AWAITED and not self.endpoint.use_ssl:
            check = f"{self.endpoint.setting('port')} and {self.endpoint.setting('use_ssl')}"
            return f"{what}: it accepts and says nothing. If it speaks TLS on this port, check {check}"
        return what

    async def _context(self) -> ssl.SSLContext | None:
        if not (self.endpoint.use_ssl or self.endpoint.starttls):
            return None
        return await self._loop.run_in_executor(None, tls.context, self.endpoint)

    async def _dial(self, context: ssl.SSLContext | None) -> None:
        self._dialing = self._loop.create_task(self._connect(context))
        try:
            await asyncio.wait({self._dialing})  # unlike `await task`, a kill() is not taken for our own cancellation
        except asyncio.CancelledError:
            self._dialing.cancel()
            self._dialing.add_done_callback(lambda task: task.cancelled() or task.exception())
            raise
        if not self._dialing.cancelled() and (error := self._dialing.exception()) is not None:
            self._protocol.fail(tls.failure(self.endpoint, error))
        if self._protocol.failure is not None:
            raise self._protocol.failure_now()

    async def _connect(self, context: ssl.SSLContext | None) -> None:
        name = self.endpoint.host if context is not None else None
        connected = await self._connected_socket()
        await self._loop.create_connection(lambda: self._protocol, sock=connected, ssl=context, server_hostname=name)
        if context is not None:
            self._reached("tls")

    async def _connected_socket(self) -> socket.socket:
        """The first of the host's addresses that answers; a dead one must not use up the time of the others. (asyncio's
        own race for that leaks the winner's socket when it is cancelled.)"""
        found = await self._loop.getaddrinfo(self.endpoint.host, self.endpoint.port, type=socket.SOCK_STREAM)
        self._reached("name")
        if (hosts := self.endpoint.hosts) is not None:
            found = [one for one in found if admits(hosts, self.endpoint.host, str(one[4][0]))]
            if not found:
                raise NotAdmitted(
                    f"{self.endpoint}: this host has no address that accounts may be connected to: it is none of "
                    "ACCOUNT_HOSTS, which whoever runs this program sets"
                )
        self._reached("address")
        failure: OSError = OSError("the host name has no address")
        for family, kind, proto, _, address in found:
            made = socket.socket(family, kind, proto)
            try:
                made.setblocking(False)
                async with asyncio.timeout(self.endpoint.connect_timeout * 0.9 / len(found)):
                    await self._loop.sock_connect(made, address)
                tls.keep_alive(made)
                self._reached("tcp")
                return made
            except OSError as error:  # a TimeoutError is one
                made.close()
                failure = error if str(error) else OSError(f"{address[0]} does not answer")
            except BaseException:  # cancelled: a socket without an owner stays open
                made.close()
                raise
        raise failure

    async def _start_tls(self, context: ssl.SSLContext) -> None:
        if self.state is not State.NOT_AUTHENTICATED:  # RFC 9051 §11.1: PREAUTH would keep us in plaintext
            raise TlsFailed(f"{self.endpoint}: the server greeted with PREAUTH, so STARTTLS is impossible")
        tagged = await self._run("STARTTLS")
        if tagged.status != "OK":
            check = f"{self.endpoint.setting('port')} and {self.endpoint.setting('use_ssl')}"
            raise TlsFailed(f"{self.endpoint}: STARTTLS refused: {said(tagged.code, tagged.text)}. Check {check}")
        if self._protocol.failure is not None:  # something came behind the OK
            raise self._protocol.failure_now()
        try:
            transport = await self._loop.start_tls(
                self._protocol.transport, self._protocol, context, server_hostname=self.endpoint.host
            )
        except OSError as error:
            self._protocol.fail(tls.failure(self.endpoint, error))
            raise self._protocol.failure_now() from error
        if transport is None:  # it was closing already
            self._protocol.fail(ConnectionLost(f"{self.endpoint}: the connection was closed during the TLS handshake"))
            raise self._protocol.failure_now()
        self._protocol.tls_established(transport)

    async def _login(self, token: str) -> None:
        if not self.capabilities:
            await self._run("CAPABILITY")
        of = self.endpoint, self.capabilities, self._protocol.new_tag(), self._loop
        if token:
            self._protocol.strike_out(token)
            command = token_command(*of, token)
        else:
            command = login_command(*of)
        self._protocol.capabilities = frozenset()
        tagged = await self._protocol.execute(command)
        if tagged.status != "OK":
            told = sasl.refusal(command.challenge) if token else sasl.Refusal()
            raise login_refused(
                str(self.endpoint),
                self.endpoint.user,
                tagged.code,
                tagged.text,
                check=self.endpoint.check,
                told=str(told),
            )

    async def _introduce(self) -> None:
        """The capabilities as they are after login; ID, which some servers ask for before SELECT (RFC 2971); CONDSTORE,
        without which some never tell HIGHESTMODSEQ (RFC 7162 §3.1). Refusals do no harm."""
        if not self.capabilities:
            await self._run("CAPABILITY")
        if "ID" in self.capabilities:
            await self._run("ID", b'("name" "mozzart-mailbox-sync")')
        if self.capabilities >= {"ENABLE", "CONDSTORE"}:
            await self._run("ENABLE", b"CONDSTORE")

    async def logout(self) -> None:
        """LOGOUT, and the transport is closed whatever happens. Never raises ImapError."""
        try:
            async with asyncio.timeout(LOGOUT_DEADLINE):
                await self._run("LOGOUT")
        except (ImapError, TimeoutError):
            pass
        finally:
            self.kill()

    def kill(self) -> None:
        """End the connection now, in any state: every waiter gets ConnectionLost. Idempotent, never blocks."""
        if self._dialing is not None:
            self._dialing.cancel()
        self._protocol.fail(ConnectionLost(f"{self.endpoint}: the connection was ended by us"))

    # ---- commands ----

    def _command(self, name: str, *parts: bytes | Text) -> ImapCommand:
        return ImapCommand(
            name, self._protocol.new_tag(), parts, loop=self._loop, nonsync=nonsync_limit(self.capabilities)
        )

    async def _run(self, name: str, *parts: bytes | Text) -> Tagged:
        return await self._protocol.execute(self._command(name, *parts))

    def _ok(self, what: str, tagged: Tagged) -> None:
        if tagged.status != "OK":
            raise self._refused(what, tagged)

    def _refused(self, what: str, tagged: Tagged, error: type[CommandFailed] = CommandFailed) -> CommandFailed:
        return refused(str(self.endpoint), what, tagged.code, tagged.text, error)
