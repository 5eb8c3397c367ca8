"""What has been in flight for long: heard of, or lost?

`stored` events can be lost (a reconnect), streams can lose messages (deleted, aged out). The database is what counts;
the acknowledged part of the stream tells what nobody will store any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

import structlog
import trio

from mailcore import metrics
from mailcore.aio import aio
from mailcore.bus import Bus
from mailcore.errors import MozzartError
from syncer.mailbox import MailboxTasks, Shared

log = structlog.get_logger(__name__)
EVERY = 5.0
LATE = 60.0  # seconds in flight after which somebody is told, though nobody says what it waits for
OLD = 10.0  # seconds in flight; a consumer that is alive needs milliseconds


async def watch(mailboxes: Callable[[], Iterable[MailboxTasks]], shared: Shared) -> None:
    """The task, for ever."""
    while True:
        await trio.sleep(EVERY)
        await _tell_what_stalls(list(mailboxes()), shared)
        try:
            made_anew = await _stream_made_anew(shared)
            for mailbox in list(mailboxes()):
                await _audit(mailbox, shared, made_anew)
        except MozzartError as error:  # NATS or the database is away; the next round asks again
            log.debug("in flight not audited", error=str(error))


async def _tell_what_stalls(mailboxes: Sequence[MailboxTasks], shared: Shared) -> None:
    """Why nothing is stored, to the mailboxes that wait for it."""
    faults: dict[str, str] = {}
    if any(one.machine.uids.in_flight or one.machine.uids.claimed for one in mailboxes):
        try:
            faults = (await aio(metrics.waiting, shared.bus)).faults
        except MozzartError as error:
            faults = {"NATS": str(error)}
    why = "; ".join(f"{process} {words}" for process, words in faults.items())
    for mailbox in mailboxes:
        machine = mailbox.machine
        words = why
        if not why and (late := machine.overdue(time.monotonic() - LATE)):
            words = f"{len(late)} message(s) in flight for a minute and not stored; the consumer's log has the reason"
        if words != machine.stalled:
            machine.stall(words)
            mailbox.remember()
            mailbox.changed()


async def _stream_made_anew(shared: Shared) -> bool:
    """Whether somebody deleted the stream MAIL since the last round, and with it all that was in flight."""
    made = (await aio(shared.bus.position, "MAIL")).created
    before, shared.stream_made = shared.stream_made, made
    return before not in ("", made)


async def _audit(mailbox: MailboxTasks, shared: Shared, made_anew: bool) -> None:
    machine, uidvalidity = mailbox.machine, mailbox.machine.uidvalidity
    old = machine.overdue(time.monotonic() - (0 if made_anew else OLD))
    if not old:
        return
    # In this order: what is acknowledged below this floor was committed before, so the database read shows it.
    floor = await aio(shared.bus.ack_floor)
    position = await aio(shared.bus.position, "MAIL")
    stored = await aio(shared.store.stored_among, machine.row_id, uidvalidity, list(old))
    if machine.uidvalidity != uidvalidity:
        return
    lost = machine.audited(
        old,
        stored,
        time.monotonic(),
        ack_floor=floor,
        first_seq=position.first_seq,
        last_seq=position.last_seq,
        made_anew=made_anew,
    )
    if lost:
        dead = await aio(_dead, shared.bus, mailbox)
        for uid in [uid for uid in lost if uid in dead]:
            machine.settled(uidvalidity, uid, time.monotonic(), dead=f"see MAIL_DEAD ({datetime.now(UTC):%Y-%m-%d})")
            lost -= type(lost)((uid,))
    if lost:
        mailbox.log.warning("events lost before they were stored; publishing them again", messages=len(lost))
        machine.lost(uidvalidity, lost)
    shared.credit.changed()
    mailbox.remember()
    mailbox.changed()


async def _dead(bus: Bus, mailbox: MailboxTasks) -> set[int]:
    machine = mailbox.machine
    return {
        letter.identity.uid
        async for letter in bus.dead_letters()
        if letter.identity.uidvalidity == machine.uidvalidity
        and (letter.mailbox_id == machine.row_id or (not letter.mailbox_id and letter.identity.key == mailbox.key))
    }
