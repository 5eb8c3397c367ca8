"""`/admin/dead-letters/`: what could not be stored, why, its bytes, and once more."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

import structlog
from aiohttp import web

from api.dependencies import DEPENDENCIES
from api.pages import page, render
from api.problem import Problem
from mailcore.bus import MAIL_DEAD
from mailcore.errors import BusError, EventError
from mailcore.events.dead_letter import DeadLetter

log = structlog.get_logger(__name__)
routes = web.RouteTableDef()

LIST: Final = "/admin/dead-letters/"
_ON_A_PAGE: Final = 100
_LONGEST: Final = 500


@routes.get(LIST)
@page
async def dead_letters(request: web.Request) -> web.StreamResponse:
    """Oldest first, as they wait."""
    bus_of = request.app[DEPENDENCIES]
    after = int(request.query["after"]) if _is_sequence(request.query.get("after", "")) else 0
    letters: list[DeadLetter] = []
    fault, total = "", 0
    try:
        total = (await bus_of.bus.position(MAIL_DEAD)).messages
        async for letter in bus_of.bus.dead_letters(after):
            letters.append(letter)
            if len(letters) > _ON_A_PAGE:
                break
    except BusError as error:
        fault = f"NATS does not tell of them: {error}"
    more = len(letters) > _ON_A_PAGE
    letters = letters[:_ON_A_PAGE]
    return render(
        request,
        "admin/dead_letters.html",
        letters=[{"letter": letter, "kind": _kind(letter)} for letter in letters],
        total=total,
        fault=fault,
        after=after,
        following=f"{LIST}?after={letters[-1].seq}" if more else "",
        redriven=request.query.get("redriven", "")[:_LONGEST],
        problem=request.query.get("problem", "")[:_LONGEST],
    )


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
        raise web.HTTPSeeOther(LIST + "?" + urlencode({"problem": str(error)})) from None
    except OSError as error:
        log.exception("redrive failed", seq=seq)
        raise Problem(500, f"The letter's bytes could not be moved: {error.strerror}") from None
    log.info("redriven", seq=seq, identity=str(letter.identity), by="page")
    name = f"{letter.identity.mailbox}, UID {letter.identity.uid}"
    raise web.HTTPSeeOther(LIST + "?" + urlencode({"redriven": name}))


def _kind(letter: DeadLetter) -> str:
    try:
        return letter.kind
    except EventError:
        return "unknown"


def _is_sequence(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19
