"""The sweep: what the server has, what we have, and the difference. It never believes a push, a date or a flag.

Without a change it costs one round trip (STATUS). The whole set is compared at the start, on request, after any change,
and every FULL_EVERY looks.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import trio

from mailcore.aio import aio
from mailcore.errors import ConnectionLost, MozzartError
from mailcore.events.thin import Expunged, Reset, Synced
from mailcore.imap.sequence import UidSet
from mailcore.store import MailboxColumns
from mailcore.sync.generation import Birth, OldGenerations
from mailcore.sync.ledger import Ledger
from mailcore.sync.reconcile import Snapshot, plan, unchanged
from mailcore.sync.retry import verdict
from syncer import metrics
from syncer.attempt import keep_trying
from syncer.book import Book, Tally
from syncer.imap.connection import ImapConnection, Selected
from syncer.mailbox import Mailbox
from syncer.transfer import publish_all

FULL_EVERY = 10
STATUS_DEADLINE = (3.0, 30.0)  # seconds, at least and at most
PUSH_GRACE = 2.0


async def sweep(mailbox: Mailbox, nursery: trio.Nursery) -> None:
    """The task: look at the start, every interval and on request, for ever."""
    looks = 0

    async def once() -> None:
        tally = mailbox.request_look()
        mailbox.wanted = trio.Event()  # whoever asks from here on may have come too late for this look
        full, mailbox.want_full = mailbox.want_full or looks % FULL_EVERY == 0, False
        try:
            await _look(mailbox, tally, full, nursery)
        except BaseException:  # cancelled, too: the full comparison is still owed
            mailbox.want_full |= full
            raise

    def failed(text: str, seconds: float) -> None:
        mailbox.log.warning("sweep failed", error=text, next_try_s=round(seconds, 1))
        mailbox.remember(last_sync_status="failed", last_error=text, last_error_at=datetime.now(UTC))
        tally = mailbox.tally
        if tally is not None and not tally.looked:  # a run that has looked waits for what it found, and that goes on
            tally.fail(text)
            _report_soon(mailbox, tally, nursery)

    async def pause(seconds: float) -> None:
        with trio.move_on_after(seconds):
            await mailbox.wanted.wait()

    while True:
        await keep_trying(f"sweep {mailbox.key}", once, failed, pause)
        looks += 1
        await pause(mailbox.shared.interval)


async def _look(mailbox: Mailbox, tally: Tally, full: bool, nursery: trio.Nursery) -> None:
    began = time.monotonic()
    async with mailbox.connections.look() as connection:
        snapshot = await _status(mailbox, connection)
        if not full and _nothing_to_do(mailbox, snapshot):
            _done(mailbox, tally, snapshot, began, nursery)
            return
        selected = await aio(connection.select, mailbox.key.mailbox)
        book = mailbox.book
        if book is None or book.ledger.uidvalidity != selected.uidvalidity:
            book = await _open_generation(mailbox, connection, selected)
        if tally not in book.tallies:
            book.tallies.append(tally)
        stored_before = book.ledger.stored  # before the server is asked: see reconcile.plan
        server = await aio(connection.uid_search)
        wanted = await _in_scope(mailbox, book, connection, server)
        await aio(connection.unselect)
    found = plan(wanted, stored_before, book.ledger)
    gone = stored_before - server
    mailbox.highest = max(mailbox.highest, server.max if server else 0)
    book.compared(server)
    missing = found.missing
    if missing:
        nursery.start_soon(_judge_push, mailbox, missing)
    tally.add(missing)
    mailbox.enqueue(missing)
    await _expunge(mailbox, book, gone, tally)
    await _end_old_generations(mailbox, book, missing, tally)
    mailbox.snapshot = snapshot if snapshot.uidvalidity == selected.uidvalidity else None
    _done(mailbox, tally, snapshot, began, nursery)


async def _status(mailbox: Mailbox, connection: ImapConnection) -> Snapshot:
    """One round trip, with a deadline that follows the server's pace: this connection may have gone silent since the
    last look, and mail waits until we know."""
    began = trio.current_time()
    deadline = min(max(STATUS_DEADLINE[0], 20 * mailbox.status_took), STATUS_DEADLINE[1])
    with trio.move_on_after(deadline):
        status = await aio(connection.status, mailbox.key.mailbox)
        mailbox.status_took = trio.current_time() - began
        return Snapshot(status.uidvalidity, status.uidnext, status.messages, status.highestmodseq)
    mailbox.status_took = deadline  # if it is slow and not silent, the next one gets more time
    raise ConnectionLost(f"{mailbox.account.host}: no answer to STATUS within {deadline:.0f} s")


def _nothing_to_do(mailbox: Mailbox, snapshot: Snapshot) -> bool:
    book = mailbox.book
    return book is not None and not book.failed and not book.old and unchanged(mailbox.snapshot, snapshot)


async def _in_scope(mailbox: Mailbox, book: Book, connection: ImapConnection, server: UidSet) -> UidSet:
    """IMAP_BACKFILL: what of the server's set is to be taken. SEARCH SINCE (RFC 9051 §6.4.4) knows days only, so one
    day more is asked for than is needed."""
    backfill = mailbox.account.backfill
    if backfill == "all":
        return server
    birth = book.birth
    arrived = server & UidSet.from_ranges([(birth.uidnext, 0xFFFFFFFF)])
    days = 0 if backfill == "none" else int(backfill)
    if backfill == "none" and birth.first:
        return arrived
    since = birth.seen_at - timedelta(days=days + 1)
    return arrived | (server & await aio(connection.uid_search, f"SINCE {_imap_date(since)}"))


def _imap_date(moment: datetime) -> str:
    months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()  # strftime would follow the locale
    return f"{moment.day}-{months[moment.month - 1]}-{moment.year}"


async def _open_generation(mailbox: Mailbox, connection: ImapConnection, selected: Selected) -> Book:
    """Read what is stored under this UIDVALIDITY; write its birth before anything of it is published."""
    shared, key, now = mailbox.shared, mailbox.key, datetime.now(UTC)
    state = await aio(shared.store.load_mailbox, key)
    if state is None or state.uidvalidity != selected.uidvalidity:
        uidnext = selected.uidnext
        if uidnext is None:  # RFC 3501 §6.3.1 made it optional
            server = await aio(connection.uid_search)
            uidnext = server.max + 1 if server else 1
        columns: MailboxColumns = {
            "uidvalidity": selected.uidvalidity,
            "uidnext": uidnext,
            "first_uidnext": uidnext,
            "message_count": selected.exists,
        }
        if state is None or state.uidvalidity is None:
            columns["first_seen_at"] = now
            columns["first_uidvalidity"] = selected.uidvalidity
        else:
            mailbox.log.warning("uidvalidity changed", old=state.uidvalidity, new=selected.uidvalidity)
            reset = Reset(
                account=key.account,
                mailbox=key.mailbox,
                at=now,
                old_uidvalidity=state.uidvalidity,
                uidvalidity=selected.uidvalidity,
            )
            await aio(shared.bus.publish, reset)

        async def save() -> None:
            await shared.store.save_mailbox(key, **columns)

        await aio(save)
        state = await aio(shared.store.load_mailbox, key)
        if state is None:
            raise AssertionError("a mailbox row that was just written is not there")
    uidvalidity = selected.uidvalidity
    old = OldGenerations(
        (place.sha256, place.uidvalidity, place.uid)
        for place in await aio(shared.store.other_generations, state.id, uidvalidity)
    )
    birth = Birth(state.first_seen_at or now, state.first_uidnext or 1, state.first_uidvalidity == uidvalidity)
    stored = await aio(shared.store.stored_uids, state.id, uidvalidity)
    ours = [i for i in shared.dead if i.key == key and i.uidvalidity == uidvalidity]
    ledger = Ledger(uidvalidity, stored, (identity.uid for identity in ours))
    book = Book(key, state.id, ledger, birth, old, shared.credit)
    for identity in [i for i in shared.unsettled if i.key == key]:
        seq, size = shared.unsettled.pop(identity)
        if identity.uidvalidity == uidvalidity and not ledger.knows(identity.uid):
            book.published(identity.uid, seq, size)
    mailbox.install(book)
    mailbox.log.info("mailbox opened", uidvalidity=uidvalidity, server=selected.exists, stored=len(ledger.stored),
                     in_flight=len(ledger.in_flight))  # fmt: skip
    return book


async def _expunge(mailbox: Mailbox, book: Book, gone: UidSet, tally: Tally) -> None:
    if not gone:
        return
    now, key = datetime.now(UTC), mailbox.key
    await aio(
        publish_all,
        mailbox.shared.bus,
        [Expunged(account=key.account, mailbox=key.mailbox, at=now, uidvalidity=book.ledger.uidvalidity, uid=uid)
         for uid in gone],
    )  # fmt: skip
    book.ledger.forget(gone)
    tally.expunged += len(gone)
    mailbox.log.info("expunged", messages=len(gone), uids=str(gone)[:100])


async def _end_old_generations(mailbox: Mailbox, book: Book, missing: UidSet, tally: Tally) -> None:
    """I7: once every message of the new generation is stored, what no message has claimed is gone from the server."""
    ledger = book.ledger
    if not book.old or missing or mailbox.backlog or ledger.claimed or ledger.in_flight or book.failed:
        return
    now, key, rest = datetime.now(UTC), mailbox.key, book.old.rest()
    await aio(
        publish_all,
        mailbox.shared.bus,
        [Expunged(account=key.account, mailbox=key.mailbox, at=now, uidvalidity=place.uidvalidity, uid=place.uid)
         for place in rest],
    )  # fmt: skip
    book.old = OldGenerations()
    tally.expunged += len(rest)
    if rest:
        mailbox.log.info("expunged with the old uidvalidity", messages=len(rest))


async def _judge_push(mailbox: Mailbox, missing: UidSet) -> None:
    """Mail that IDLE should have announced: if it has not even now, that connection is not to be trusted."""
    if mailbox.live_from is None:
        return
    late = [uid for uid in missing if uid >= mailbox.live_from]
    if not late:
        return
    await trio.sleep(PUSH_GRACE)
    if mailbox.live_from is None or mailbox.interrupt is None:
        return  # that connection has ended, or is fetching at this moment
    missed = [uid for uid in late if uid >= mailbox.live_from]
    if missed:
        metrics.SWEEP_FOUND_MISSED.labels(*metrics.of(mailbox.key)).inc(len(missed))
        mailbox.missed += len(missed)
        mailbox.remember(sweep_found_missed=mailbox.missed)
        mailbox.log.warning("sweep found what IDLE did not announce; asking that connection", messages=len(missed))
        mailbox.interrupt()


def _done(mailbox: Mailbox, tally: Tally, snapshot: Snapshot, began: float, nursery: trio.Nursery) -> None:
    tally.looked = True
    mailbox.remember(
        uidnext=snapshot.uidnext,
        highestmodseq=snapshot.highestmodseq,
        message_count=snapshot.messages,
        last_uid=mailbox.highest or None,
        last_sync_at=datetime.now(UTC),
        last_sync_status="ok",
    )
    metrics.SWEEP_SECONDS.observe(time.monotonic() - began)
    mailbox.swept_at = time.time()
    tally.check()
    _report_soon(mailbox, tally, nursery)


def _report_soon(mailbox: Mailbox, tally: Tally, nursery: trio.Nursery) -> None:
    if not tally.reported:
        tally.reported = True
        nursery.start_soon(_report, mailbox, tally)


async def _report(mailbox: Mailbox, tally: Tally) -> None:
    """When the run has ended: the `synced` event and one log line, if it did something or somebody asked."""
    await tally.settled.wait()
    if mailbox.book is not None and tally in mailbox.book.tallies:
        mailbox.book.tallies.remove(tally)
    result = tally.result(mailbox.key)
    if not (tally.asked or result.found or result.expunged or result.error):
        return
    mailbox.log.info("synced", by=tally.found_by.value, found=result.found, published=result.published,
                     stored=result.stored, expunged=result.expunged, ms=result.duration_ms,
                     **({"error": result.error} if result.error else {}))  # fmt: skip
    event = Synced(
        account=result.account,
        mailbox=result.mailbox,
        at=datetime.now(UTC),
        run_id=tally.run_id,
        status="failed" if result.status == "failed" else "ok",
        found_by=tally.found_by,
        found=result.found,
        published=result.published,
        stored=result.stored,
        expunged=result.expunged,
        duration_ms=result.duration_ms,
        error=result.error,
    )
    try:
        await aio(mailbox.shared.bus.publish, event)
    except MozzartError as error:
        mailbox.log.warning("synced event not published", error=verdict(error).text)
