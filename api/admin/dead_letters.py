"""`/admin/dead-letters/`: what could not be stored or delivered, why, its bytes, and once more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, TypeVar
from urllib.parse import urlencode

import structlog
from aiohttp import web

from api.admin.letters import CONTENTS, Content, Group, groups, key_of, kind_of
from api.admin.quantity import counted
from api.admin.templates import render
from api.dependencies import DEPENDENCIES
from api.http import form
from api.http.page import page
from api.http.paging import take
from api.http.problem import Problem
from mailcore import undelivered
from mailcore.audit import Action
from mailcore.bus import MAIL_DEAD
from mailcore.errors import BusError, Scope
from mailcore.events.dead_letter import DeadLetter
from mailcore.events.undelivered import Undelivered

log = structlog.get_logger(__name__)
routes = web.RouteTableDef()

LIST: Final = "/admin/dead-letters/"
_ON_A_PAGE: Final = 100
_SCANNED: Final = 2_000  # letters among which reasons are looked for
_AT_ONCE: Final = 10_000  # letters that one button does something about
_WITHIN: Final = 20.0  # seconds; what is left is said
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
    reasons: list[Group] = []
    contents: dict[int, Content] = {}
    chosen = request.query.get("reason", "")[:_LONGEST]
    try:
        bus = request.app[DEPENDENCIES].bus
        total, waiting = (await bus.position(MAIL_DEAD)).messages, await undelivered.count(bus)
        scanned, _ = await take(bus.dead_letters(), _SCANNED)
        reasons = groups(scanned)
        if chosen in {one.key for one in reasons}:
            letters = _of_reason(request, scanned, chosen)
        else:
            letters = await _part(request, "after", total, bus.dead_letters)
        contents = await request.app[CONTENTS].of(bus, letters.entries)
        events = await _part(request, "webhook_after", waiting, partial(undelivered.entries, bus))
    except BusError as error:
        fault = f"NATS does not tell of them: {error}"
    return render(
        request,
        "admin/dead_letters.html",
        letters=letters,
        kinds={letter.seq: kind_of(letter) for letter in letters.entries},
        contents=contents,
        reasons=reasons,
        chosen=next((one for one in reasons if one.key == chosen), None),
        events=events,
        fault=fault,
        webhook=bool(request.app[DEPENDENCIES].settings.webhook_url),
        redriven=_told(request, "redriven"),
        discarded=_told(request, "discarded"),
        delivered=_told(request, "delivered"),
        problem=_told(request, "problem"),
    )


async def _part(
    request: web.Request, parameter: str, total: int, read: Callable[[int], AsyncGenerator[_Entry, None]]
) -> Part[_Entry]:
    """The entries behind the one that the query's `parameter` names."""
    after = _sequence(request.query.get(parameter, ""))
    shown, more = await take(read(after), _ON_A_PAGE)
    following = f"{LIST}?{parameter}={shown[-1].seq}" if more else ""
    return Part(shown, total, after, following)


def _of_reason(request: web.Request, scanned: list[DeadLetter], reason: str) -> Part[DeadLetter]:
    after = _sequence(request.query.get("after", ""))
    alike = [letter for letter in scanned if key_of(letter) == reason]
    behind = [letter for letter in alike if letter.seq > after]
    shown = behind[:_ON_A_PAGE]
    following = urlencode({"reason": reason, "after": shown[-1].seq}) if len(behind) > len(shown) else ""
    return Part(shown, len(alike), after, following and f"{LIST}?{following}")


@routes.post(LIST)
@page
async def several(request: web.Request) -> web.StreamResponse:
    """Redrive or discard what is selected, or all (of a reason); then the list says what came of it."""
    given = await form.pairs(request)
    reason = next((value for name, value in given if name == "reason"), "")[:_LONGEST]
    verb, _, which = next((value for name, value in given if name == "do"), "").partition("-")
    if verb not in ("redrive", "discard") or which not in ("selected", "all"):
        raise Problem(400, "The form does not say what to do.")
    bus = request.app[DEPENDENCIES].bus
    seqs = [_sequence(value) for name, value in given if name == "seq"]
    done, failed, problem = 0, 0, ""
    try:
        async with asyncio.timeout(_WITHIN):
            if which == "all":
                every, _ = await take(bus.dead_letters(), _AT_ONCE)
                seqs = [letter.seq for letter in every if not reason or key_of(letter) == reason]
            for seq in seqs:
                try:
                    await (bus.redrive(seq) if verb == "redrive" else bus.discard(seq))
                except BusError as error:
                    if error.scope is not Scope.MESSAGE:
                        raise
                    failed, problem = failed + 1, str(error)
                else:
                    done += 1
    except (BusError, TimeoutError) as error:
        problem = str(error) or f"{counted(len(seqs) - done - failed, 'letter')} left after {_WITHIN:.0f} s: once more"
    except OSError as error:
        log.exception("dead letters not moved")
        problem = f"the bytes could not be moved: {error.strerror}"
    log.info("dead letters", did=verb, which=which, reason=reason, done=done, failed=failed, by="page")
    if done:
        action: Action = "redriven" if verb == "redrive" else "discarded"
        about = "dead letters" if which == "selected" else f"all dead letters{' of a reason' if reason else ''}"
        await request.app[DEPENDENCIES].audit.note(action, about, count=done)
    if not seqs:
        problem = "no letter was selected"
    told = {"redriven" if verb == "redrive" else "discarded": counted(done, "message")} if done else {}
    if problem:
        told["problem"] = f"{problem[:1].upper()}{problem[1:]}."
    raise _back(**told)


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
    await request.app[DEPENDENCIES].audit.note("redriven", str(letter.identity))
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
    await request.app[DEPENDENCIES].audit.note("redriven", f"event {entry.id}")
    if told.status == "refused":
        raise _back(problem=f"The receiver did not take {entry.id}: {told.error}.")
    raise _back(delivered=entry.id)


def _told(request: web.Request, name: str) -> str:
    return request.query.get(name, "")[:_LONGEST]


def _back(**told: str) -> web.HTTPSeeOther:
    return web.HTTPSeeOther(LIST + "?" + urlencode(told))


def _sequence(text: str) -> int:
    """0 where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
