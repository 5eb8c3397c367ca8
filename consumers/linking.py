"""The files of a copy: which ones hold the same bytes already, as files of the message that had them first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from consumers.draft import Draft
from mailcore.events.identity import Identity
from mailcore.store import AttachmentRow, Store

_REMEMBERED: Final = 1_000


class Linking:
    """One for a process: a copy may come while the first one is on its way into the database."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._written: dict[Identity, tuple[AttachmentRow, ...]] = {}  # the last ones, the oldest first

    def wrote(self, identity: Identity, drafted: Draft) -> None:
        """Its files are on disk."""
        if drafted.attachments:
            self._written[identity] = drafted.attachments
            if len(self._written) > _REMEMBERED:
                del self._written[next(iter(self._written))]

    async def sources(self, copies: Sequence[tuple[Identity, Draft]]) -> dict[PurePosixPath, PurePosixPath]:
        """For files of these drafts, each with the identity of the first one, the file to link to. Raises
        StoreError."""
        unknown = {origin: 0 for origin, _ in copies if origin not in self._written}
        located = await self._store.locate(unknown) if unknown else {}
        stored = {origin: place.stored.attachments for origin, place in located.items() if place.stored is not None}
        return dict(pair for origin, drafted in copies for pair in _pairs(origin, drafted, self._written | stored))


def _pairs(
    origin: Identity, drafted: Draft, known: Mapping[Identity, tuple[AttachmentRow, ...]]
) -> Iterator[tuple[PurePosixPath, PurePosixPath]]:
    """A file has a counterpart where one of the first message's has its size and SHA-256."""
    there = {(part.size, part.sha256): part.file for part in known.get(origin, ())}
    for part in drafted.attachments:
        if (file := there.get((part.size, part.sha256))) is not None:
            yield PurePosixPath(part.file), PurePosixPath(file)
