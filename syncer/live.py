"""The live connection: IDLE (RFC 2177), and the fetch of what a push hints at.

A push is a hint, never evidence: it starts a `UID FETCH n:*`, and the sweep proves what came of it.
"""

from __future__ import annotations

from datetime import UTC, datetime

import trio

from mailcore.aio import aio
from mailcore.errors import CommandFailed, ConnectionLost, ImapError, Scope
from mailcore.imap.response import Exists, Expunge, Fetch, Vanished
from mailcore.imap.sequence import UidSet
from mailcore.sync.flags import hinted
from mailcore.sync.retry import leaves, verdict
from syncer import metrics
from syncer.attempt import keep_trying
from syncer.imap.connection import SEQUENCE_CHARS, IdleRefused, ImapConnection, Push, Selected
from syncer.mailbox import MailboxTasks
from syncer.pushed import fetch_pushed
from syncer.transfer import Transfer

REFRESH = 300.0  # seconds; RFC 2177 allows 29 minutes, middleboxes forget connections much sooner
# Dovecot with hibernation never announces mail that comes in the second half of the first second of an IDLE (20 of 20
# tries). So a moment later another connection asks for UIDNEXT: one round trip, and the IDLE is left alone, which to
# issue anew would only open the next such gap.
SECOND_LOOK = 1.2
STEADY = 30.0  # a connection that lived this long was a good one: the pauses begin anew
OPENING = 3  # sweeps that may pass until one opens the generation that this connection sees
IDLE_AGAIN = 600.0  # where IDLE was refused, it is tried again after this
QUICK = 1.0  # an IDLE that the server ends sooner, without a word, is none
QUICK_ENDS = 3


async def live(mailbox: MailboxTasks) -> None:
    """The task: hold the connection, for ever."""

    def failed(text: str, seconds: float) -> None:
        metrics.RECONNECTS.labels(*metrics.of(mailbox.key)).inc()
        mailbox.fails("live", text, seconds)
        mailbox.entered("backing off", f"{text} (next try in {seconds:.1f} s)")

    async def once() -> None:
        while failure := mailbox.machine.failure:  # two that try would be twice as many connections
            mailbox.entered("backing off", failure)
            await mailbox.swept.wait()
        await _hold(mailbox)

    while True:
        await keep_trying(f"live {mailbox.key}", once, failed, mailbox.connections.wait)


async def _hold(mailbox: MailboxTasks) -> None:
    """One connection from login to its end. Returns if it ended after a steady life, raises if it hardly began."""

    def full(why: str) -> None:
        mailbox.entered("polling", f"no push, the sweep alone finds mail: {why} are in use")

    polling = ""
    async with mailbox.connections.live(full) as connection:
        began = trio.current_time()
        try:
            if connection.supports_idle:
                await _follow(mailbox, connection)
            polling = "server has no IDLE"
        except* IdleRefused as refused:
            polling = str(leaves(refused)[0])
        except* ConnectionLost as lost:
            if trio.current_time() - began < STEADY:
                raise
            metrics.RECONNECTS.labels(*metrics.of(mailbox.key)).inc()
            mailbox.entered("connecting", str(leaves(lost)[0]))
        finally:
            mailbox.machine.live_from = None
            mailbox.interrupt = None
            mailbox.notices.release(connection)
    if polling:
        mailbox.entered("polling")
        mailbox.log.info("no push, the sweep alone finds mail", why=polling, every_s=mailbox.shared.interval)
        await trio.sleep(IDLE_AGAIN)


async def _follow(mailbox: MailboxTasks, connection: ImapConnection) -> None:
    """SELECT and follow, again for each generation and after each pause of the account."""
    while True:
        selected = await _select(mailbox, connection)
        await _same_generation(mailbox, selected.uidvalidity)
        mailbox.ask()  # what came while nobody listened is below `first`
        await mailbox.notices.hold(connection)
        async with trio.open_nursery() as nursery:
            await _Following(mailbox, connection, selected, nursery).run()
            nursery.cancel_scope.cancel()


async def _select(mailbox: MailboxTasks, connection: ImapConnection) -> Selected:
    """Where it is refused another connection would be refused it as well."""
    attempt = 0
    while True:
        try:
            return await aio(connection.select, mailbox.key.mailbox)
        except CommandFailed as refused:
            if refused.scope is Scope.ACCOUNT:
                raise
            attempt += 1
            wait = mailbox.wait_after(attempt + 2, verdict(refused))  # the sweep asks as well
            mailbox.fails("live", f"{refused}", wait)
            mailbox.entered("backing off", f"{refused} (next try in {wait:.1f} s)")
            await trio.sleep(wait)


async def _same_generation(mailbox: MailboxTasks, uidvalidity: int) -> None:
    """Only the sweep opens generations; wait until it has opened this one."""
    sweeps = 0
    while (open_one := mailbox.machine.uidvalidity) != uidvalidity:
        if sweeps == OPENING:
            raise ConnectionLost(
                f"{mailbox.account.host}: UIDVALIDITY of {mailbox.key.mailbox!r} is {uidvalidity} where we idle "
                f"and {open_one} on others"
            )
        sweeps += bool(open_one)
        swept = mailbox.swept
        mailbox.ask(full=True)
        await swept.wait()


class _Following:
    """One mailbox as one connection has selected it."""

    def __init__(
        self, mailbox: MailboxTasks, connection: ImapConnection, selected: Selected, nursery: trio.Nursery
    ) -> None:
        self.mailbox = mailbox
        self.connection = connection
        self.uidvalidity = selected.uidvalidity
        self._first = selected.uidnext or mailbox.machine.highest + 1
        self._exists = selected.exists
        self._nursery = nursery
        self._second_look = trio.CancelScope()
        self._stale = False  # something was announced while the account was paused
        self._flags = False  # the last IDLE told of flags

    async def run(self) -> None:
        """Until another SELECT is needed."""
        mailbox, quick = self.mailbox, 0
        while mailbox.machine.uidvalidity == self.uidvalidity and not (
            self._stale and mailbox.connections.paused is None
        ):
            mailbox.machine.live_from = self._first
            mailbox.interrupt = self.connection.interrupt_idle
            mailbox.entered("idling")
            self._second_look.cancel()
            self._second_look = trio.CancelScope()
            self._nursery.start_soon(self._look_again, self._second_look)
            began = trio.current_time()
            push = await _idle(self.connection)
            mailbox.interrupt = None
            quick = quick + 1 if push.reason == "ended" and trio.current_time() - began < QUICK else 0
            if quick >= QUICK_ENDS:
                raise IdleRefused(f"{mailbox.account.host}: the server ends each IDLE at once")
            mailbox.notices.take(push.hints)
            if any(isinstance(hint, Exists) for hint in push.hints) or push.reason == "interrupted":
                await self._fetch(push)
            self._flags = any(isinstance(hint, Fetch) for hint in push.hints)
            if self._flags:
                await self._flags_changed(push)
            if any(isinstance(hint, Expunge | Vanished) for hint in push.hints):
                mailbox.ask(full=True)  # with an arrival the counters may be as they were

    async def _look_again(self, scope: trio.CancelScope) -> None:
        """Whether something came that this IDLE does not announce."""
        mailbox = self.mailbox
        with scope:
            await trio.sleep(SECOND_LOOK)
            try:
                async with mailbox.connections.look() as connection:
                    status = await aio(connection.status, mailbox.key.mailbox)
            except ImapError as error:
                mailbox.log.debug("second look failed", error=str(error))
                mailbox.ask()
                return
            uidnext = status.uidnext
            if uidnext is None or (mailbox.machine.live_from is not None and uidnext > mailbox.machine.live_from):
                mailbox.ask()
            if self._flags:
                mailbox.flags.told(status.highestmodseq)
                mailbox.changed()

    async def _fetch(self, push: Push) -> None:
        """Publish everything from `first` on."""
        mailbox, machine = self.mailbox, self.mailbox.machine
        if machine.birth is None or machine.uidvalidity != self.uidvalidity:
            return
        if mailbox.connections.paused is not None:
            if not self._stale:
                self._nursery.start_soon(self._after_pause)
            self._stale = True
            return
        transfer, given = await fetch_pushed(mailbox, self.connection, self._first, push.at or datetime.now(UTC))
        if not given:
            await self._announced(transfer)
        self._first = max(self._first, transfer.highest + 1)
        told = [hint.count for hint in push.hints if isinstance(hint, Exists)][-1:]
        if told:
            mailbox.remember(message_count=told[0])
            if told[0] - (self._exists or 0) > transfer.answers:
                mailbox.ask()  # more was announced than given
            self._exists = told[0]

    async def _flags_changed(self, push: Push) -> None:
        """Another connection compares; without MODSEQs this one alone knows whose flags they are."""
        mailbox = self.mailbox
        if mailbox.machine.uidvalidity != self.uidvalidity:
            return
        if mailbox.flags.reached is not None:
            mailbox.flags.hint()
        elif mailbox.connections.paused is None:
            uids, numbers = hinted(push.hints)
            if numbers and len(str(numbers)) <= SEQUENCE_CHARS:
                try:
                    uids |= await aio(self.connection.fetch_uids, numbers)
                except CommandFailed as refused:
                    mailbox.connections.judge(refused)
            mailbox.flags.doubt(uids)
        mailbox.changed()

    async def _announced(self, transfer: Transfer) -> None:
        """What a push announced could not be had together: it is missing, as if a sweep had found it."""
        if self.mailbox.connections.paused is None:
            uids = await aio(self.connection.uid_search, f"UID {self._first}:*")
            uids &= UidSet.from_ranges([(self._first, 0xFFFF_FFFF)])
            self.mailbox.machine.announced(self.uidvalidity, uids)
            transfer.highest = max(transfer.highest, uids.max if uids else 0)
        self.mailbox.ask()

    async def _after_pause(self) -> None:
        paused = self.mailbox.connections.paused
        if paused is not None:
            await self.mailbox.connections.wait(paused.until - trio.current_time())
        self.connection.interrupt_idle()


async def _idle(connection: ImapConnection) -> Push:
    async def idle() -> Push:
        return await connection.idle(refresh=REFRESH)

    with trio.move_on_after(REFRESH + 60):  # the client has deadlines of its own; this one holds if it fails
        return await aio(idle)
    raise ConnectionLost("IDLE did not end in time")
