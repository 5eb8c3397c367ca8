"""The sweep: what the server has, what we have, and the difference. It never believes a push, a date or a flag.

Without a change it costs one round trip (STATUS). What it found is judged by the machine.
"""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from math import inf

import trio

from mailcore.aio import aio
from mailcore.errors import ConnectionLost
from mailcore.events.thin import Reset
from mailcore.imap.sequence import UidSet
from mailcore.store import MailboxColumns, MailboxState
from mailcore.sync.generation import Birth, OldGenerations
from mailcore.sync.listing import Listing, Snapshot
from mailcore.sync.mailbox import Sweep
from mailcore.sync.retry import errors_alone
from syncer import metrics
from syncer.attempt import judge
from syncer.imap.connection import ImapConnection, Selected
from syncer.mailbox import MailboxTasks, refusals
from syncer.pushed import fetch_pushed
from syncer.transfer import publish_expunged

STATUS_DEADLINE = (3.0, 30.0)  # seconds, at least and at most
LONGEST = 600.0  # seconds that a sweep may take, whatever the server sends
PUSHED_AT_ONCE = 100  # UIDs that a push may have given to new mail
EXPUNGED_AT_ONCE = 1000  # events published together, so that others are served in between


async def sweep(mailbox: MailboxTasks) -> None:
    """The task: the clock of the machine, for ever."""
    machine = mailbox.machine
    while True:
        await mailbox.until(lambda: machine.next_tick)
        now = time.monotonic()
        machine.tick(now)
        if missed := machine.distrusted(now):
            _distrust(mailbox, missed)
        if machine.sweep_at <= now:
            mailbox.start_soon(_sweep, mailbox, machine.begin_sweep(now, uuid.uuid4().hex))
        mailbox.changed()


async def _sweep(mailbox: MailboxTasks, begun: Sweep) -> None:
    machine = mailbox.machine
    try:
        with trio.move_on_after(LONGEST) as deadline:
            await _compare(mailbox, begun)
        if deadline.cancelled_caught:
            raise ConnectionLost(f"{mailbox.account.host}: the comparison took more than {LONGEST:.0f} s")
    except BaseException as error:
        if not errors_alone(error):  # cancelled
            machine.abandon_sweep(begun)
            raise
        found = judge(error, f"sweep {mailbox.key}")
        wait = mailbox.wait_after(machine.attempts + 1, found)
        mailbox.fails("sweep", found.text, wait)
        machine.sweep_failed(begun, found.text, time.monotonic(), wait)
    finally:
        swept, mailbox.swept = mailbox.swept, trio.Event()
        swept.set()
        mailbox.remember()
        mailbox.changed()


async def _compare(mailbox: MailboxTasks, begun: Sweep) -> None:
    machine, began = mailbox.machine, time.monotonic()
    gone = UidSet()
    pushed, mailbox.pushed = mailbox.pushed, None
    snapshot = None if pushed else await mailbox.counters(mailbox.key.mailbox)
    if snapshot is None or not machine.nothing_new(begun, snapshot):
        snapshot, gone = await _look(mailbox, begun, snapshot, pushed=pushed)
    await _expunge(mailbox, gone)
    await _end_old_generations(mailbox)
    machine.swept(begun, snapshot, time.monotonic())
    mailbox.works("sweep")
    if machine.doubt:
        mailbox.log.debug("sweep not whole", why=machine.doubt)
        return
    mailbox.flags.swept(snapshot.highestmodseq, machine.listed or UidSet())
    mailbox.remember(
        uidnext=snapshot.uidnext,
        highestmodseq=snapshot.highestmodseq,
        message_count=len(machine.listed or ()),
        last_uid=machine.highest or None,
        last_sync_at=datetime.now(UTC),
    )
    if machine.fetch_at == inf:
        mailbox.connections.accepted()  # else a FETCH is the proof
    metrics.SWEEP_SECONDS.observe(time.monotonic() - began)
    mailbox.swept_at = time.time()


async def _look(
    mailbox: MailboxTasks, begun: Sweep, snapshot: Snapshot | None, *, pushed: datetime | None
) -> tuple[Snapshot, UidSet]:
    """The counters, if they are not known, and when they do not prove that nothing changed the list of the UIDs.
    Returns them, and what is to be announced as expunged."""
    machine, gone = mailbox.machine, UidSet()
    async with mailbox.connections.look() as connection:
        asked = snapshot is None and not pushed
        selected: Selected | None = None
        if pushed:  # something happened there: STATUS would be a round trip for nothing
            selected = await aio(connection.select, mailbox.key.mailbox)
            snapshot = Snapshot(selected.uidvalidity, selected.uidnext, selected.exists, selected.highestmodseq)
        snapshot = snapshot or await _status(mailbox, connection)
        if not (asked and machine.nothing_new(begun, snapshot)):
            if selected is None:
                selected = await aio(connection.select, mailbox.key.mailbox)
            if not await _open(mailbox, connection, selected):
                raise ConnectionLost(
                    f"{mailbox.account.host}: UIDVALIDITY of {mailbox.key.mailbox!r} is {selected.uidvalidity} on this "
                    "connection and was another one before; a second connection is asked"
                )
            if pushed:
                await _fetch_pushed(mailbox, connection, selected, pushed)
            known = machine.known()
            gone = machine.compare(known, await _list(mailbox, begun, connection, selected, snapshot), time.monotonic())
            mailbox.changed()  # what is missing is fetched meanwhile
            if machine.doubt:
                connection.kill()  # the next sweep is made on another one
            else:
                await aio(connection.unselect)
    return snapshot, gone


async def _fetch_pushed(
    mailbox: MailboxTasks, connection: ImapConnection, selected: Selected, pushed: datetime
) -> None:
    """What came since the last look is published before anything else is asked. Where it cannot be had so, or is much,
    it is missing like all else."""
    machine = mailbox.machine
    first = machine.highest + 1
    known = machine.listed is not None and not machine.doubt
    if known and selected.uidnext is not None and 0 < selected.uidnext - first <= PUSHED_AT_ONCE:
        await fetch_pushed(mailbox, connection, first, pushed)


def counted(mailbox: MailboxTasks, counters: Snapshot) -> None:
    """A LIST told the counters of a mailbox that did not ask for them: as good as a sweep when nothing changed, so that
    all mailboxes of an account are swept by one LIST."""
    if mailbox.machine.counted(counters, time.monotonic(), uuid.uuid4().hex):
        mailbox.remember(last_sync_at=datetime.now(UTC))
        mailbox.swept_at = time.time()
    mailbox.changed()


async def _status(mailbox: MailboxTasks, connection: ImapConnection) -> Snapshot:
    """One round trip, with a deadline that follows the server's pace: this connection may have gone silent since the
    last sweep, and mail waits until we know."""
    began = time.monotonic()
    deadline = min(max(STATUS_DEADLINE[0], 20 * mailbox.status_took), STATUS_DEADLINE[1])
    with trio.move_on_after(deadline):
        status = await aio(connection.status, mailbox.key.mailbox)
        mailbox.status_took = time.monotonic() - began
        return Snapshot(status.uidvalidity, status.uidnext, status.messages, status.highestmodseq)
    mailbox.status_took = deadline  # if it is slow and not silent, the next one gets more time
    raise ConnectionLost(f"{mailbox.account.host}: no answer to STATUS within {deadline:.0f} s")


async def _list(
    mailbox: MailboxTasks, begun: Sweep, connection: ImapConnection, selected: Selected, snapshot: Snapshot
) -> Listing:
    """The UIDs in the mailbox. Without ESEARCH what is new is enough, as long as the counters agree with it."""
    machine = mailbox.machine
    birth, before = machine.birth, machine.listed
    if birth is None:
        raise AssertionError("a mailbox is listed that is not open")
    uids, exists = UidSet(), selected.exists
    compact = bool(connection.capabilities & {"ESEARCH", "IMAP4REV2"})
    if before and not begun.full and not compact:
        newer = await aio(connection.uid_search, f"UID {before.max + 1}:*")
        uids, exists = before | newer, connection.exists
    if not uids or len(uids) != exists:
        listed = await aio(connection.uid_search_all)
        uids, exists = listed.uids, listed.exists
    if len(uids) != exists:  # FETCH lists them, too; some servers answer SEARCH from a window under load
        uids, exists = uids | await aio(connection.uid_fetch_uids), connection.exists
    criteria = birth.criteria(mailbox.account.backfill)
    scope = uids if criteria == "ALL" else birth.arrived(uids)
    if criteria not in ("", "ALL"):
        scope |= uids & await aio(connection.uid_search, criteria)
    return Listing(selected.uidvalidity, uids, scope, exists, snapshot.messages, connection)


async def _open(mailbox: MailboxTasks, connection: ImapConnection, selected: Selected) -> bool:
    """Read what is stored under this UIDVALIDITY; write its birth before anything of it is published. False: another
    connection is to be asked whether it has changed."""
    machine, shared, key, now = mailbox.machine, mailbox.shared, mailbox.key, datetime.now(UTC)
    if machine.uidvalidity == selected.uidvalidity:
        return machine.believes(machine.uidvalidity, selected.uidvalidity, connection)
    state = await aio(shared.store.load_mailbox, key)
    if not machine.believes(state.uidvalidity if state else None, selected.uidvalidity, connection):
        return False
    await aio(shared.origins.load, key.account, shared.store)
    await aio(mailbox.budget.load)
    machine.close()  # from here on the live connection's UIDs are of nobody knows which generation
    if state is None or state.uidvalidity != selected.uidvalidity:
        state = await _begin_generation(mailbox, connection, selected, state)
    uidvalidity = selected.uidvalidity
    old = OldGenerations(
        (place.sha256, place.uidvalidity, place.uid)
        for place in await aio(shared.store.other_generations, state.id, uidvalidity)
    )
    seen_at = state.first_seen_at or now
    account_seen_at = await aio(shared.store.account_seen_at, key.account) or seen_at
    birth = Birth(account_seen_at, seen_at, state.first_uidnext or 1, state.first_uidvalidity == uidvalidity)
    stored = await aio(shared.store.stored_uids, state.id, uidvalidity)
    in_flight, dead = shared.transit.take(key, state.id)
    machine.opened(
        uidvalidity,
        birth,
        time.monotonic(),
        stored=stored,
        row_id=state.id,
        dead=[uid for generation, uid in dead if generation == uidvalidity],
        in_flight={uid: flown for (generation, uid), flown in in_flight.items() if generation == uidvalidity},
        refused=refusals(state.refused),
        old=old,
    )
    mailbox.flags.opened(state.flags_modseq, time.monotonic())
    mailbox.remember(flags_modseq=state.flags_modseq)  # what was to be written is of the generation before
    if mailbox.interrupt is not None:
        mailbox.interrupt()  # that connection follows the generation before
    mailbox.log.info("mailbox opened", uidvalidity=uidvalidity, server=selected.exists, stored=len(machine.uids.stored),
                     in_flight=len(machine.uids.in_flight))  # fmt: skip
    return True


async def _begin_generation(
    mailbox: MailboxTasks, connection: ImapConnection, selected: Selected, before: MailboxState | None
) -> MailboxState:
    key, now, uidnext = mailbox.key, datetime.now(UTC), selected.uidnext
    if uidnext is None:  # RFC 3501 §6.3.1 made it optional
        server = await aio(connection.uid_search)
        uidnext = server.max + 1 if server else 1
    columns: MailboxColumns = {
        "uidvalidity": selected.uidvalidity,
        "uidnext": uidnext,
        "first_uidnext": uidnext,
        "message_count": selected.exists or 0,
        "refused": [],
        "flags_modseq": None,
        "deleted_at": None,
    }
    if before is None or before.uidvalidity is None:
        # Before anything is fetched: nothing that changes from here on falls through. Rows that are rebound have the
        # flags of their old generation, so after a reset all are compared.
        columns["flags_modseq"] = selected.highestmodseq
        columns["first_seen_at"] = mailbox.found_at
        columns["first_uidvalidity"] = selected.uidvalidity
    else:
        mailbox.log.warning("uidvalidity changed", old=before.uidvalidity, new=selected.uidvalidity)
        reset = Reset(
            account=key.account,
            mailbox=key.mailbox,
            at=now,
            old_uidvalidity=before.uidvalidity,
            uidvalidity=selected.uidvalidity,
        )
        await aio(mailbox.shared.bus.publish, reset)

    async def save() -> MailboxState:
        return await mailbox.shared.store.save_mailbox(key, **columns)

    return await aio(save)


async def _expunge(mailbox: MailboxTasks, gone: UidSet) -> None:
    machine, uidvalidity = mailbox.machine, mailbox.machine.uidvalidity
    for chunk in gone.chunks(EXPUNGED_AT_ONCE):
        places = [(uidvalidity, uid) for uid in chunk]
        await aio(publish_expunged, mailbox.shared.bus, mailbox.key, machine.row_id, places)
        machine.expunged(uidvalidity, chunk)
    if gone:
        mailbox.log.info("expunged", messages=len(gone), uids=str(gone)[:100])


async def _end_old_generations(mailbox: MailboxTasks) -> None:
    rest = mailbox.machine.unclaimed()
    for start in range(0, len(rest), EXPUNGED_AT_ONCE):
        places = [(place.uidvalidity, place.uid) for place in rest[start : start + EXPUNGED_AT_ONCE]]
        await aio(publish_expunged, mailbox.shared.bus, mailbox.key, mailbox.machine.row_id, places)
    if rest:
        mailbox.machine.old_ended(len(rest))
        mailbox.log.info("expunged with the old uidvalidity", messages=len(rest))


def _distrust(mailbox: MailboxTasks, missed: int) -> None:
    """Mail that IDLE should have announced and has not even now."""
    if mailbox.interrupt is None:
        return  # that connection has ended, or is fetching at this moment
    metrics.SWEEP_FOUND_MISSED.labels(*metrics.of(mailbox.key)).inc(missed)
    mailbox.missed += missed
    mailbox.remember(sweep_found_missed=mailbox.missed)
    mailbox.log.warning("sweep found what IDLE did not announce; asking that connection", messages=missed)
    mailbox.interrupt()
