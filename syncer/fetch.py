"""Taking what is missing, newest first, over a connection that is not the live one."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import trio

from mailcore.aio import aio
from mailcore.errors import CommandFailed, ConnectionLost, ImapError, Scope
from mailcore.events.message import FoundBy
from mailcore.imap.sequence import UidSet
from mailcore.sync.listing import batches
from mailcore.sync.mailbox import Fetch
from syncer import metrics
from syncer.attempt import keep_trying
from syncer.imap.connection import FetchedMessage, ImapConnection
from syncer.mailbox import MailboxTasks
from syncer.transfer import Transfer

CHUNK = 500  # UIDs asked for their sizes at once
BATCH_COUNT = 50
BATCH_OCTETS = 8 << 20
WORKERS = 4  # FETCH commands in flight
APART_SILENCE = 30.0  # seconds without a byte until a FETCH of suspects is given up; others have the connection's time
APART_LONGEST = 900.0
AFTER_LOSS = (0.5, 2.0)  # seconds, first and longest, until the next connection when one ended
NOT_THERE = "the server lists it and answers FETCH without it"


@dataclass(frozen=True, slots=True)
class _Job:
    """One FETCH, the how-manieth on this connection; `large` is a message that comes by parts. `older`: it is of what
    the budget bounds, and counts there until it has ended."""

    number: int
    uids: UidSet
    octets: int = 0
    large: FetchedMessage | None = None
    older: bool = False


async def fetch(mailbox: MailboxTasks) -> None:
    """The task: whenever there is something to fetch, take it, for ever."""

    lost = [0]  # connections that ended in a row

    async def once() -> None:
        ended = await _fetch(mailbox)
        lost[0] = lost[0] + 1 if ended is not None else 0
        if ended is None:
            mailbox.works("fetch")
        else:
            failed(f"{ended}", wait := min(AFTER_LOSS[0] * 2 ** (lost[0] - 1), AFTER_LOSS[1]))
            await trio.sleep(wait)

    def failed(text: str, seconds: float) -> None:
        mailbox.fails("fetch", text, seconds)

    while True:
        await mailbox.until(lambda: mailbox.machine.fetch_at)
        mailbox.reckon()
        if mailbox.machine.fetch_at > time.monotonic():
            continue
        await keep_trying(f"fetch {mailbox.key}", once, failed, mailbox.connections.wait)
        mailbox.remember()


async def _fetch(mailbox: MailboxTasks) -> ImapError | None:
    """Returns what ended the connection, if it was one of the messages, and that is known to the machine."""
    async with mailbox.connections.bulk() as connection:
        selected = await aio(connection.select, mailbox.key.mailbox)
        if selected.uidvalidity != mailbox.machine.uidvalidity:
            mailbox.ask(full=True)
            raise ConnectionLost(f"{mailbox.account.host}: UIDVALIDITY is another one on this connection")
        fetching = _Fetching(mailbox, connection)
        await fetching.run()
        if fetching.failure is None:
            await aio(connection.unselect)
            return None
        if fetching.failure.scope is Scope.ACCOUNT:
            raise fetching.failure
        connection.kill()
        return fetching.failure


class _Fetching:
    """Everything that is to be fetched now, over one connection. `failure` is what ended that early."""

    def __init__(self, mailbox: MailboxTasks, connection: ImapConnection) -> None:
        self.mailbox = mailbox
        self.machine = mailbox.machine
        self.connection = connection
        self.budget = mailbox.budget.of_day
        self.uidvalidity = mailbox.machine.uidvalidity
        self.failure: ImapError | None = None
        self._claimed = UidSet()
        self._under_way: dict[int, UidSet] = {}
        self._number = 0
        self._idle = trio.lowlevel.ParkingLot()
        self._failed: list[tuple[int, UidSet, ImapError]] = []

    async def run(self) -> None:
        send, receive = trio.open_memory_channel[_Job](0)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._plan, send)
                for _ in range(WORKERS):
                    nursery.start_soon(self._work, receive.clone())
                receive.close()
        finally:
            self._blame()
            self.machine.give_back(self.uidvalidity, self._claimed, time.monotonic())
            self.mailbox.reckon()

    async def _plan(self, send: trio.MemorySendChannel[_Job]) -> None:
        """The newest first, also of what came in while we worked."""
        async with send:
            while self.failure is None and self.machine.uidvalidity == self.uidvalidity:
                self.mailbox.reckon()
                wish = self.machine.claim(time.monotonic(), CHUNK)
                if wish is None:
                    return
                self._claimed |= wish.uids
                if wish.apart:
                    await self._apart(wish)
                else:
                    await self._split(wish, send)

    async def _split(self, wish: Fetch, send: trio.MemorySendChannel[_Job]) -> None:
        limit = self.mailbox.shared.bus.max_inline
        found: list[FetchedMessage] = []

        async def facts() -> None:
            found.extend(await aio(self.connection.uid_fetch_facts, wish.uids))

        if not await self._try(self._begin(wish.uids), facts):
            return
        facts_of = {fact.uid: fact for fact in found if fact.uid in wish.uids}
        for fact in facts_of.values():
            if self._bounded(fact.uid):
                self.budget.saw(fact.size or 0)
        ordered = [facts_of[uid] for uid in sorted(facts_of, reverse=True)]
        for older in (False, True):
            await self._send([fact for fact in ordered if self._bounded(fact.uid) is older], send, limit, older=older)
        await self._try(self._begin(wish.uids), lambda: self._confirm(wish.uids - UidSet(facts_of)))

    def _bounded(self, uid: int) -> bool:
        return bool(self.budget.limit) and self.machine.is_older(uid)

    async def _send(
        self, facts: list[FetchedMessage], send: trio.MemorySendChannel[_Job], limit: int, *, older: bool
    ) -> None:
        octets = min(BATCH_OCTETS, self.budget.piece) if older else BATCH_OCTETS
        jobs: list[tuple[UidSet, int, FetchedMessage | None]]
        jobs = [(UidSet((one.uid,)), one.size, one) for one in facts if one.size is not None and one.size >= limit]
        small = ((fact.uid, fact.size or 0) for fact in facts if fact.size is None or fact.size < limit)
        jobs += [(UidSet(numbers), size, None) for numbers, size in batches(small, count=BATCH_COUNT, octets=octets)]
        for uids, size, large in jobs:
            if older and (at := self.mailbox.budget.older_at(size)) > time.monotonic():
                self._put_off(uids, at)
                continue
            job = _Job(self._begin(uids), uids, size, large, older)
            if older:
                self.budget.begin(size)
            try:
                await send.send(job)
            except BaseException:  # cancelled, too: nobody has taken the job, and its bytes are not under way
                self._ended(job)
                raise

    def _put_off(self, uids: UidSet, until: float) -> None:
        now = time.monotonic()
        self.machine.give_back(self.uidvalidity, uids, now)
        self._claimed -= uids
        self.machine.put_off(until, now)

    def _ended(self, job: _Job) -> None:
        if job.older:
            self.budget.end(job.octets)

    async def _apart(self, wish: Fetch) -> None:
        """One FETCH that is alone on the connection, so that what ends it is known."""
        while self._under_way:
            await self._idle.park()
        number = self._begin(wish.uids)
        silence = min(APART_SILENCE, self.connection.endpoint.command_timeout)
        with trio.move_on_after(APART_LONGEST) as deadline, self.connection.silence(silence):
            await self._try(number, lambda: self._transfer(_Job(number, wish.uids)))
        if deadline.cancelled_caught:
            self._note(number, wish.uids, ConnectionLost(f"no end of a FETCH within {APART_LONGEST:.0f} s"))

    async def _work(self, receive: trio.MemoryReceiveChannel[_Job]) -> None:
        async with receive:
            async for job in receive:
                try:
                    await self._try(job.number, partial(self._transfer, job))
                finally:
                    self._ended(job)

    def _begin(self, uids: UidSet) -> int:
        """It is under way until _try() has ended."""
        self._number += 1
        self._under_way[self._number] = uids
        return self._number

    async def _try(self, number: int, run: Callable[[], Awaitable[None]]) -> bool:
        """Run it; False if the server refused or the connection ended. Other errors are not the messages' fault."""
        try:
            if self.failure is None:
                await run()
                return True
        except ImapError as error:
            self._note(number, self._under_way[number], error)
        finally:
            self._under_way.pop(number, None)
            self._idle.unpark_all()
        return False

    def _note(self, number: int, uids: UidSet, error: ImapError) -> None:
        if isinstance(error, CommandFailed) and error.scope is not Scope.ACCOUNT and not error.retry_after:
            self._fail(uids, error)
        else:
            self._failed.append((number, uids, error))
            self.failure = self.failure or error

    def _blame(self) -> None:
        """A server answers in order: the first of what was under way is what ended the connection."""
        for _, uids, error in sorted(self._failed, key=lambda one: one[0])[:1]:
            if error.scope is Scope.ACCOUNT or error.retry_after or self.mailbox.connections.paused:
                self.machine.hold(f"{error}", time.monotonic(), error.retry_after or 0.0)
            else:
                self._fail(uids, error)

    def _fail(self, uids: UidSet, error: ImapError) -> None:
        left = [uid for uid in uids if uid in self.machine.uids.claimed]
        final = isinstance(error, CommandFailed)
        self.machine.failed(self.uidvalidity, left, str(error), time.monotonic(), final=final)
        self._claimed -= uids
        self.mailbox.tell_refused(left)

    async def _transfer(self, job: _Job) -> None:
        async with self.mailbox.shared.credit.room(job.octets):
            await self._take(job.uids, job.large)

    async def _take(self, uids: UidSet, large: FetchedMessage | None) -> None:
        machine, birth = self.machine, self.machine.birth
        if birth is None or machine.uidvalidity != self.uidvalidity:
            return
        found_by = machine.run.found_by if machine.run is not None else FoundBy.SWEEP
        shared, now = self.mailbox.shared, datetime.now(UTC)
        transfer = Transfer(self.connection, shared.bus, machine, birth, shared.origins, shared.spool, found_by, now)
        try:
            if large is not None:
                await aio(transfer.large, large)
            else:
                await aio(transfer.batch, uids)
            await self._confirm(uids - UidSet(transfer.given) - UidSet(transfer.not_given))
        finally:
            metrics.PUBLISHED.labels(*metrics.of(self.mailbox.key), found_by.value).inc(len(transfer.given))
            self.mailbox.not_given(self.uidvalidity, transfer.not_given)
            self._claimed -= UidSet(transfer.given) | UidSet(transfer.not_given)
        self.mailbox.connections.accepted()

    async def _confirm(self, uids: UidSet) -> None:
        """What was listed and is not given has been expunged meanwhile, or is refused without a word."""
        if not uids:
            return
        listed = await aio(self.connection.uid_search, f"UID {uids}")
        for uid in uids - listed:
            self.machine.vanished(self.uidvalidity, uid, time.monotonic())
        self.mailbox.not_given(self.uidvalidity, dict.fromkeys(uids & listed, NOT_THERE))
        self._claimed -= uids
