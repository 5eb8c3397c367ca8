"""`/admin/accounts/`: the accounts and how they are; those of the database to add, change, try, pause and remove."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from aiohttp import web

from api.admin.templates import render
from api.dependencies import DEPENDENCIES
from api.http import form
from api.http.page import page
from api.http.problem import Problem
from api.routes import provisioning
from api.routes.provisioning import Account
from mailcore.events.control import Trial

routes = web.RouteTableDef()

LIST: Final = "/admin/accounts/"
ONE: Final = LIST + "{name}/"
_FIELDS: Final = ("user", "name", "host", "port", "tls", "mailboxes", "backfill")
_EMPTY: Final = dict.fromkeys(_FIELDS, "") | {"tls": "tls", "mailboxes": "INBOX", "backfill": "all"}
_LONGEST: Final = 500
STEPS: Final = {
    "token": "Access token",
    "name": "Name",
    "address": "Address",
    "tcp": "Connection",
    "tls": "Encryption",
    "greeting": "Greeting",
    "login": "Login",
    "mailboxes": "Mailboxes",
    "idle": "Push (IDLE)",
    "capabilities": "It can",
}


@routes.get(LIST)
@page
async def every(request: web.Request) -> web.StreamResponse:
    return await _list(request, _EMPTY)


@routes.post(LIST)
@page
async def add(request: web.Request) -> web.StreamResponse:
    """Then to its own page; or the form again, with what is wrong and without the password."""
    given = await form.fields(request)
    name = given.get("name", "").strip() or given.get("user", "").strip()
    try:
        if not name:
            raise Problem(400, "Enter the address.")
        values = _values(given)
        if "password" not in values:
            raise Problem(400, "Enter the password.")
        await provisioning.add(request.app[DEPENDENCIES], name, values)
    except Problem as problem:
        return await _list(request, {field: given.get(field, "") for field in _FIELDS}, problem)
    raise web.HTTPSeeOther(f"{path_of(name)}?added=1")


@routes.get(ONE)
@page
async def one(request: web.Request) -> web.StreamResponse:
    return await _show(request)


@routes.post(ONE)
@page
async def change(request: web.Request) -> web.StreamResponse:
    name = _name(request)
    given = await form.fields(request)
    try:
        await provisioning.change(request.app[DEPENDENCIES], name, _values(given))
    except Problem as problem:
        return await _show(request, problem=problem, given={field: given.get(field, "") for field in _FIELDS})
    raise web.HTTPSeeOther(f"{path_of(name)}?changed=1")


@routes.post(ONE + "test/")
@page
async def test(request: web.Request) -> web.StreamResponse:
    """The page with the steps; it is reached by this button alone, so that reloading asks."""
    try:
        found = await provisioning.trial(request.app[DEPENDENCIES], _name(request))
    except Problem as problem:
        return await _show(request, problem=problem)
    return await _show(request, trial=found)


@routes.post(ONE + "pause/")
@page
async def pause(request: web.Request) -> web.StreamResponse:
    await provisioning.pause(request.app[DEPENDENCIES], _name(request), paused=True)
    raise web.HTTPSeeOther(path_of(_name(request)))


@routes.post(ONE + "resume/")
@page
async def resume(request: web.Request) -> web.StreamResponse:
    await provisioning.pause(request.app[DEPENDENCIES], _name(request), paused=False)
    raise web.HTTPSeeOther(path_of(_name(request)))


@routes.post(ONE + "remove/")
@page
async def remove(request: web.Request) -> web.StreamResponse:
    name = _name(request)
    if (await form.fields(request)).get("sure") != "yes":
        return await _show(request, problem=Problem(400, "Tick that you are sure; nothing was removed."))
    await provisioning.remove(request.app[DEPENDENCIES], name)
    raise web.HTTPSeeOther(LIST + "?" + urlencode({"removed": name[:_LONGEST]}))


def path_of(name: str) -> str:
    """The page of the account. Pure."""
    return f"{LIST}{quote(name, safe='')}/"


async def _list(request: web.Request, given: Mapping[str, str], problem: Problem | None = None) -> web.StreamResponse:
    return render(
        request,
        "admin/accounts.html",
        status=problem.status if problem else 200,
        accounts=await provisioning.all_accounts(request.app[DEPENDENCIES]),
        path_of=path_of,
        given=given,
        problem=problem.detail if problem else "",
        removed=request.query.get("removed", "")[:_LONGEST],
    )


async def _show(
    request: web.Request,
    *,
    problem: Problem | None = None,
    trial: Trial | None = None,
    given: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    found = await provisioning.one(request.app[DEPENDENCIES], _name(request))
    return render(
        request,
        "admin/account.html",
        status=problem.status if problem else 200,
        account=found,
        path=path_of(found.name),
        given=given or _given(found),
        problem=problem.detail if problem else "",
        trial=trial,
        steps=STEPS,
        added="added" in request.query,
        changed="changed" in request.query,
    )


def _given(account: Account) -> dict[str, str]:
    """The form's fields as the account has them."""
    settings = account.settings
    if settings is None:
        return dict(_EMPTY)
    return {
        "name": account.name,
        "user": settings.user,
        "host": settings.host,
        "port": str(settings.port),
        "tls": "tls" if settings.use_ssl else "starttls" if settings.starttls else "none",
        "mailboxes": ", ".join(settings.mailboxes),
        "backfill": str(settings.backfill),
    }


def _values(given: Mapping[str, str]) -> dict[str, Any]:
    """Settings as the form has them; what is empty was not given. Pure."""
    values: dict[str, Any] = {
        key: given[key].strip()
        for key in ("host", "port", "user", "mailboxes", "backfill")
        if given.get(key, "").strip()
    }
    if given.get("password"):
        values["password"] = given["password"]
    if given.get("tls") in ("tls", "starttls", "none"):
        values |= {"use_ssl": given["tls"] == "tls", "starttls": given["tls"] == "starttls"}
    return values


def _name(request: web.Request) -> str:
    return request.match_info["name"]
