"""How one account logs in: one login at a time; an account that its server refuses is left alone."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

import structlog
import trio

from mailcore.aio import aio
from mailcore.errors import CommandFailed, ConnectionLost, ImapError, ProtocolError, Retry, Scope
from mailcore.sync.outage import Outage
from mailcore.sync.refusal import Refusals
from syncer.imap.connection import Endpoint, ImapConnection
from syncer.server import Permit, Server

log = structlog.get_logger(__name__)
UNREACHED = 3  # logins in a row that got no answer, before the account is said to fail
SETTLED = 5.0  # seconds until a server has noticed for certain that a connection is closed


@dataclass(frozen=True, slots=True)
class Pause:
    """The account is left alone until then (`until`: trio's clock), because of the server's `words`. `since`: when it
    was first refused."""

    until: float
    until_at: datetime
    since: datetime
    words: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether the account can be logged in to, why not, and since when it is so."""

    state: Literal["starting", "ok", "failing"]
    reason: str
    since: datetime


@dataclass(slots=True, eq=False)
class _Waiting:
    """Somebody who wants to idle; `connection` is what was handed over."""

    full: Callable[[], None]
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    connection: ImapConnection | None = None


class Logins:
    """All logins of one account go through here. Nothing in it is shared with another account but the server."""

    def __init__(self, account: str, endpoint: Endpoint, server: Server) -> None:
        self.account = account
        self.endpoint = endpoint
        self.server = server
        self.standing = Standing("starting", "", datetime.now(UTC))
        self._unreached = 0
        self.refused = ""  # the server's words while it refuses the account
        self.permits: dict[ImapConnection, Permit] = {}  # of the connections that are open
        # Told how many the server allows; says whether the account makes do with fewer from now on.
        self.crowded: Callable[[int], bool] = lambda _: False
        self._refusals = Refusals()
        self._outage = Outage()
        self._words = ""
        self._retry = Retry.LATER
        self._since = datetime.now(UTC)
        self._accepted = trio.Event()
        self._closed_at = float("-inf")
        # One request of each kind stands in the server's queue, so that looking never waits behind idling.
        self._queues = {True: trio.Lock(), False: trio.Lock()}
        self._login = trio.Lock()
        self._waiting: dict[_Waiting, None] = {}  # to idle, before the login begins
        self._tries = 0
        self._last_failure: ImapError | None = None

    async def to_look(self) -> ImapConnection:
        """A connection that is logged in. Raises ImapError; while the account is being left alone, its last refusal.

        Whoever waited while somebody else's login failed gets that failure: a server that does not answer costs one
        deadline, not one for each mailbox.
        """
        came = self._tries
        async with AsyncExitStack() as turn:
            return await self._log_in(await self._turn(turn, came, live=False))

    async def to_idle(
        self, full: Callable[[], None], before: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
    ) -> ImapConnection:
        """The same for one that will idle; `full` is told while the server has no room for such. It may be one that is
        handed over meanwhile, also while this waits for `before`."""
        came, waiting, permit = self._tries, _Waiting(full), None
        self._waiting[waiting] = None
        if self.server.full_for_live:
            full()
        async with AsyncExitStack() as turn:
            try:
                with waiting.scope:
                    await before()
                    permit = await self._turn(turn, came, live=True)
            except BaseException:  # cancelled, too: nobody else has what was handed over
                if waiting.connection is not None:
                    waiting.connection.kill()
                raise
            finally:
                self._waiting.pop(waiting, None)
            if waiting.connection is None:
                assert permit is not None
                return await self._log_in(permit)
            if permit is not None:
                permit.leave()
            return waiting.connection

    def hand_over(self, connection: ImapConnection) -> bool:
        """Give what has just been used for looking to somebody who waits to idle: so an account idles after its first
        login. False if there is nobody, or accounts that wait would have less room. (What has rested may be dead
        without a word; whoever idles would notice late.)"""
        permit = self.permits.get(connection)
        if permit is None or not self._waiting or not permit.idle():
            return False
        waiting = next(iter(self._waiting))
        del self._waiting[waiting]
        waiting.connection = connection
        waiting.scope.cancel()
        return True

    # -- refusals ------------------------------------------------------------------------------------------------------

    @property
    def paused(self) -> Pause | None:
        """Nothing is to be asked of the account's server now."""
        left = self._refusals.until - trio.current_time()
        if left <= 0 or not self.refused:
            return None
        return Pause(self._refusals.until, datetime.now(UTC) + timedelta(seconds=left), self._since, self.refused)

    @property
    def on_trial(self) -> bool:
        """The last command that might have been refused was."""
        return self._refusals.commands > 0

    def refuse(self, error: ImapError, *, login: bool = False) -> None:
        """The server refused the account as a whole, at a login or at a command: it is left alone for a while."""
        if not self.refused:
            self._since = datetime.now(UTC)
            self._accepted = trio.Event()
        self._refusals.add(error, trio.current_time(), random.random, login=login)
        self._words, self._retry = str(error), error.retry
        crowded = login and self.permits and isinstance(error, CommandFailed) and error.code == "LIMIT"
        if not crowded:  # else those that are open serve the account
            self.refused = self._words
            self._stand("failing", self._words)
        wait = self._refusals.until - trio.current_time()
        facts = self._outage.failed("account", self._words, trio.current_time())
        write = log.debug if facts is None else log.error
        write("account refused", account=self.account, **(facts or {"error": self._words}), next_try_s=round(wait))

    def accepted(self) -> None:
        """A command worked that might have been refused."""
        if self._refusals.accepted(trio.current_time()):
            self._accept()

    def hurry(self) -> None:
        """Somebody asks: do not wait for the next try, unless the last one was only just or the server named a time."""
        self._refusals.hurry(trio.current_time())

    async def wait(self, seconds: float) -> None:
        """Sleep; when the account is refused, no longer than until it is accepted again."""
        with trio.move_on_after(seconds):
            if self.refused:
                await self._accepted.wait()
            else:
                await trio.sleep_forever()

    def check(self) -> None:
        """Raises the last refusal while the account is being left alone."""
        left = self._refusals.until - trio.current_time()
        if left > 0:
            raise ImapError(self._words, scope=Scope.ACCOUNT, retry=self._retry, retry_after=left)

    # ------------------------------------------------------------------------------------------------------------------

    async def _turn(self, turn: AsyncExitStack, came: int, *, live: bool) -> Permit:
        """The right to log in now. It ends with the locks that `turn` holds."""
        await turn.enter_async_context(self._queues[live])
        self._check(came)
        permit = await self.server.permit(
            self.account, live=live, troubled=self._last_failure is not None, full=self._tell_full
        )
        try:
            await turn.enter_async_context(self._login)
            self._check(came)
        except BaseException:  # cancelled, too: the place goes back to the others
            permit.leave()
            raise
        return permit

    async def _log_in(self, permit: Permit) -> ImapConnection:
        try:
            connection = await self._open()
        except BaseException:  # cancelled, too: the place goes back to the others
            permit.leave()
            raise
        permit.logged_in()
        self.permits[connection] = permit

        def closed() -> None:
            del self.permits[connection]
            self._closed_at = time.monotonic()
            permit.leave()

        connection.when_closed(closed)
        return connection

    def _tell_full(self) -> None:
        for waiting in self._waiting:
            waiting.full()

    def _check(self, came: int) -> None:
        self.check()
        if self._tries != came and self._last_failure is not None:
            raise copy.copy(self._last_failure)

    async def _open(self) -> ImapConnection:
        try:
            with trio.fail_after(self.endpoint.connect_timeout * 3):
                connection = await aio(ImapConnection.open, self.endpoint)
        except trio.TooSlowError:
            text = f"{self.endpoint} did not finish the login in time; is it an IMAP server?"
            self._failed(ConnectionLost(text))
            raise ConnectionLost(text) from None
        except CommandFailed as error:
            if error.code != "LIMIT" or not self.permits:
                self._failed(error)
                raise
            allowed = len(self.permits)
            settled = time.monotonic() - self._closed_at > SETTLED
            # Those that are open go on, and one may end at any moment: the pause of a refusal is too long.
            crowded = CommandFailed(f"{error} (with {allowed} open)", code=error.code, scope=error.scope)
            self._failed(crowded, refused=not (settled and self.crowded(allowed)))
            raise crowded from None
        except ImapError as error:
            self._failed(error)
            raise
        self._tries, self._last_failure, self._unreached = self._tries + 1, None, 0
        if self._refusals.logged_in():
            self._accept()
        if not self.refused:
            self._stand("ok")
        return connection

    def _failed(self, error: ImapError, *, refused: bool = True) -> None:
        # Of the original its traceback would hold frames for as long as nothing else happens.
        self._tries, self._last_failure = self._tries + 1, copy.copy(error).with_traceback(None)
        # A server that speaks, and not as one that will serve us, refuses; one that does not speak may be away.
        if refused and (error.scope is Scope.ACCOUNT or isinstance(error, CommandFailed | ProtocolError)):
            self.refuse(error, login=True)
            return
        self._unreached += 1
        if self._unreached >= UNREACHED and not self.permits:
            self._stand("failing", str(error))

    def _accept(self) -> None:
        if facts := self._outage.works("account", trio.current_time()):
            log.info("account accepted again", account=self.account, **facts)
        if self.refused:
            self.refused = ""
            self._stand("ok")
            self._accepted.set()

    def _stand(self, state: Literal["ok", "failing"], reason: str = "") -> None:
        since = self.standing.since if self.standing.state == state else datetime.now(UTC)
        self.standing = Standing(state, reason, since)
