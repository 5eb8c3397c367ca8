"""What has been in flight for long: heard of, or lost?

`stored` events can be lost (a reconnect), streams can lose messages (deleted, aged out). The database is what counts;
the acknowledged part of the stream tells what nobody will store any more.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime

import structlog
import trio

from mailcore.aio import aio
from mailcore.errors import MozzartError
from mailcore.events.identity import Identity
from mailcore.sync.reconcile import Audit, audit
from syncer.book import Book
from syncer.mailbox import Mailbox, Shared

log = structlog.get_logger(__name__)
EVERY = 5.0
OLD = 10.0  # seconds in flight; a consumer that is alive needs milliseconds


async def watch(mailboxes: Iterable[Mailbox], shared: Shared) -> None:
    """The task, for ever. `mailboxes` is asked anew each time."""
    while True:
        await trio.sleep(EVERY)
        try:
            made_anew = await _stream_made_anew(shared)
            for mailbox in list(mailboxes):
                await _audit(mailbox, shared, made_anew)
        except MozzartError as error:  # NATS or the database is away; the next round asks again
            log.debug("in flight not audited", error=str(error))


async def _stream_made_anew(shared: Shared) -> bool:
    """Whether somebody deleted the stream MAIL since the last round, and with it all that was in flight."""
    made = (await aio(shared.bus.position, "MAIL")).created
    before, shared.stream_made = shared.stream_made, made
    return before not in ("", made)


async def _audit(mailbox: Mailbox, shared: Shared, made_anew: bool) -> None:
    book = mailbox.book
    if book is None:
        return
    old = book.ledger.older_than(time.monotonic() - (0 if made_anew else OLD))
    if not old:
        return
    # In this order: what is acknowledged below this floor was committed before, so the database read shows it.
    floor = await aio(shared.bus.ack_floor)
    position = await aio(shared.bus.position, "MAIL")
    stored = await aio(shared.store.stored_among, book.mailbox_id, book.ledger.uidvalidity, list(old))
    found = audit(
        old,
        stored,
        ack_floor=floor,
        first_seq=position.first_seq,
        last_seq=position.last_seq,
        made_anew=made_anew,
    )
    for uid in found.stored:
        book.settled(uid)
    if found.lost:
        await _lost(mailbox, book, found, shared)


async def _lost(mailbox: Mailbox, book: Book, found: Audit, shared: Shared) -> None:
    dead: set[Identity] = await aio(shared.bus.dead_identities)
    lost = 0
    for uid in found.lost:
        if book.identity(uid) in dead:
            book.settled(uid, dead=f"see the stream MAIL_DEAD ({datetime.now(UTC):%Y-%m-%d})")
        else:
            book.release(uid)
            lost += 1
    if lost:
        mailbox.log.warning("events lost before they were stored; publishing them again", messages=lost)
        mailbox.request_look(full=True)
