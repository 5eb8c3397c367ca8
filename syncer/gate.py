"""How one account opens connections: one login at a time; a refused account is left alone."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
import trio

from mailcore.aio import aio
from mailcore.errors import CommandFailed, ConnectionLost, ImapError, Retry, Scope
from mailcore.sync.retry import pause, verdict
from syncer.host import Host
from syncer.imap.connection import Endpoint, ImapConnection

log = structlog.get_logger(__name__)
SETTLED = 5.0  # seconds until a server has noticed for certain that a connection is closed
HURRY_PAUSE = 5.0  # between two logins of a refused account, however impatient people are


class Gate:
    """All connections of one account go through here. Nothing in it is shared with another account but the host."""

    def __init__(self, account: str, endpoint: Endpoint, host: Host) -> None:
        self.account = account
        self.endpoint = endpoint
        self.host = host
        self.refused = ""
        self.open = 0
        self.crowded: Callable[[int], None] = lambda _: None  # told how many the server allows
        self._closed_at = float("-inf")
        self._failures = 0
        self._not_before = float("-inf")
        self._last_try = float("-inf")
        self._retry = Retry.LATER
        self._accepted = trio.Event()
        # One request of each kind stands in the host's queue, so that looking never waits behind idling.
        self._queues = {True: trio.Lock(), False: trio.Lock()}
        self._login = trio.Lock()
        self._full: list[Callable[[], None]] = []  # of those who wait for a connection that will idle
        self._tries = 0
        self._last_failure: ImapError | None = None

    async def connect(self, full: Callable[[], None] | None = None) -> ImapConnection:
        """A connection that is logged in. With `full` it is one that will idle; `full` is told while the host has no
        room for such. Raises ImapError; while the account is being left alone, its last refusal.

        Whoever waited while somebody else's login failed gets that failure: a server that does not answer costs one
        deadline, not one for each mailbox.
        """
        came, live = self._tries, full is not None
        with self._to_be_told(full):
            await self._queues[live].acquire()
        try:
            self._check(came)
            with self._to_be_told(full):
                seat = await self.host.seat(
                    self.account, live=live, troubled=self._last_failure is not None, full=self._tell_full
                )
            try:
                async with self._login:
                    self._check(came)
                    connection = await self._open()
            except BaseException:  # cancelled, too: the place goes back to the others
                seat.leave()
                raise
        finally:
            self._queues[live].release()
        self.open += 1

        def closed() -> None:
            self.open -= 1
            self._closed_at = time.monotonic()
            seat.leave()

        connection.when_closed(closed)
        return connection

    def hurry(self) -> None:
        """Somebody asks: do not wait for the next try, unless the last one was only just."""
        self._not_before = min(self._not_before, self._last_try + HURRY_PAUSE)

    async def pause(self, seconds: float) -> None:
        """Sleep; when the account is refused, no longer than until it is accepted again."""
        with trio.move_on_after(seconds):
            if self.refused:
                await self._accepted.wait()
            else:
                await trio.sleep_forever()

    @contextmanager
    def _to_be_told(self, full: Callable[[], None] | None) -> Iterator[None]:
        if full is None:
            yield
            return
        self._full.append(full)
        try:
            yield
        finally:
            self._full.remove(full)

    def _tell_full(self) -> None:
        for full in self._full:
            full()

    def _check(self, came: int) -> None:
        if trio.current_time() < self._not_before:
            raise ImapError(self.refused, scope=Scope.ACCOUNT, retry=self._retry)
        if self._tries != came and self._last_failure is not None:
            raise copy.copy(self._last_failure)

    async def _open(self) -> ImapConnection:
        self._last_try = trio.current_time()
        try:
            with trio.fail_after(self.endpoint.connect_timeout * 3):
                connection = await aio(ImapConnection.open, self.endpoint)
        except trio.TooSlowError:
            text = f"{self.endpoint} did not finish the login in time; is it an IMAP server?"
            self._failed(ConnectionLost(text))
            raise ConnectionLost(text) from None
        except CommandFailed as error:
            if error.code != "LIMIT" or not self.open:
                self._failed(error)
                raise
            if time.monotonic() - self._closed_at > SETTLED:
                self.crowded(self.open)
            crowded = CommandFailed(f"{error} (with {self.open} open)", code=error.code)
            self._failed(crowded)
            raise crowded from None
        except ImapError as error:
            self._failed(error)
            raise
        if self.refused:
            log.info("account accepted again", account=self.account)
        self.refused, self._failures = "", 0
        self._tries, self._last_failure = self._tries + 1, None
        self._accepted.set()
        return connection

    def _failed(self, error: ImapError) -> None:
        # Of the original its traceback would hold frames for as long as nothing else happens.
        self._tries, self._last_failure = self._tries + 1, copy.copy(error).with_traceback(None)
        if error.scope is Scope.ACCOUNT:
            self._refuse(error)

    def _refuse(self, error: ImapError) -> None:
        self._failures += 1
        self._retry = error.retry
        self._accepted = trio.Event()
        wait = pause(self._failures, verdict(error), random.random)
        self._not_before = trio.current_time() + wait
        self.refused = str(error)
        log.error("account refused", account=self.account, error=self.refused, next_try_s=round(wait))
