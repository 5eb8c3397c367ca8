"""The live connection: IDLE (RFC 2177), and the fetch of what a push hints at.

A push is a hint, never evidence: it starts a `UID FETCH n:*`, and the sweep proves what came of it.
"""

from __future__ import annotations

from datetime import UTC, datetime

import trio

from mailcore.aio import aio
from mailcore.errors import CommandFailed, ConnectionLost, ImapError
from mailcore.events.message import FoundBy
from mailcore.imap.response import Exists, Expunge, Vanished
from mailcore.sync.retry import leaves
from syncer import metrics
from syncer.attempt import keep_trying
from syncer.imap.connection import ImapConnection, Push
from syncer.mailbox import Mailbox
from syncer.transfer import Transfer

REFRESH = 300.0  # seconds; RFC 2177 allows 29 minutes, middleboxes forget connections much sooner
# Dovecot with hibernation never announces mail that comes in the second half of the first second of an IDLE (20 of 20
# tries). So a moment later another connection asks for UIDNEXT: one round trip, and the IDLE is left alone, which to
# issue anew would only open the next such gap.
SECOND_LOOK = 1.2
STEADY = 30.0  # a connection that lived this long was a good one: the pauses begin anew


async def live(mailbox: Mailbox) -> None:
    """The task: hold the connection, for ever."""

    def failed(text: str, seconds: float) -> None:
        metrics.RECONNECTS.labels(*metrics.of(mailbox.key)).inc()
        mailbox.entered("backing off", f"{text} (next try in {seconds:.1f} s)")

    async def once() -> None:
        await _hold(mailbox)

    while True:
        await keep_trying(f"live {mailbox.key}", once, failed, mailbox.connections.wait)


async def _hold(mailbox: Mailbox) -> None:
    """One connection from login to its end. Returns if it ended after a steady life, raises if it hardly began."""

    def full(why: str) -> None:
        mailbox.entered("polling", f"no push, the sweep alone finds mail: {why} are in use")

    async with mailbox.connections.live(full) as connection:
        began = trio.current_time()
        try:
            if connection.supports_idle:
                await _follow(mailbox, connection)
        except* ConnectionLost as lost:
            if trio.current_time() - began < STEADY:
                raise
            metrics.RECONNECTS.labels(*metrics.of(mailbox.key)).inc()
            mailbox.entered("connecting", str(leaves(lost)[0]))
        finally:
            mailbox.live_from = None
            mailbox.interrupt = None
    if not connection.supports_idle:
        mailbox.entered("polling", "")
        mailbox.log.info("server has no IDLE; the sweep alone finds mail", every_s=mailbox.shared.interval)
        await trio.sleep_forever()


async def _follow(mailbox: Mailbox, connection: ImapConnection) -> None:
    selected = await aio(connection.select, mailbox.key.mailbox)
    await _same_generation(mailbox, selected.uidvalidity)
    first = selected.uidnext or mailbox.highest + 1
    mailbox.request_look()  # what came while nobody listened is below `first`
    async with trio.open_nursery() as nursery:
        await _take_pushes(mailbox, connection, first, nursery)


async def _take_pushes(mailbox: Mailbox, connection: ImapConnection, first: int, nursery: trio.Nursery) -> None:
    second_look = trio.CancelScope()
    while True:
        mailbox.live_from = first
        mailbox.interrupt = connection.interrupt_idle
        mailbox.entered("idling")
        second_look.cancel()
        second_look = trio.CancelScope()
        nursery.start_soon(_look_again, mailbox, second_look)
        push = await _idle(connection)
        mailbox.interrupt = None
        if any(isinstance(hint, Exists) for hint in push.hints) or push.reason == "interrupted":
            first = await _fetch(mailbox, connection, first, push)
        if any(isinstance(hint, Expunge | Vanished) for hint in push.hints):
            mailbox.request_look()


async def _look_again(mailbox: Mailbox, scope: trio.CancelScope) -> None:
    """Whether something came that this IDLE does not announce."""
    with scope:
        await trio.sleep(SECOND_LOOK)
        try:
            async with mailbox.connections.look() as connection:
                uidnext = (await aio(connection.status, mailbox.key.mailbox)).uidnext
        except ImapError as error:
            mailbox.log.debug("second look failed", error=str(error))
            mailbox.request_look()
            return
        if mailbox.live_from is not None and uidnext > mailbox.live_from:
            mailbox.request_look()


async def _idle(connection: ImapConnection) -> Push:
    async def idle() -> Push:
        return await connection.idle(refresh=REFRESH)

    with trio.move_on_after(REFRESH + 60):  # the client has deadlines of its own; this one holds if it fails
        return await aio(idle)
    raise ConnectionLost("IDLE did not end in time")


async def _same_generation(mailbox: Mailbox, uidvalidity: int) -> None:
    """Only the sweep opens generations; wait until it has opened this one."""
    await mailbox.opened.wait()
    while mailbox.book is None or mailbox.book.ledger.uidvalidity != uidvalidity:
        tally = mailbox.request_look(full=True)
        await tally.settled.wait()
        if tally.error:
            raise ConnectionLost(f"the sweep could not open UIDVALIDITY {uidvalidity}: {tally.error}")


async def _fetch(mailbox: Mailbox, connection: ImapConnection, first: int, push: Push) -> int:
    """Publish everything from `first` on; returns the next `first`."""
    book = mailbox.book
    if book is None:
        raise AssertionError("the live connection follows a mailbox that is not open")
    transfer = Transfer(
        connection, mailbox.shared.bus, book, mailbox.shared.spool, FoundBy.PUSH, push.at or datetime.now(UTC)
    )
    try:
        await aio(transfer.push, first)
    except* CommandFailed as refused:
        mailbox.log.warning("push not fetched; the sweep takes it", error=str(leaves(refused)[0]))
        mailbox.request_look(full=True)
    mailbox.highest = max(mailbox.highest, transfer.highest)
    metrics.PUBLISHED.labels(*metrics.of(mailbox.key), FoundBy.PUSH.value).inc(len(transfer.seen))
    if transfer.seen:
        count = [hint.count for hint in push.hints if isinstance(hint, Exists)][-1:]
        mailbox.remember(last_push_at=datetime.now(UTC), last_uid=mailbox.highest)
        if count:
            mailbox.remember(message_count=count[0])
    return max(first, transfer.highest + 1)
