"""One mailbox on the server against its rows, as `mozzart verify` compares them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from cli.verify.comparison import Difference, compare
from mailcore.events.control import RefusedMessage
from mailcore.events.identity import Identity, MailboxKey
from mailcore.imap.sequence import MAX_UID, UidSet
from mailcore.settings import Account
from mailcore.store import MailboxState, Store
from mailcore.sync.generation import Birth
from mailcore.trouble import named
from syncer.imap.connection import ImapConnection

_PAUSE: Final = 0.5


@dataclass(frozen=True)
class Transit:
    """Messages that need no row yet: published and not stored, and dead letters."""

    in_flight: frozenset[Identity] = frozenset()
    dead: frozenset[Identity] = frozenset()


@dataclass(frozen=True)
class Compared:
    """How one mailbox stands. Counts are messages; `wanted` of those `on_server` is what IMAP_BACKFILL asks for;
    `refused` are those that the server lists and did not give to the syncer: they are not among the missing."""

    key: MailboxKey
    uidvalidity: int
    on_server: int
    wanted: int
    stored: int
    in_flight: int
    dead: int
    refused: tuple[RefusedMessage, ...]
    difference: Difference

    @property
    def whole(self) -> bool:
        """Whether all that is wanted is stored, on its way or a dead letter, and nothing is stored too much."""
        return not (self.difference or self.refused)


async def compare_mailbox(
    connection: ImapConnection,
    store: Store,
    account: Account,
    key: MailboxKey,
    *,
    transit: Callable[[], Awaitable[Transit]],
    wait: float,
) -> Compared:
    """Mail comes and goes while we look: a difference is told only when it lasted `wait` seconds. Raises ImapError,
    StoreError."""
    clock = asyncio.get_running_loop().time
    end = clock() + wait
    found = await _look(connection, store, account, key, await transit())
    lasting = found.difference
    while lasting and clock() < end:
        await asyncio.sleep(min(_PAUSE, max(end - clock(), 0)))
        found = await _look(connection, store, account, key, await transit())
        lasting &= found.difference
    return replace(found, difference=lasting)


async def _look(
    connection: ImapConnection, store: Store, account: Account, key: MailboxKey, transit: Transit
) -> Compared:
    selected = await connection.select(key.mailbox)
    server = await connection.uid_search()
    state = await store.load_mailbox(key)
    seen_at = await store.account_seen_at(account.name)
    wanted = await _in_scope(connection, account, seen_at, state, selected.uidvalidity, server)
    stored: list[int] = []
    older, hashes = [], frozenset[str]()
    if state is not None:
        # The rows after the server: what arrives in between is stored too much, and the next look says so.
        stored = await store.stored_uids(state.id, selected.uidvalidity)
        older = await store.other_generations(state.id, selected.uidvalidity)
        if older:
            everything = await store.other_generations(state.id, 0)  # no UIDVALIDITY is 0 (RFC 9051 §9, nz-number)
            hashes = frozenset(one.sha256 for one in everything if one.uidvalidity == selected.uidvalidity)
    open_ones = server - UidSet(stored)
    in_flight = _here(transit.in_flight, key, selected.uidvalidity, open_ones)
    dead = _here(transit.dead, key, selected.uidvalidity, open_ones)
    of_now = state is not None and state.uidvalidity == selected.uidvalidity
    refused = tuple(
        one
        for one in (named(state.refused) if state is not None and of_now else ())
        if one.uid in open_ones and one.uid in wanted and one.uid not in in_flight | dead
    )
    difference = compare(
        selected.uidvalidity,
        server=server,
        wanted=wanted,
        stored=stored,
        on_the_way=in_flight | dead | {one.uid for one in refused},
        older=older,
        hashes=hashes,
    )
    return Compared(
        key,
        selected.uidvalidity,
        len(server),
        len(wanted),
        len(stored) + len(older),
        len(in_flight - dead),
        len(dead),
        refused,
        difference,
    )


def _here(identities: frozenset[Identity], key: MailboxKey, uidvalidity: int, uids: UidSet) -> set[int]:
    return {each.uid for each in identities if each.key == key and each.uidvalidity == uidvalidity and each.uid in uids}


async def _in_scope(
    connection: ImapConnection,
    account: Account,
    seen_at: datetime | None,
    state: MailboxState | None,
    uidvalidity: int,
    server: UidSet,
) -> UidSet:
    """What IMAP_BACKFILL asks for, as the sweep has it. `seen_at` is when the account was first seen."""
    now = datetime.now(UTC)
    if state is None or state.first_seen_at is None or state.uidvalidity != uidvalidity:
        birth = Birth(seen_at or now, now, MAX_UID + 1, first=state is None)  # nothing has arrived since
    else:
        first = state.first_uidvalidity == uidvalidity
        birth = Birth(seen_at or now, state.first_seen_at, state.first_uidnext or 1, first)
    criteria = birth.criteria(account.backfill)
    if criteria == "ALL":
        return server
    return birth.arrived(server) | (server & await connection.uid_search(criteria) if criteria else UidSet())
