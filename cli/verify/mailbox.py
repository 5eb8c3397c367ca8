"""One mailbox on the server against its rows, as `mozzart verify` compares them: one look, on one connection."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from cli.verify.comparison import Differences, Place, Rows, compare
from cli.verify.digest import digests
from cli.verify.session import Session
from mailcore.difference import Category
from mailcore.errors import CommandFailed, Scope
from mailcore.events.control import RefusedMessage
from mailcore.events.identity import Identity, MailboxKey
from mailcore.imap.sequence import MAX_UID, UidSet
from mailcore.settings import Account
from mailcore.store import MailboxState, Store
from mailcore.sync.generation import Birth
from mailcore.sync.listing import Listing, contradiction
from mailcore.sync.mailbox import MANY
from mailcore.trouble import named
from syncer.imap.connection import ImapConnection

# Messages with equal bytes that are fetched to tell whether the server has as many. More are not worth the traffic.
MOST_EQUAL: Final = 200

NOT_THERE: Final = "the server does not have this mailbox"
NOT_CONFIGURED: Final = "this mailbox is not among those of the settings"
NO_ACCOUNT: Final = "this account is not among those of the settings"


@dataclass(frozen=True)
class Transit:
    """Messages that have no row yet: published and not stored, and dead letters; each with the row of its mailbox,
    which is right also when the mailbox was renamed since (0: not told)."""

    in_flight: Mapping[Identity, int] = field(default_factory=dict)
    dead: Mapping[Identity, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Compared:
    """How one mailbox stands. Counts are messages; `wanted` of those `on_server` is what IMAP_BACKFILL asks for.

    `absent` says why there is nothing to compare with, "" if there is; `doubt` why what the server did not list may be
    there all the same; `known` is whether the syncer has found the mailbox."""

    key: MailboxKey
    uidvalidity: int | None = None
    on_server: int = 0
    wanted: int = 0
    stored: int = 0
    differences: Differences = field(default_factory=Differences)
    refused: tuple[RefusedMessage, ...] = ()
    absent: str = ""
    doubt: str = ""
    known: bool = True
    listing: UidSet = field(default_factory=UidSet)

    @property
    def equal(self) -> bool:
        """Whether server and database hold the same of it, as far as we know."""
        return not (self.differences or self.doubt)

    def only(self, places: frozenset[Place]) -> Compared:
        """With those differences alone that are among `places`."""
        uids = {uid for uidvalidity, uid in places if uidvalidity == self.uidvalidity}
        kept = tuple(one for one in self.refused if one.uid in uids)
        return replace(self, differences=self.differences.only(places), refused=kept)


async def look(
    session: Session, store: Store, key: MailboxKey, transit: Transit, unlike: Collection[int] = ()
) -> Compared:
    """One look. What would be said of many messages at once, or because the server contradicts itself, is said only if
    another connection tells the same. `unlike` are UIDs for which the server is known to have other bytes. Raises
    ImapError, StoreError."""
    found = await _look(await session.connection(), store, session.account, key, transit, unlike)
    if not await _is_surprising(store, found):
        return found
    before, found = found, await _look(await session.another(), store, session.account, key, transit, unlike)
    if found.uidvalidity != before.uidvalidity:
        return replace(
            found,
            differences=Differences(),
            refused=(),
            doubt=f"one connection tells UIDVALIDITY {before.uidvalidity}, another one {found.uidvalidity}",
        )
    return found if before.doubt else found.only(before.differences.all)


async def _is_surprising(store: Store, found: Compared) -> bool:
    gone = len(found.differences[Category.GONE])
    if found.doubt or (gone > MANY and gone * 10 > found.stored):
        return True
    state = await store.load_mailbox(found.key)
    return state is not None and state.uidvalidity not in (None, found.uidvalidity)


async def _look(
    connection: ImapConnection,
    store: Store,
    account: Account,
    key: MailboxKey,
    transit: Transit,
    unlike: Collection[int],
) -> Compared:
    listing = await _list(connection, store, account, key)
    uidvalidity, server, wanted = listing.uidvalidity, listing.uids, listing.scope
    state = await store.load_mailbox(key)
    rows = Rows(UidSet())
    if state is not None:
        # The rows after the server: what arrives in between is stored too much, and the next look says so.
        stored = UidSet(await store.stored_uids(state.id, uidvalidity))
        older = await store.other_generations(state.id, uidvalidity)
        rows = Rows(stored, older, await store.equal_messages(state.id))
    of_now = state is not None and state.uidvalidity == uidvalidity
    refused = {one.uid: one for one in (named(state.refused) if state is not None and of_now else ())}
    differences = compare(
        uidvalidity,
        server=server,
        wanted=wanted,
        whole=not (doubt := contradiction(listing)),
        rows=rows,
        in_flight=_here(transit.in_flight, key, state, uidvalidity),
        dead=_here(transit.dead, key, state, uidvalidity),
        refused=refused,
        unlike=unlike,
    )
    return Compared(
        key,
        uidvalidity,
        len(server),
        len(wanted),
        len(rows.uids) + len(rows.older),
        differences,
        tuple(refused[uid] for _, uid in sorted(differences[Category.REFUSED])),
        doubt=doubt,
        known=state is not None,
        listing=server,
    )


async def _list(connection: ImapConnection, store: Store, account: Account, key: MailboxKey) -> Listing:
    """The UIDs in the mailbox, as the sweep lists them."""
    status = await connection.status(key.mailbox)
    selected = await connection.select(key.mailbox)
    listed = await connection.uid_search_all()
    uids, exists = listed.uids, listed.exists if listed.exists is not None else selected.exists
    if len(uids) != exists:  # FETCH lists them, too; some servers answer SEARCH from a window under load
        uids, exists = uids | await connection.uid_fetch_uids(), connection.exists
    state = await store.load_mailbox(key)
    seen_at = await store.account_seen_at(account.name)
    scope = await _in_scope(connection, account, seen_at, state, selected.uidvalidity, uids)
    return Listing(selected.uidvalidity, uids, scope, exists, status.messages, connection)


def _here(
    identities: Mapping[Identity, int], key: MailboxKey, state: MailboxState | None, uidvalidity: int
) -> set[int]:
    row_id = state.id if state is not None else 0
    return {
        each.uid
        for each, mailbox_id in identities.items()
        if each.uidvalidity == uidvalidity and (mailbox_id == row_id if mailbox_id else each.key == key)
    }


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


async def unlike_equals(session: Session, store: Store, found: Compared) -> tuple[set[int], int]:
    """Of the rows with equal bytes whose UIDs the server has: those for which it has other bytes, and how many were
    not asked for since there are more than MOST_EQUAL. Raises ImapError, StoreError."""
    state = await store.load_mailbox(found.key)
    if state is None or found.uidvalidity is None:
        return set(), 0
    equal = [one for one in await store.equal_messages(state.id) if one.uidvalidity == found.uidvalidity]
    hashes = {one.uid: one.sha256 for one in equal if one.uid in found.listing}
    asked = UidSet(sorted(hashes)[:MOST_EQUAL])
    unlike = set()
    async for given in digests(session, found.key.mailbox, found.uidvalidity, asked):
        if not given.error and given.sha256 != hashes[given.uid]:
            unlike.add(given.uid)
    return unlike, len(hashes) - len(asked)


async def why_absent(session: Session, key: MailboxKey, *, named_alone: bool) -> str:
    """Why a mailbox that no name or pattern of the settings lists is not to be compared, "" if it is: one that LIST
    does not show and SELECT opens is there. `named_alone`: the settings name it. Raises ImapError."""
    connection = await session.connection()
    listed = await connection.list_mailboxes(key.mailbox)
    if any(one.name == key.mailbox and one.selectable for one in listed.mailboxes):
        return "" if named_alone else NOT_CONFIGURED
    try:
        await connection.select(key.mailbox)
    except CommandFailed as error:
        # A mailbox that is busy, or an account that is put off, is not gone.
        if error.scope is not Scope.ACCOUNT and error.code in ("", "NONEXISTENT", "TRYCREATE"):
            return NOT_THERE
        raise
    return ""


async def stranded(store: Store, state: MailboxState, absent: str) -> Compared:
    """A mailbox of the database that is not there: all its rows differ. Raises StoreError."""
    rows = await store.other_generations(state.id, 0)  # no UIDVALIDITY is 0 (RFC 9051 §9, nz-number)
    places = frozenset((one.uidvalidity, one.uid) for one in rows)
    differences = Differences({Category.NO_MAILBOX: places} if places else {})
    return Compared(MailboxKey(state.account, state.mailbox), stored=len(rows), differences=differences, absent=absent)
