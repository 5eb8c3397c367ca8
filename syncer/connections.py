"""The connections of one account: who may have one, and those that rest are used again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
import trio

from mailcore.aio import aio_bounded
from mailcore.errors import CommandFailed, ImapError, Scope
from mailcore.settings import Account
from mailcore.sync.retry import errors_alone, verdict
from syncer.imap.connection import Endpoint, ImapConnection
from syncer.login import Logins, Pause, Standing
from syncer.server import Server

log = structlog.get_logger(__name__)
HAND_OVER = 30.0  # seconds that a login waits for what somebody looks with
UNUSED = 600.0  # seconds after which a connection that nobody needed is given up


class Connections:
    """Those that idle, and a few for looking and for bulk work, which always leaves one for looking.

    While the server refuses the account nobody gets a connection. After the pause one at a time tries, until a command
    has worked.
    """

    def __init__(self, account: Account, server: Server, endpoint: Endpoint | None = None) -> None:
        self._logins = Logins(account.name, endpoint or Endpoint.of(account), server)
        self._logins.crowded = self._shrink
        self._server = server
        size = max(2, min(3, account.connections // 3))
        self._looking = size
        self._all = trio.CapacityLimiter(size)
        self._bulk = trio.CapacityLimiter(size - 1)
        self._live = trio.CapacityLimiter(account.connections - size)
        self._full = f"all {account.connections} connections of the account ({account.setting('connections')})"
        self._server_full = f"all that may idle of the {server.limit} connections to the host (HOST_CONNECTIONS)"
        self._resting: dict[ImapConnection, float] = {}  # since when, the longest first
        self._idling: dict[ImapConnection, None] = {}
        self._looks = 0
        self._nobody_looks = trio.Event()
        self._nobody_looks.set()
        self._looked = trio.Event()  # since the last refusal somebody has looked
        self._looked.set()

    @asynccontextmanager
    async def live(self, full: Callable[[str], None]) -> AsyncIterator[ImapConnection]:
        """A connection that will idle, logged out at the end. `full` has been told why while there is no room."""
        self._check()
        if self._live.available_tokens <= 0:  # below 0 while who has one too many has not left
            full(self._full)
        async with self._live:
            await self._until_looked()
            connection = await self._logins.to_idle(lambda: full(self._server_full), self._until_nobody_looks)
            self._idling[connection] = None
            if len(self._idling) > self._live.total_tokens:  # the server was found to allow fewer meanwhile
                connection.kill()
            try:
                yield connection
            except BaseException as error:
                self.judge(error)
                raise
            finally:
                del self._idling[connection]
                await _log_out(connection)

    @asynccontextmanager
    async def look(self) -> AsyncIterator[ImapConnection]:
        """A connection; whoever selects a mailbox leaves it. An error inside the block ends the connection, but for a
        refusal."""
        if not self._looks:
            self._nobody_looks = trio.Event()
        self._looks += 1
        try:
            async with self._used() as connection:
                yield connection
        finally:
            self._looks -= 1
            if not self._looks:
                self._nobody_looks.set()

    @asynccontextmanager
    async def bulk(self) -> AsyncIterator[ImapConnection]:
        """The same for work that takes long."""
        self._check()
        async with self._bulk, self._server.bulk, self._used() as connection:
            yield connection

    @asynccontextmanager
    async def _used(self) -> AsyncIterator[ImapConnection]:
        self._check()
        async with self._all:
            self._check()
            connection = self._rested() or await self._logins.to_look()
            try:
                yield connection
            except CommandFailed as refused:  # the connection is as good as before
                self.judge(refused)
                self._rest(connection)
                raise
            except BaseException as error:  # cancelled, too: an answer may be under way, so nobody may have it next
                connection.kill()
                self.judge(error)
                raise
            self._looked.set()
            if len(self._resting) + self._all.borrowed_tokens > self._looking:  # there are fewer places now
                await _log_out(connection)
            else:
                self._rest(connection)
            await self._give_up_unused()

    async def close(self) -> None:
        """Log out of what rests; shielded and bounded."""
        while (connection := self._rested()) is not None:
            await _log_out(connection)

    # -- refusals ------------------------------------------------------------------------------------------------------

    def judge(self, error: BaseException) -> None:
        """A command failed; a refusal that speaks of the account makes a pause for all of it (I9)."""
        if errors_alone(error) and (found := verdict(error)).scope is Scope.ACCOUNT:
            self.pause(ImapError(found.text, scope=found.scope, retry=found.retry, retry_after=found.retry_after))

    def pause(self, error: ImapError) -> None:
        """The server refused a command because of the account as a whole: nothing is asked of it before
        `error.retry_after` and a pause that doubles with each refusal in a row, from 5 s to 15 minutes."""
        self._logins.refuse(error)
        self._looked.set()  # who waits for it looks up, and goes
        self._looked = trio.Event()
        self._all.total_tokens = 1

    def accepted(self) -> None:
        """A command worked that might have been refused (a FETCH): the account is refused no longer. During a pause
        this says nothing, as the command began before."""
        self._logins.accepted()
        if not self._logins.on_trial:
            self._looked.set()
            self._all.total_tokens = self._looking

    @property
    def paused(self) -> Pause | None:
        """Until when nothing is asked of the server, and why."""
        return self._logins.paused

    @property
    def standing(self) -> Standing:
        """Whether the account can be logged in to."""
        return self._logins.standing

    @property
    def refused(self) -> str:
        """The server's words while it refuses the account, "" otherwise."""
        return self._logins.refused

    def hurry(self) -> None:
        """Somebody asks: do not wait for the next try, unless the last one was only just or the server named a time."""
        self._logins.hurry()

    async def wait(self, seconds: float) -> None:
        """Sleep; when the account is refused, no longer than until it is accepted again."""
        await self._logins.wait(seconds)

    def _check(self) -> None:
        # What is logged in goes on when only logins are refused: too many connections, a new password.
        if self._logins.on_trial:
            self._logins.check()

    async def _until_looked(self) -> None:
        """After a refusal one at a time looks; who only waits for pushes comes afterwards."""
        self._check()
        while not self._looked.is_set():
            await self._looked.wait()
            self._check()

    async def _until_nobody_looks(self) -> None:
        """Whoever looks will hand the connection over: so an account idles after one login instead of two."""
        await trio.lowlevel.checkpoint()  # a look that begins at this moment counts
        with trio.move_on_after(HAND_OVER):
            await self._nobody_looks.wait()

    # ------------------------------------------------------------------------------------------------------------------

    def _rest(self, connection: ImapConnection) -> None:
        """It just worked, and is not used now."""
        idling = sum(permit.live for permit in self._logins.permits.values())
        if idling < self._live.total_tokens and self._logins.hand_over(connection):
            return
        if not connection.closed:
            self._resting[connection] = trio.current_time()
            self._server.rest(connection)

    def _rested(self) -> ImapConnection | None:
        while self._resting:
            connection, _ = self._resting.popitem()
            if self._server.wake(connection):
                return connection
        return None

    async def _give_up_unused(self) -> None:
        long_ago = trio.current_time() - UNUSED
        for connection in [one for one, since in self._resting.items() if since < long_ago]:
            del self._resting[connection]
            if self._server.wake(connection):
                await _log_out(connection)

    def _shrink(self, allowed: int) -> bool:
        """The server allows this account fewer connections than we thought: what idles must not take them all, or
        nobody could look and fetch. False if what rests or looks at this moment was in the way."""
        while (resting := self._rested()) is not None:
            resting.kill()
        allowed = max(2, allowed)
        looking = min(self._looking, max(1, allowed // 2))
        if allowed - looking >= self._live.total_tokens:
            return False
        self._looking = looking
        if not self._logins.on_trial:
            self._all.total_tokens = looking
        self._live.total_tokens = allowed - looking
        self._full = f"all {allowed} connections that the server allows the account"
        log.warning("server allows fewer connections", account=self._logins.account, connections=allowed)
        for connection in list(self._idling)[allowed - looking :]:
            connection.kill()
        return True


async def _log_out(connection: ImapConnection) -> None:
    if not connection.closed:
        await aio_bounded(1.0, connection.logout)
    connection.kill()
