"""What has been in flight for long: heard of, or lost?

`stored` events can be lost (a reconnect), streams can lose messages (deleted, aged out, a power cut: MAIL_BACKFILL is
acknowledged before it is on disk). The database is what counts; the settled part of a stream tells what nobody will
store any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

import structlog
import trio

from mailcore import metrics
from mailcore.aio import aio
from mailcore.bus import MESSAGE_STREAMS, Bus, StreamPosition
from mailcore.errors import MozzartError
from mailcore.sync.statuses import Standing
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
            await _look_all(list(mailboxes()), shared)
        except MozzartError as error:  # NATS or the database is away; the next round asks again
            log.debug("in flight not looked up", error=str(error))


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


def began_again(before: StreamPosition | None, acked: int, now: StreamPosition) -> bool:
    """Whether a stream was made anew since `before`, or ends before what it held then, or has `acked`. Pure."""
    if before is None:
        return now.last_seq < acked
    return before.created != now.created or now.last_seq < max(before.last_seq, acked)


async def _look_all(mailboxes: Sequence[MailboxTasks], shared: Shared) -> None:
    acked = dict.fromkeys(MESSAGE_STREAMS, 0)
    for mailbox in mailboxes:
        for entry in mailbox.machine.uids.in_flight.values():
            acked[entry.stream] = max(acked[entry.stream], entry.seq)
    anew = set()
    for stream in MESSAGE_STREAMS:
        now = await aio(shared.bus.position, stream)
        if began_again(shared.positions.get(stream), acked[stream], now):
            log.warning("the stream began again: what is in flight is published once more", stream=stream)
            anew.add(stream)
        shared.positions[stream] = now
    before = time.monotonic() - OLD
    if any(mailbox.machine.overdue(before, anew) for mailbox in mailboxes):
        # In this order: what is acknowledged below this floor was committed before, so the database read shows it.
        streams = {stream: await _standing(shared.bus, stream, stream in anew) for stream in MESSAGE_STREAMS}
        for mailbox in mailboxes:
            await _look(mailbox, shared, before, streams)


async def _standing(bus: Bus, stream: str, anew: bool) -> Standing:
    floor = await aio(bus.ack_floor, stream)
    position = await aio(bus.position, stream)
    return Standing(floor, position.first_seq, position.last_seq, anew)


async def _look(mailbox: MailboxTasks, shared: Shared, before: float, streams: Mapping[str, Standing]) -> None:
    machine, uidvalidity = mailbox.machine, mailbox.machine.uidvalidity
    old = machine.overdue(before, [stream for stream, standing in streams.items() if standing.anew])
    if not old:
        return
    stored = await aio(shared.store.stored_among, machine.row_id, uidvalidity, list(old))
    if machine.uidvalidity != uidvalidity:
        return
    lost = machine.looked_up(old, stored, time.monotonic(), streams)
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
