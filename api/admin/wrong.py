"""What is wrong now, in words, with since when and what to do: on top of the first page and of Health."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from markupsafe import Markup

from api.admin.quantity import counted, size
from api.dependencies import Dependencies
from api.http.problem import Problem
from api.routes.states import KnownMailbox, NewMailbox, look
from mailcore import undelivered
from mailcore.bus import MAIL_DEAD, Bus
from mailcore.errors import StoreError
from mailcore.store import VerifyReport
from mailcore.trouble import CALM, Kind, Trouble, troubles

_NAMES: Final = {"nats": "NATS", "database": "The database", "syncer": "The syncer", "consumer": "The consumer"}
_LISTED: Final = 5  # mailboxes
_LITTLE_SPACE: Final = 1_000_000_000
_LATE: Final = 3  # VERIFY_INTERVALs without a report
_LINK_LETTERS: Final = Markup('<a href="/admin/dead-letters/">Dead letters</a> have the reasons.')
_NOTHING: Final = Markup("")
_DOCTOR: Final = Markup("<code>mozzart doctor</code> looks.")
_LINK_STATES: Final = Markup('<a href="/admin/">Mailbox states</a> show more.')
_LINK_VERIFY: Final = Markup('<a href="/admin/verify/">Verify</a> has the report.')
_SAID: Final = {
    Kind.PAUSED: "is paused by its server",
    Kind.FAILING: "is failing",
    Kind.FAILED: "was not swept",
    Kind.INCOMPLETE: "was not swept whole",
}


@dataclass(frozen=True, slots=True)
class Wrong:
    """`words` are foreign text, `advice` is ours. `since` is for how long it has been so, `at` when it
    was found, `until` when it is tried again by itself."""

    what: str
    words: str = ""
    tone: Literal["bad", "warn"] = "bad"
    since: datetime | None = None
    at: datetime | None = None
    until: datetime | None = None
    advice: Markup = _NOTHING


@dataclass(frozen=True, slots=True)
class Look:
    """What is known at one moment; None: nobody knows, and `faults` say why. `free`: bytes by place, where less than a
    tenth is left."""

    faults: Mapping[str, str]
    asks: Sequence[str] = ()
    mailboxes: Sequence[KnownMailbox | NewMailbox] = ()
    dead: int | None = None
    undelivered: int | None = None
    free: Mapping[str, int] = field(default_factory=dict)
    reports: Sequence[VerifyReport] = ()
    verify_interval: float = 0.0


async def wrong_now(dependencies: Dependencies) -> list[Wrong]:
    """The worst first; [] when all is well."""
    faults, mailboxes, (dead, undelivered), free, reports = await asyncio.gather(
        dependencies.faults(),
        _mailboxes(dependencies),
        dependencies.told(_dead, (None, None)),
        _free(dependencies),
        _reports(dependencies),
    )
    found = Look(
        faults, dependencies.asks, mailboxes, dead, undelivered, free, reports, dependencies.settings.verify_interval
    )
    return wrong(found, datetime.now(UTC))


def wrong(look: Look, now: datetime) -> list[Wrong]:
    """Pure."""
    found = [
        *_of_faults(look.faults),
        *_of_mailboxes(look.mailboxes, now),
        *_of_space(look.free),
        *_of_letters(look),
        *_of_reports(look, now),
        *(Wrong("Pruning waits for you", words, "warn") for words in look.asks),
    ]
    return sorted(found, key=lambda one: one.tone)  # "bad" before "warn"


def _of_faults(faults: Mapping[str, str]) -> Iterator[Wrong]:
    for name, words in faults.items():
        yield Wrong(f"{_NAMES.get(name, name)} does not work", words, advice=_DOCTOR)


def _of_mailboxes(mailboxes: Iterable[KnownMailbox | NewMailbox], now: datetime) -> Iterator[Wrong]:
    found = [
        (f"{one.account}/{one.mailbox}", trouble)
        for one in mailboxes
        for trouble in troubles(one if isinstance(one, KnownMailbox) else None, one.live, now)
        if trouble.kind not in CALM
    ]
    found.sort(key=lambda pair: pair[1].kind not in (Kind.FAILING, Kind.FAILED))
    for name, trouble in found[:_LISTED]:
        yield _of_trouble(name, trouble)
    if len(found) > _LISTED:
        yield Wrong(f"{len(found) - _LISTED:,} more mailboxes are not whole", tone="warn", advice=_LINK_STATES)


def _of_trouble(name: str, trouble: Trouble) -> Wrong:
    if trouble.kind is Kind.REFUSED:
        count = counted(trouble.count, "message is", "messages are")
        words = trouble.messages[0].reason if trouble.messages else ""
        return Wrong(f"{name}: {count} refused", words, "warn", trouble.since, until=trouble.until, advice=_LINK_STATES)
    tone: Literal["bad", "warn"] = "bad" if trouble.kind in (Kind.FAILING, Kind.FAILED) else "warn"
    return Wrong(
        f"{name} {_SAID[trouble.kind]}", trouble.words, tone, trouble.since, until=trouble.until, advice=_LINK_STATES
    )


def _of_space(free: Mapping[str, int]) -> Iterator[Wrong]:
    for place, octets in sorted(free.items()):
        if octets < _LITTLE_SPACE:
            what = f"{size(octets)} are left where {place} lies"
            yield Wrong(what, advice=Markup("Make room: with none, nothing is stored."))


def _of_letters(look: Look) -> Iterator[Wrong]:
    if look.dead:
        yield Wrong(f"{counted(look.dead, 'message')} could not be stored", advice=_LINK_LETTERS)
    if look.undelivered:
        what = f"The webhook's receiver did not take {counted(look.undelivered, 'event')}"
        yield Wrong(what, tone="warn", advice=_LINK_LETTERS)


def _of_reports(look: Look, now: datetime) -> Iterator[Wrong]:
    last = next((one for one in look.reports if one.whole), None)
    if last is not None and last.status != "equal":
        differing = sum(count for category, count in last.totals.items() if category != "in_flight")
        what = "The last verification did not compare everything"
        if last.status == "differs":
            what = f"The last verification found {counted(differing, 'difference')}"
        yield Wrong(what, last.error, "warn", at=last.ended_at, advice=_LINK_VERIFY)
    due = look.verify_interval * _LATE
    if due and last is not None and last.ended_at is not None and now - last.ended_at > timedelta(seconds=due):
        yield Wrong(
            "The next verification is late; the last one ended", "", "warn", at=last.ended_at, advice=_LINK_VERIFY
        )


async def _mailboxes(dependencies: Dependencies) -> Sequence[KnownMailbox | NewMailbox]:
    try:
        return (await look(dependencies)).mailboxes
    except Problem:
        return ()  # a fault of the database


async def _dead(bus: Bus) -> tuple[int | None, int | None]:
    return (await bus.position(MAIL_DEAD)).messages, await undelivered.count(bus)


async def _free(dependencies: Dependencies) -> Mapping[str, int]:
    settings, free = dependencies.settings, {}
    for name, path in (("MEDIA_ROOT", settings.media_root), ("DATA_DIR", settings.data_dir)):
        with contextlib.suppress(OSError):  # not there, or not ours to see: whoever writes there says so
            usage = await asyncio.to_thread(shutil.disk_usage, path)
            if usage.free < usage.total // 10:  # a small disk is not a full one
                free[name] = usage.free
    return free


async def _reports(dependencies: Dependencies) -> Sequence[VerifyReport]:
    with contextlib.suppress(StoreError):
        return await dependencies.store.verify_reports(10)
    return ()
