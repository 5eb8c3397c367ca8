"""`/admin/tokens/`: tokens for programs that use the api, to make and to revoke."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from aiohttp import web

from api.admin.templates import render
from api.dependencies import DEPENDENCIES
from api.guard import session
from api.http import form
from api.http.page import page
from api.http.problem import Problem
from mailcore import api_token
from mailcore.api_token import ApiToken
from mailcore.errors import StoreError

log = structlog.get_logger(__name__)
routes = web.RouteTableDef()

LIST: Final = "/admin/tokens/"
# What the form offers: days; "" is for ever.
EXPIRIES: Final = {"30": "in 30 days", "90": "in 90 days", "365": "in a year", "": "never"}
_LONGEST: Final = 200


@dataclass(frozen=True)
class Form:
    """What was entered, to be shown again."""

    name: str = ""
    scopes: frozenset[str] = frozenset()
    expires: str = "365"


@dataclass(frozen=True)
class Made:
    """A token that is shown this once."""

    name: str
    text: str = field(repr=False)


@routes.get(LIST)
@page
async def every(request: web.Request) -> web.StreamResponse:
    return await _show(request, Form())


@routes.post(LIST)
@page
async def make(request: web.Request) -> web.StreamResponse:
    """The page with the token; it leads nowhere else, as an address would keep it."""
    pairs = await form.pairs(request)
    fields = dict(reversed(pairs))
    scopes = frozenset(value[:_LONGEST] for name, value in pairs if name == "scope")
    given = Form(fields.get("name", "").strip()[:_LONGEST], scopes, fields.get("expires", ""))
    now = datetime.now(UTC)
    try:
        if fault := api_token.fault_of_name(given.name) or api_token.fault_of_scopes(given.scopes):
            raise Problem(400, fault)
        if given.expires not in EXPIRIES:
            raise Problem(400, "Choose when it expires.")
        expires = now + timedelta(days=int(given.expires)) if given.expires else None
        text = api_token.text_of(secrets.token_bytes(api_token.RANDOM_BYTES))
        made = api_token.new(text, given.name, [one for one in api_token.SCOPES if one in scopes], now, expires)
        if not await request.app[DEPENDENCIES].store.add_api_token(made):
            raise Problem(409, f"There is a token {given.name!r} already; revoke it first, or choose another name.")
    except Problem as problem:
        return await _show(request, given, problem=problem)
    except StoreError as error:
        return await _show(request, given, problem=_no_database(error))
    log.info("token made", token=made.name, key=made.key, scopes=",".join(made.scopes), by=_user(request))
    await request.app[DEPENDENCIES].audit.note("token-made", f"{made.name}: {', '.join(made.scopes)}")
    return await _show(request, Form(), made=Made(given.name, text))


@routes.post(LIST + "{key:[0-9a-f]{8}}/revoke/")
@page
async def revoke(request: web.Request) -> web.StreamResponse:
    key = request.match_info["key"]
    try:
        found = await request.app[DEPENDENCIES].store.revoke_api_token(api_token.shown(key), datetime.now(UTC))
    except StoreError as error:
        raise _no_database(error) from None
    if found is not None:  # pressed twice, it is what it should be
        log.info("token revoked", token=found.name, key=found.key, by=_user(request))
        await request.app[DEPENDENCIES].audit.note("token-revoked", found.name)
    raise web.HTTPSeeOther(f"{LIST}?revoked={key}")


async def _show(
    request: web.Request, given: Form, *, problem: Problem | None = None, made: Made | None = None
) -> web.StreamResponse:
    now, fault = datetime.now(UTC), ""
    found: list[ApiToken] = []
    try:
        found = await request.app[DEPENDENCIES].store.api_tokens()
    except StoreError as error:
        fault = _no_database(error).detail
    standing = {one.key: api_token.standing(one.expires_at, one.revoked_at, now) for one in found}
    revoked = request.query.get("revoked", "")
    return render(
        request,
        "admin/tokens.html",
        status=problem.status if problem else 503 if fault else 200,
        tokens=sorted(found, key=lambda one: standing[one.key] != "valid"),
        standing=standing,
        shown=api_token.shown,
        scopes=api_token.MEANING,
        expiries=EXPIRIES,
        given=given,
        made=made,
        revoked=next((one.name for one in found if one.key == revoked and one.revoked_at is not None), ""),
        problem=problem.detail if problem else "",
        fault="" if problem else fault,
        longest=api_token.LONGEST_NAME,
    )


def _no_database(error: StoreError) -> Problem:
    return Problem(503, f"The database does not answer: {error}")


def _user(request: web.Request) -> str:
    current = session.of(request)
    return current.user if current else ""
