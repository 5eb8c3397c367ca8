"""The bytes of the messages on the server against the SHA-256 of their rows: what `--deep` adds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from cli.verify.digest import digests
from cli.verify.mailbox import Compared
from cli.verify.position import Position
from cli.verify.session import Session
from mailcore.imap.sequence import UidSet
from mailcore.store import Store

_PAGE: Final = 100  # messages between two positions
_NAMED: Final = 3


@dataclass
class Progress:
    """Of one deep run. `step` is called after each page with what is done of `total` messages; it may keep the
    position. `broken`: a mailbox was left before its end, so that the next run is to go on from the position."""

    position: Position
    step: Callable[[int, int], Awaitable[None]]
    done: int = 0
    total: int = 0
    broken: bool = False

    async def advance(self, count: int) -> None:
        self.done += count
        await self.step(self.done, self.total)


@dataclass
class Read:
    """What the bytes of one mailbox told: `unlike` are UIDs with other bytes, `other_sizes` those with the same bytes
    and another RFC822.SIZE, `not_given` those that the server did not give, with the words."""

    unlike: set[int] = field(default_factory=set)
    other_sizes: UidSet = field(default_factory=UidSet)
    not_given: dict[int, str] = field(default_factory=dict)

    def words(self) -> str:
        """Why it was not compared as a whole, "" if it was."""
        if not self.not_given:
            return ""
        named = "; ".join(f"UID {uid}: {words}" for uid, words in list(self.not_given.items())[:_NAMED])
        return f"{len(self.not_given):,} stored messages were not given, so their bytes were not compared ({named})"


async def read(session: Session, store: Store, found: Compared, progress: Progress) -> Read:
    """Fetch what the server has of the mailbox's rows, from the position on. Raises ImapError, StoreError."""
    told = Read()
    state = await store.load_mailbox(found.key)
    if state is None or found.uidvalidity is None:
        return told
    place = progress.position.of(found.key, found.uidvalidity)
    again = UidSet(place.unlike)
    while page := await store.present_digests(state.id, found.uidvalidity, place.uid, _PAGE, again):
        rows = {row.uid: row for row in page}
        unlike, again = set(UidSet(place.unlike) - again), UidSet()
        async for given in digests(session, found.key.mailbox, found.uidvalidity, UidSet(rows) & found.listing):
            row = rows[given.uid]
            if given.error:
                told.not_given[given.uid] = given.error
                continue
            if given.sha256 != row.sha256:
                unlike.add(given.uid)
            elif given.announced not in (None, row.size):
                told.other_sizes |= UidSet((given.uid,))
        place.unlike, place.uid = sorted(unlike), max(place.uid, *rows)
        await progress.advance(len(page))
    told.unlike = set(place.unlike)
    return told
