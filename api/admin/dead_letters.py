"""`/admin/dead-letters/`: what could not be stored or delivered, why, its bytes, and once more."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, TypeVar
from urllib.parse import urlencode

import structlog
from aiohttp import web

from api.admin.templates import render
from api.dependencies import DEPENDENCIES
from api.http.page import page
from api.http.paging import take
from api.http.problem import Problem
from mailcore import undelivered
from mailcore.bus import MAIL_DEAD
from mailcore.errors import BusError, EventError
from mailcore.events.dead_letter import DeadLetter
from mailcore.events.undelivered import Undelivered

log = structlog.get_logger(__name__)
routes = web.RouteTableDef()

LIST: Final = "/admin/dead-letters/"
_ON_A_PAGE: Final = 100
_LONGEST: Final = 500
_Entry = TypeVar("_Entry", DeadLetter, Undelivered)


@dataclass(frozen=True, slots=True)
class Part(Generic[_Entry]):
    """A page of one of the two lists; `following` is where it goes on, "" on the last."""

    entries: list[_Entry]
    total: int
    after: int
    following: str


@routes.get(LIST)
@page
async def dead_letters(request: web.Request) -> web.StreamResponse:
    """Oldest first, as they wait: messages, and what the webhook's receiver did not take."""
    fault = ""
    letters: Part[DeadLetter] = Part([], 0, 0, "")
    events: Part[Undelivered] = Part([], 0, 0, "")
    try:
        bus = request.app[DEPENDENCIES].bus
        total, waiting = (await bus.position(MAIL_DEAD)).messages, await undelivered.count(bus)
        letters = await _part(request, "after", total, bus.dead_letters)
        events = await _part(request, "webhook_after", waiting, partial(undelivered.entries, bus))
    except BusError as error:
        fault = f"NATS does not tell of them: {error}"
    return render(
        request,
        "admin/dead_letters.html",
        letters=letters,
        kinds={letter.seq: _kind(letter) for letter in letters.entries},
        events=events,
        fault=fault,
        webhook=bool(request.app[DEPENDENCIES].settings.webhook_url),
        redriven=_told(request, "redriven"),
        delivered=_told(request, "delivered"),
        problem=_told(request, "problem"),
    )


async def _part(
    request: web.Request, parameter: str, total: int, read: Callable[[int], AsyncGenerator[_Entry, None]]
) -> Part[_Entry]:
    """The entries behind the one that the query's `parameter` names."""
    text = request.query.get(parameter, "")
    after = int(text) if _is_sequence(text) else 0
    shown, more = await take(read(after), _ON_A_PAGE)
    following = f"{LIST}?{parameter}={shown[-1].seq}" if more else ""
    return Part(shown, total, after, following)


@routes.post(LIST + r"{seq:\d{1,19}}/redrive/")
@page
async def redrive(request: web.Request) -> web.StreamResponse:
    """Publish it once more; then the list says so."""
    seq = int(request.match_info["seq"])
    try:
        bus = request.app[DEPENDENCIES].bus
        letter = await bus.dead_letter(seq)
        await bus.redrive(seq)
    except BusError as error:
        raise _back(problem=str(error)) from None
    except OSError as error:
        log.exception("redrive failed", seq=seq)
        raise Problem(500, f"The letter's bytes could not be moved: {error.strerror}") from None
    log.info("redriven", seq=seq, identity=str(letter.identity), by="page")
    raise _back(redriven=f"{letter.identity.mailbox}, UID {letter.identity.uid}")


@routes.post(LIST + r"webhook/{seq:\d{1,19}}/redrive/")
@page
async def redrive_undelivered(request: web.Request) -> web.StreamResponse:
    """Have it sent to the webhook's receiver now; then the list says what came of it."""
    seq = int(request.match_info["seq"])
    try:
        bus = request.app[DEPENDENCIES].bus
        entry = await undelivered.entry(bus, seq)
        told = await undelivered.redeliver(bus, seq)
    except BusError as error:
        raise _back(problem=f"Not sent: {error}.") from None
    log.info("redelivery asked for", seq=seq, id=entry.id, status=told.status, by="page")
    if told.status == "refused":
        raise _back(problem=f"The receiver did not take {entry.id}: {told.error}.")
    raise _back(delivered=entry.id)


def _told(request: web.Request, name: str) -> str:
    return request.query.get(name, "")[:_LONGEST]


def _back(**told: str) -> web.HTTPSeeOther:
    return web.HTTPSeeOther(LIST + "?" + urlencode(told))


def _kind(letter: DeadLetter) -> str:
    try:
        return letter.kind
    except EventError:
        return "unknown"


def _is_sequence(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19
