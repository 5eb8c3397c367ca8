"""Which message of an account had which bytes first: what makes a `copy` a copy, without a round trip.

1. What is stored, in flight or a dead letter is read once for each account, before anything of it is published.
2. Bytes whose event is under way belong to nobody before its PubAck: who comes with the same ones waits for its end,
   and is the first itself when it failed. Whoever waits holds no bytes, so nobody waits for one who waits.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from typing import Final

from mailcore.events.identity import Identity, MailboxKey
from mailcore.store import Store

CHUNK: Final = 500  # rows read, and entered, at once: some milliseconds of the event loop

# A million entries take 60 MB; as Python's objects they would take four times as much.
_TABLE: Final = """
    CREATE TABLE origin (
        account INTEGER, digest BLOB, mailbox INTEGER, uidvalidity INTEGER, uid INTEGER, PRIMARY KEY (account, digest)
    ) WITHOUT ROWID
"""
_FIND: Final = "SELECT mailbox, uidvalidity, uid FROM origin WHERE account = ? AND digest = ?"
_ADD: Final = "INSERT OR IGNORE INTO origin VALUES (?, ?, ?, ?, ?)"
_MOVE: Final = """
    UPDATE origin SET mailbox = ?, uidvalidity = ?, uid = ?
    WHERE account = ? AND digest = ? AND mailbox = ? AND uidvalidity = ? AND uid = ?
"""


class Claim:
    """Bytes whose event is on its way to its PubAck. `identity` is whose event that is."""

    __slots__ = ("_waiting", "identity")

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self._waiting: list[asyncio.Future[None]] = []

    async def end(self) -> None:
        """Until the event has its PubAck, or failed."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(ended)
        await ended

    def ended(self) -> None:
        """It has, or did."""
        for waiting in self._waiting:
            if not waiting.done():  # else whoever waited was cancelled
                waiting.set_result(None)


class Origins:
    """One per process; all calls come from the event loop's thread."""

    def __init__(self) -> None:
        self._database = sqlite3.connect(":memory:", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(_TABLE)
        self._database.execute("BEGIN")  # and no end: what is never rolled back need not be committed
        self._accounts: dict[str, int] = {}
        self._mailboxes: list[MailboxKey] = []
        self._numbers: dict[MailboxKey, int] = {}
        self._claims: dict[tuple[str, str], Claim] = {}
        self._loaded: set[str] = set()
        self._loading: dict[str, asyncio.Lock] = {}

    async def load(self, account: str, store: Store) -> None:
        """Read what the account has, if that was not done yet. Raises StoreError; repeating it is right."""
        async with self._loading.setdefault(account, asyncio.Lock()):
            if account in self._loaded:
                return
            for mailbox_id, mailbox in await store.mailboxes_of(account):
                key, after = MailboxKey(account, mailbox), (0, 0)
                while rows := await store.digests(mailbox_id, after, CHUNK):
                    self._enter(
                        (
                            row.sha256,
                            Identity.parse(row.origin) if row.origin else key.message(row.uidvalidity, row.uid),
                        )
                        for row in rows
                    )
                    after = rows[-1].uidvalidity, rows[-1].uid
            self._loaded.add(account)

    def add(self, sha256: str, identity: Identity) -> None:
        """It is stored, in flight or a dead letter. Who had the bytes before keeps them."""
        self._database.execute(_ADD, self._entry(sha256, identity))

    def first(self, identity: Identity, sha256: str) -> Identity | Claim | None:
        """Who of the account had these bytes first, perhaps `identity` itself; a claim: that is not decided yet. None:
        nobody, and from here on they are claimed for `identity`, until published() or failed()."""
        found = self._find(identity.account, sha256)
        if found is not None:
            return found
        place = identity.account, sha256
        claim = self._claims.get(place)
        if claim is None:
            self._claims[place] = Claim(identity)
        return claim

    def published(self, identity: Identity, sha256: str) -> None:
        """The PubAck came. Nothing happens to bytes that are not claimed for `identity`."""
        if self._is_claimed(identity, sha256):
            self.add(sha256, identity)
            self._release(identity, sha256)

    def failed(self, identity: Identity, sha256: str) -> None:
        """There was none. Nothing happens to bytes that are not claimed for `identity`."""
        if self._is_claimed(identity, sha256):
            self._release(identity, sha256)

    def rebound(self, sha256: str, old: Identity, new: Identity) -> None:
        """The message `old` is called `new` since UIDVALIDITY changed (I7)."""
        place = self._accounts.get(old.account), bytes.fromhex(sha256)
        before, after = self._number(old.key), self._number(new.key)
        self._database.execute(_MOVE, (after, new.uidvalidity, new.uid, *place, before, old.uidvalidity, old.uid))

    def forget(self, account: str) -> None:
        """It has nothing any more."""
        self._database.execute("DELETE FROM origin WHERE account = ?", (self._accounts.get(account),))
        self._loaded.discard(account)

    def renamed(self, old: MailboxKey, new: MailboxKey) -> None:
        """What was in the mailbox `old` is in `new` from here on."""
        number = self._numbers.pop(old, None)
        if number is not None:
            self._mailboxes[number] = new
            self._numbers[new] = number

    def _release(self, identity: Identity, sha256: str) -> None:
        self._claims.pop((identity.account, sha256)).ended()

    def _is_claimed(self, identity: Identity, sha256: str) -> bool:
        claim = self._claims.get((identity.account, sha256))
        return claim is not None and claim.identity == identity

    def _find(self, account: str, sha256: str) -> Identity | None:
        found = self._database.execute(_FIND, (self._accounts.get(account), bytes.fromhex(sha256))).fetchone()
        if found is None:
            return None
        return Identity(account, self._mailboxes[found[0]].mailbox, found[1], found[2])

    def _enter(self, entries: Iterable[tuple[str, Identity]]) -> None:
        self._database.executemany(_ADD, [self._entry(*one) for one in entries])

    def _entry(self, sha256: str, one: Identity) -> tuple[int, bytes, int, int, int]:
        return self._account(one.account), bytes.fromhex(sha256), self._number(one.key), one.uidvalidity, one.uid

    def _account(self, name: str) -> int:
        return self._accounts.setdefault(name, len(self._accounts))

    def _number(self, key: MailboxKey) -> int:
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._mailboxes)
            self._mailboxes.append(key)
        return number
