"""Flags: what changed on the server becomes events, and the consumer's rows follow. See mailcore/sync/flags.py.

A task of its own, with connections of its own: whatever a server makes of this, mail does not wait for it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Final

import trio

from mailcore.aio import aio
from mailcore.bus import MAIL_EVENTS, PubAck
from mailcore.errors import BusError, CommandFailed, ConnectionLost, Scope
from mailcore.events.thin import Flags
from mailcore.imap.sequence import UidSet
from mailcore.store import RowFlags
from mailcore.sync.flags import Look, Told, difference
from syncer import metrics
from syncer.attempt import keep_trying
from syncer.imap.connection import ImapConnection
from syncer.mailbox import MailboxTasks

AT_ONCE: Final = 1000  # events on their way to the rows of one mailbox
SETTLE_FIRST: Final = 0.01  # seconds between two questions whether they have arrived, at first and at the most
SETTLE_LONGEST: Final = 2.0
RESOLUTION: Final = timedelta(microseconds=1)  # of a time in the database


async def flags(mailbox: MailboxTasks) -> None:
    """The task: whenever flags may have changed, for ever."""
    following, machine, looking = mailbox.flags, mailbox.machine, _Looking(mailbox)

    def due() -> float:
        if machine.listed is None or machine.failure:  # not compared yet, or the server is in trouble
            return inf
        return following.due(machine.uids.stored if following.todo else UidSet())

    async def once() -> None:
        await mailbox.until(due)
        await looking.run()
        mailbox.works("flags")

    def failed(text: str, seconds: float) -> None:
        mailbox.fails("flags", text, seconds)
        following.failed(time.monotonic(), seconds)

    while True:
        await keep_trying(f"flags {mailbox.key}", once, failed, mailbox.connections.wait)


class _Looking:
    """One look after another. `_sent` is the sequence in MAIL_EVENTS up to which something of ours may be on its way to
    a row; 0: nothing is, None: nobody knows."""

    def __init__(self, mailbox: MailboxTasks) -> None:
        self._mailbox = mailbox
        self._machine = mailbox.machine
        self._following = mailbox.flags
        self._sent: int | None = None

    async def run(self) -> None:
        mailbox, machine = self._mailbox, self._machine
        await self._arrived()
        uidvalidity = machine.uidvalidity
        async with mailbox.connections.look() as connection:
            selected = await aio(connection.select, mailbox.key.mailbox)
            if selected.uidvalidity != machine.uidvalidity:
                mailbox.ask(full=True)
                raise ConnectionLost(f"{mailbox.account.host}: UIDVALIDITY is another one on this connection")
            uids = machine.uids
            look = self._following.begin(
                selected.highestmodseq, uids.stored, uids.waiting | uids.open, time.monotonic()
            )
            told = await self._fetch(connection, look)
            await aio(connection.unselect)
        if told is None:
            return
        without_row = UidSet()
        for chunk in told.chunks(AT_ONCE):
            rows = await aio(mailbox.shared.store.flags_of, machine.row_id, uidvalidity, list(chunk))
            if machine.uidvalidity != uidvalidity:
                return
            without_row |= UidSet(uid for uid in chunk if uid not in rows and self._may_come(uid, look))
            if events := self._events(uidvalidity, chunk, rows):
                await self._publish(events)
                await self._arrived()
        if machine.uidvalidity == uidvalidity:
            self._following.compared(look, told, without_row, time.monotonic())
            mailbox.remember(flags_modseq=self._following.kept)

    async def _fetch(self, connection: ImapConnection, look: Look) -> Told | None:
        """None: the server has no CHANGEDSINCE after all."""
        try:
            if look.since is not None:
                return await aio(connection.uid_fetch_flags, None, look.since)
            return await aio(connection.uid_fetch_flags, look.uids) if look.uids else Told()
        except CommandFailed as refused:
            if look.since is None or refused.scope is Scope.ACCOUNT or refused.retry_after:
                raise
            self._mailbox.log.warning("CHANGEDSINCE refused; all flags are compared now and then", error=str(refused))
            self._following.without_modseqs()
            return None

    def _may_come(self, uid: int, look: Look) -> bool:
        """Whether it is listed, or newer than what is listed, and had no row when the look began."""
        return uid not in look.stored and (uid > self._machine.highest or self._machine.uids.of(uid) is not None)

    def _events(
        self,
        uidvalidity: int,
        told: Mapping[int, tuple[tuple[str, ...], int | None]],
        rows: Mapping[int, RowFlags],
    ) -> list[Flags]:
        key, now = self._mailbox.key, datetime.now(UTC)
        events = []
        for uid, row in rows.items():
            now_set, modseq = told[uid]
            found = difference(row.flags, now_set)
            if found is None:
                continue
            # Later than the row's, whatever the clock says: what is earlier would not be applied.
            at = max(now, row.flags_at + RESOLUTION) if row.flags_at is not None else now
            events.append(
                Flags(
                    account=key.account,
                    mailbox=key.mailbox,
                    at=at,
                    uidvalidity=uidvalidity,
                    uid=uid,
                    flags=found.flags,
                    added=found.added,
                    removed=found.removed,
                    modseq=modseq,
                    mailbox_id=self._machine.row_id,
                )
            )
        return events

    async def _publish(self, events: list[Flags]) -> None:
        self._sent = None  # what gets no PubAck may be in the stream all the same
        outcomes = await aio(self._mailbox.shared.bus.publish_all, events)
        acks = [one.seq for one in outcomes if isinstance(one, PubAck)]
        metrics.FLAGS.labels(*metrics.of(self._mailbox.key)).inc(len(acks))
        for one in outcomes:
            if isinstance(one, BusError):
                raise one
        self._sent = max(acks)

    async def _arrived(self) -> None:
        """Until the consumers have settled what was sent: only then the rows say what was told."""
        bus, wait, idle = self._mailbox.shared.bus, SETTLE_FIRST, 0
        while self._sent != 0:
            try:
                if self._sent is None:
                    self._sent = (await aio(bus.position, MAIL_EVENTS)).last_seq
                floor, waiting = await aio(bus.settled, "flags")
                # A durable with nothing left has settled all, though its floor stays at the last that it let through;
                # asked twice, as a PubAck may be quicker than the durable.
                idle = 0 if waiting else idle + 1
                if floor >= self._sent or idle == 2:
                    self._sent = 0
                    return
            except BusError as error:  # NATS is away: so are the rows' changes
                self._mailbox.log.debug("flags: waiting for NATS", error=str(error))
                idle = 0
            await trio.sleep(wait)
            wait = min(2 * wait, SETTLE_LONGEST)
