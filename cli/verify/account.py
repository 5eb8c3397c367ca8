"""One account: the union of the mailboxes that the server has and those that the database has."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cli.imap_account import mailboxes
from cli.verify.comparison import Place
from cli.verify.deep import Progress, read
from cli.verify.mailbox import (
    NO_ACCOUNT,
    NOT_THERE,
    Compared,
    Transit,
    look,
    stranded,
    unlike_equals,
    why_absent,
)
from cli.verify.session import Session, session
from mailcore.difference import Category
from mailcore.errors import CommandFailed, ConnectionLost, ImapError, Scope
from mailcore.events.identity import MailboxKey
from mailcore.imap.name import canonical
from mailcore.oauth.source import TokenSource
from mailcore.settings import Account
from mailcore.store import MailboxState, Store
from mailcore.sync.mailbox_list import is_pattern

_PAUSE: Final = 0.5  # seconds between two looks at what differs
_PASSING: Final = frozenset(
    (Category.MISSING, Category.IN_FLIGHT, Category.GONE, Category.DOUBLED, Category.NO_MAILBOX)
)


@dataclass
class Found:
    """What was compared, and what could not be, by `account` or `account/mailbox`, with the reason."""

    mailboxes: list[Compared] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


async def compare_account(
    store: Store,
    account: Account,
    mailbox: str | None,
    transit: Callable[[], Awaitable[Transit]],
    wait: float,
    progress: Progress | None = None,
    tokens: TokenSource | None = None,
) -> Found:
    """Mail comes and goes meanwhile: what may pass by itself is told only when it lasted `wait` seconds. With
    `progress` the bytes of the messages are compared, too. Raises StoreError."""
    comparing = _Comparing(store, account, mailbox, transit)
    async with session(account, tokens) as comparing.session:
        try:
            await comparing.first()
            await comparing.wait(wait)
            if progress is not None:
                await comparing.read(progress)
        except ImapError as error:
            comparing.failed[account.name] = str(error)
    return comparing.found()


async def without_account(store: Store, states: Iterable[MailboxState]) -> Found:
    """Mailboxes whose account is in no setting. Raises StoreError."""
    found = [await stranded(store, state, NO_ACCOUNT) for state in states]
    return Found([one for one in found if one.stored])


class _Comparing:
    session: Session

    def __init__(
        self, store: Store, account: Account, mailbox: str | None, transit: Callable[[], Awaitable[Transit]]
    ) -> None:
        self._store = store
        self._account = account
        self._only = canonical(mailbox) if mailbox is not None else None
        self._transit = transit
        self._in_transit = Transit()
        self._found: dict[MailboxKey, Compared] = {}
        self._lasting: dict[MailboxKey, frozenset[Place]] = {}
        self._unlike: dict[MailboxKey, set[int]] = {}
        self._listed: set[str] = set()
        self._notes: list[str] = []
        self.failed: dict[str, str] = {}

    def found(self) -> Found:
        lasting = [one.only(self._lasting[key]) for key, one in self._found.items()]
        return Found(lasting, self.failed, self._notes)

    async def first(self) -> None:
        """Every mailbox once. Raises ImapError when the account cannot be looked at."""
        self._in_transit = await self._transit()
        for key in await self._keys():
            await self._compare(key)

    async def wait(self, seconds: float) -> None:
        """Look again at what differs, until nothing that may pass is left or the time is over."""
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        while (passing := [key for key in self._found if self._may_pass(key)]) and clock() < end:
            await asyncio.sleep(min(_PAUSE, max(end - clock(), 0)))
            self._in_transit = await self._transit()
            await self._list_again()
            for key in passing:
                await self._compare(key)

    async def read(self, progress: Progress) -> None:
        """The bytes of what both sides have. What the server does not give, or an end of the connection, leaves that
        mailbox not compared as a whole. Raises ImapError when the account cannot be looked at."""
        readable = [one for one in self._found.values() if not (one.absent or one.doubt)]
        progress.total += sum(one.stored for one in readable)
        for one in readable:
            name = f"{one.key.account}/{one.key.mailbox}"
            try:
                told = await read(self.session, self._store, one, progress)
                self._unlike[one.key] = self._unlike.get(one.key, set()) | told.unlike
                if told.unlike:
                    await self._tell_unlike(one.key)
            except ImapError as error:
                progress.broken = True
                if error.scope is Scope.ACCOUNT:
                    raise
                self.failed[name] = str(error)
                continue
            if words := told.words():
                self.failed.setdefault(name, words)
            if told.other_sizes:
                self._notes.append(
                    f"{name}: RFC822.SIZE of {len(told.other_sizes):,} messages is not the number of their bytes "
                    "(some servers estimate it)"
                )

    async def _tell_unlike(self, key: MailboxKey) -> None:
        found = await look(self.session, self._store, key, self._in_transit, self._unlike[key])
        if not found.doubt:
            of_bytes = found.differences[Category.ALTERED] | found.differences[Category.DOUBLED]
            self._lasting[key] |= {place for place in of_bytes if place[1] in self._unlike[key]}
            self._found[key] = found

    def _may_pass(self, key: MailboxKey) -> bool:
        found = self._found[key].only(self._lasting[key])
        return any(found.differences[category] for category in _PASSING) or (bool(found.doubt) and not found.absent)

    async def _keys(self) -> Sequence[MailboxKey]:
        """Of the server, then of the database; those that the settings name by their name in any case."""
        await self._list_again()
        configured = [canonical(one) for one in self._account.mailboxes if not is_pattern(one)]
        states = await self._store.mailbox_states(self._account.name)
        names = dict.fromkeys([*sorted(self._listed), *configured, *(state.mailbox for state in states)])
        return [MailboxKey(self._account.name, name) for name in names if self._only in (None, name)]

    async def _list_again(self) -> None:
        connection = await self.session.connection()
        self._listed = set()
        for pattern in self._account.mailboxes:
            listed = await mailboxes(connection, pattern)
            self._listed.update(canonical(name) for name in listed)
            if not listed and is_pattern(pattern) and self._only is None:
                self.failed.setdefault(f"{self._account.name}/{pattern}", "no mailbox of the server fits it")

    async def _compare(self, key: MailboxKey) -> None:
        name = f"{key.account}/{key.mailbox}"
        self.failed.pop(name, None)
        try:
            try:
                found = await self._look(key)
            except ConnectionLost:  # perhaps by what was done for the mailbox before
                found = await self._look(key)
        except ImapError as error:
            if error.scope is Scope.ACCOUNT:
                raise
            self.failed[name] = str(error)
            return
        if found is None:
            return
        places = found.differences.all
        if found.doubt:  # it tells of nothing that is gone: what another look found stays as it was found
            places |= self._lasting.get(key, frozenset())
        self._lasting[key] = self._lasting.get(key, places) & places
        self._found[key] = found

    async def _look(self, key: MailboxKey) -> Compared | None:
        named = any(canonical(one) == key.mailbox for one in self._account.mailboxes)
        if key.mailbox not in self._listed and (absent := await why_absent(self.session, key, named_alone=named)):
            return await self._absent(key, absent)
        transit = self._in_transit
        found = await look(self.session, self._store, key, transit, self._unlike.get(key, ()))
        if key not in self._unlike and not found.doubt:
            self._unlike[key], more = await unlike_equals(self.session, self._store, found)
            if more:
                self._notes.append(f"{key.account}/{key.mailbox}: {more:,} messages with equal bytes were not fetched")
            if self._unlike[key]:
                found = await look(self.session, self._store, key, transit, self._unlike[key])
        return found

    async def _absent(self, key: MailboxKey, absent: str) -> Compared | None:
        state = await self._store.load_mailbox(key)
        found = await stranded(self._store, state, absent) if state is not None else None
        if found is not None and (found.stored or key in self._found):
            return found
        if absent == NOT_THERE and any(canonical(one) == key.mailbox for one in self._account.mailboxes):
            raise CommandFailed(f"{self._account.host}: the server has no mailbox of this name")
        return None
