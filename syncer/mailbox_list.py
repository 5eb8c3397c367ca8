"""LIST of one account, with each sweep: which mailboxes there are, and their counters where the server gives them in
the same answer (RFC 5819), so that an account costs one round trip however many mailboxes it has."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog
import trio

from mailcore.aio import aio
from mailcore.errors import ConnectionLost
from mailcore.settings import Account
from mailcore.sync.listing import Snapshot
from mailcore.sync.mailbox_list import fits, is_pattern
from mailcore.sync.outage import Outage
from mailcore.sync.retry import errors_alone, pause
from syncer.attempt import judge
from syncer.connections import Connections
from syncer.imap.connection import ImapConnection, Listed, MailboxesListed, MailboxStatus

log = structlog.get_logger(__name__)
GATHER = 0.02  # seconds in which those who ask are answered by one LIST
SELDOM = 60.0  # between two of a mailbox that is troubled
SOON = 1.0  # until the next one, when another connection is to confirm what this one told
# Seconds that a LIST may take, at least and at most: the connection may have gone silent since the last one, and mail
# waits until we know; an account with many mailboxes is slow.
DEADLINE = (5.0, 120.0)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one LIST told. `connection` has no mailbox selected, and is not used by anybody else."""

    mailboxes: Mapping[str, Listed]
    whole: bool
    delimiter: str | None
    connection: ImapConnection


class MailboxList:
    """`take` gets what each LIST told and says whether another connection is to confirm it; `counted` is told of every
    mailbox whose counters came with it. Where one mailbox is all, it is listed when it is `troubled`: it may be no
    more. `error` is why the last one failed, "" if it did not; `answered` that there was one which did not; `unfit` are
    patterns that gave nothing."""

    def __init__(
        self,
        account: Account,
        connections: Connections,
        interval: float,
        take: Callable[[Seen], Awaitable[bool]],
        counted: Callable[[str, Snapshot], None],
        troubled: Callable[[], bool],
    ) -> None:
        self.patterns = tuple(account.mailboxes)
        self.error = ""
        self.answered = False
        self.unfit = {name for name in self.patterns if is_pattern(name)}
        self.needed = len(self.patterns) > 1 or bool(self.unfit)  # one mailbox tells enough by itself, while it works
        self._troubled = troubled
        self._account = account.name
        self._connections = connections
        self._interval = interval
        self._take = take
        self._counted = counted
        self._asked = trio.Event()
        self._askers: list[Callable[[str], None]] = []
        self._deadline = 30.0
        self._counts = False  # the last answer had counters
        self._following = False  # `take` is under way, and the network may let it wait
        self._counters: dict[str, Snapshot] = {}
        self._answer = trio.Event()  # of the LIST that begins next

    @property
    def _rest(self) -> float:
        return self._interval if self.needed else max(self._interval, SELDOM)

    def ask(self, told: Callable[[str], None]) -> None:
        """A LIST that begins from now on. `told` gets why it failed, "" when it did not."""
        self._askers.append(told)
        self._asked.set()

    async def counters(self, name: str) -> Snapshot | None:
        """Of a LIST that begins from now on; None where it gives none, or begins nobody knows when."""
        if not self._counts or self._following:
            return None
        self._asked.set()
        await self._answer.wait()
        return self._counters.get(name)

    async def run(self) -> None:
        """For ever."""
        attempts, wait, held, outage = 0, 0.0, False, Outage()
        while True:
            with trio.move_on_after(wait):
                await self._asked.wait()
            await trio.sleep(GATHER)
            if not self.needed and not self._troubled():
                wait = self._interval
                continue
            self._asked = trio.Event()
            askers, self._askers = self._askers, []
            answer, self._answer = self._answer, trio.Event()
            try:
                again = await self._list(answer)
                wait, attempts, error, self.answered = SOON if again else self._rest, 0, "", True
                held = again and not held
                if held:  # who asks is told when it is certain
                    self._askers = askers + self._askers
                    askers = []
            except BaseException as failure:
                if not errors_alone(failure):
                    self._askers = askers + self._askers
                    raise
                found, attempts = judge(failure, f"list {self._account}"), attempts + 1
                wait, error = pause(attempts, found, random.random), found.text
                wait = wait if self.needed else max(wait, self._rest)
                self._counts, self._counters = False, {}
                facts = None if self._connections.refused else outage.failed("list", error, trio.current_time())
                if facts is not None:
                    log.warning("mailboxes not listed", account=self._account, **facts, next_try_s=round(wait, 1))
            else:
                if facts := outage.works("list", trio.current_time()):
                    log.info("mailboxes listed again", account=self._account, **facts)
            finally:
                answer.set()
            self.error = error
            for told in askers:
                told(error)

    def close(self, reason: str) -> None:
        """Nobody is listed any more; who waits is told the reason."""
        askers, self._askers = self._askers, []
        for told in askers:
            told(reason)

    async def _list(self, answer: trio.Event) -> bool:
        """Whoever sweeps goes on with the counters while `take` follows what was told: that may wait for others."""
        async with self._connections.look() as connection:
            began = trio.current_time()
            with trio.move_on_after(self._deadline) as deadline:
                listed = await aio(self._ask, connection)
            took = trio.current_time() - began
            if deadline.cancelled_caught:
                waited, self._deadline = self._deadline, min(self._deadline * 4, DEADLINE[1])
                raise ConnectionLost(f"{connection.endpoint}: no end of LIST within {waited:.0f} s")
            self._deadline = min(max(DEADLINE[0], 20 * took), DEADLINE[1])
            mailboxes = {one.name: one for one in listed.mailboxes if one.selectable}
            delimiter = next((one.delimiter for one in listed.mailboxes if one.delimiter), None)
            self.unfit = {
                pattern
                for pattern in self.patterns
                if is_pattern(pattern) and not any(fits(name, (pattern,), delimiter) for name in mailboxes)
            }
            self._counters = {
                name: snapshot_of(one.status) for name, one in mailboxes.items() if one.status is not None
            }
            self._counts = bool(self._counters)
            answer.set()
            for name, counters in self._counters.items():
                self._counted(name, counters)
            self._following = True
            try:
                again = await self._take(Seen(mailboxes, listed.whole, delimiter, connection))
            finally:
                self._following = False
            if again:
                connection.kill()  # another one is to say the same
        return again

    async def _ask(self, connection: ImapConnection) -> MailboxesListed:
        return await connection.list_mailboxes(*self.patterns, status=True)


def snapshot_of(status: MailboxStatus) -> Snapshot:
    return Snapshot(status.uidvalidity, status.uidnext, status.messages, status.highestmodseq)
