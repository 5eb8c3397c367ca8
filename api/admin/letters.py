"""Dead letters as their page has them: who wrote what, and the reasons that several share."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from aiohttp import web

from mailcore.bus import Bus
from mailcore.errors import BusError, EventError
from mailcore.events.dead_letter import DeadLetter
from mailcore.events.thin import Rebind
from mailcore.fault import told
from mailcore.mime.parse import parse
from mailcore.sync.outage import reason

log = structlog.get_logger(__name__)

_WITHIN: Final = 1.5  # seconds to look into letters for one page; the next one knows the rest
_HEADER: Final = 64 << 10  # bytes of a message that are looked at
_LARGEST: Final = 1 << 20  # bytes of a message that come as a whole; of larger ones, which are objects, the first chunk
_KNOWN: Final = 2_000  # of them are remembered
_LONGEST: Final = 500


@dataclass(frozen=True, slots=True)
class Content:
    """Of the message in a letter; both empty where nobody can tell."""

    subject: str = ""
    sender: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """The letters of one reason; `words` are those of the first."""

    key: str
    words: str
    count: int


class Contents:
    """What letters hold, remembered: sequences begin anew with a new stream."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, datetime | None], Content] = {}

    async def of(self, bus: Bus, letters: Iterable[DeadLetter]) -> dict[int, Content]:
        """Of those that could be looked into in time."""
        found: dict[int, Content] = {}
        try:
            async with asyncio.timeout(_WITHIN):
                for letter in letters:
                    known = letter.seq, letter.died_at
                    if known not in self._known:
                        self._remember(known, await _look(bus, letter))
                    found[letter.seq] = self._known[known]
        except (BusError, TimeoutError) as error:
            log.debug("dead letters not looked into", known=len(found), error=str(error))
        return found

    def _remember(self, letter: tuple[int, datetime | None], content: Content) -> None:
        while len(self._known) >= _KNOWN:
            del self._known[next(iter(self._known))]
        self._known[letter] = content


CONTENTS: Final = web.AppKey("dead_letter_contents", Contents)


async def _look(bus: Bus, letter: DeadLetter) -> Content:
    if kind_of(letter) == Rebind.type or (letter.size > _LARGEST and not letter.object_name):
        return Content()
    raw = await bus.dead_beginning(letter)
    try:
        return await asyncio.to_thread(content_of, raw[:_HEADER])
    except Exception as error:  # noqa: BLE001  # it is told; the letter may be dead because of that
        told(error, f"reading the header of the dead letter {letter.seq}")
        return Content()


def content_of(raw: bytes) -> Content:
    """Of a message that may be cut. Pure."""
    message = parse(raw)
    sender = message.from_name or message.from_email
    return Content(message.subject[:_LONGEST], sender[:_LONGEST])


def kind_of(letter: DeadLetter) -> str:
    try:
        return letter.kind
    except EventError:
        return "unknown"


def key_of(letter: DeadLetter) -> str:
    """The same for letters whose reasons differ in numbers alone. Pure."""
    return hashlib.sha256(reason(letter.error).encode(errors="replace")).hexdigest()[:16]


def groups(letters: Iterable[DeadLetter]) -> list[Group]:
    """The most frequent first. Pure."""
    words: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for letter in letters:
        key = key_of(letter)
        words.setdefault(key, letter.error)
        counts[key] += 1
    return [Group(key, words[key], count) for key, count in counts.most_common()]
