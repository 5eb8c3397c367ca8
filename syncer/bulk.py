"""Taking what is missing: the backlog, newest first, over a connection that is not the live one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import trio

from mailcore.aio import aio
from mailcore.errors import CommandFailed
from mailcore.events.message import FoundBy
from mailcore.imap.sequence import UidSet
from mailcore.sync.reconcile import batches
from mailcore.sync.retry import leaves
from syncer import metrics
from syncer.attempt import keep_trying
from syncer.book import Book
from syncer.imap.connection import FetchedMessage, ImapConnection
from syncer.mailbox import Mailbox
from syncer.transfer import Transfer

CHUNK = 500  # UIDs asked for their sizes at once
BATCH_COUNT = 50
BATCH_OCTETS = 8 << 20
WORKERS = 4  # FETCH commands in flight


@dataclass(frozen=True, slots=True)
class _Batch:
    uids: list[int]
    octets: int
    large: FetchedMessage | None = None


async def drain(mailbox: Mailbox) -> None:
    """The task: whenever there is a backlog, take it, for ever."""

    async def once() -> None:
        await _take_backlog(mailbox)

    def failed(text: str, seconds: float) -> None:
        mailbox.log.warning("fetching missing mail failed", error=text, next_try_s=round(seconds, 1))
        mailbox.request_look(full=True)

    while True:
        await mailbox.work.wait()
        mailbox.work = trio.Event()
        if mailbox.backlog:
            await keep_trying(f"bulk {mailbox.key}", once, failed)


async def _take_backlog(mailbox: Mailbox) -> None:
    book = mailbox.book
    if book is None or not mailbox.backlog:
        return
    async with mailbox.connections.bulk() as connection:
        selected = await aio(connection.select, mailbox.key.mailbox)
        if selected.uidvalidity != book.ledger.uidvalidity:
            await aio(connection.unselect)
            mailbox.request_look(full=True)
            return
        send, receive = trio.open_memory_channel[_Batch](0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_plan_batches, mailbox, book, connection, send)
            for _ in range(WORKERS):
                nursery.start_soon(_work, mailbox, book, connection, receive.clone())
            receive.close()
        await aio(connection.unselect)


async def _plan_batches(
    mailbox: Mailbox, book: Book, connection: ImapConnection, send: trio.MemorySendChannel[_Batch]
) -> None:
    """The newest of the backlog first, also of what came in while we worked."""
    limit = mailbox.shared.bus.max_inline
    async with send:
        while mailbox.backlog and mailbox.book is book:
            chunk = mailbox.backlog.newest(CHUNK)
            mailbox.backlog -= chunk
            wanted = UidSet(uid for uid in chunk if not book.ledger.knows(uid))
            if not wanted:
                continue
            facts = {fact.uid: fact for fact in await aio(connection.uid_fetch_facts, wanted) if fact.uid in wanted}
            for uid in wanted:
                if uid not in facts:
                    book.vanished(uid)
            ordered = [facts[uid] for uid in sorted(facts, reverse=True)]
            for fact in ordered:
                if fact.size >= limit:
                    await send.send(_Batch([fact.uid], fact.size, fact))
            small = ((fact.uid, fact.size) for fact in ordered if fact.size < limit)
            for uids, octets in batches(small, count=BATCH_COUNT, octets=BATCH_OCTETS):
                await send.send(_Batch(uids, octets))


async def _work(
    mailbox: Mailbox, book: Book, connection: ImapConnection, receive: trio.MemoryReceiveChannel[_Batch]
) -> None:
    async with receive:
        async for batch in receive:
            await book.credit.reserve(batch.octets)
            try:
                await _take(mailbox, book, connection, batch)
            finally:
                book.credit.give(batch.octets)  # what was published counts by itself now


async def _take(mailbox: Mailbox, book: Book, connection: ImapConnection, batch: _Batch) -> None:
    claimed = [uid for uid in batch.uids if book.ledger.claim(uid)]
    if not claimed:
        return
    try:
        await _transfer(mailbox, book, connection, claimed, batch.large)
    except* CommandFailed as refused:
        if len(claimed) == 1:
            book.fail(claimed[0], str(leaves(refused)[0]))
            mailbox.log.warning("message not given", uid=claimed[0], error=str(leaves(refused)[0]))
        else:  # one bad message must not keep its neighbours (I5)
            for uid in claimed:
                await _take(mailbox, book, connection, _Batch([uid], 0))


async def _transfer(
    mailbox: Mailbox, book: Book, connection: ImapConnection, uids: list[int], large: FetchedMessage | None
) -> None:
    tally = mailbox.tally
    found_by = FoundBy.SWEEP if tally is None else tally.found_by
    transfer = Transfer(
        connection, mailbox.shared.bus, book, mailbox.shared.spool, found_by, pushed_at=datetime.now(UTC)
    )
    if large is not None:
        await aio(transfer.large, large)
    else:
        await aio(transfer.batch, UidSet(uids))
    metrics.PUBLISHED.labels(*metrics.of(book.key), found_by.value).inc(len(transfer.seen))
    for uid in uids:
        if uid not in transfer.seen and not book.ledger.knows(uid):
            book.vanished(uid)
