"""`/admin/accounts/`: the accounts and how they are; those of the database to add, change, try, pause and remove."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from api.admin import new_account, sign_in
from api.admin.account_form import FIELDS, LIST, OAUTH_FIELDS, given_of, oauth_of, path_of, values_of
from api.admin.templates import render
from api.dependencies import DEPENDENCIES
from api.http import form
from api.http.page import page
from api.http.problem import Problem
from api.routes import provisioning
from mailcore.events.control import Trial

routes = web.RouteTableDef()

ONE: Final = LIST + "{name}/"
_LONGEST: Final = 500
_NEWS: Final = {
    "added": "Added. Its mail is being fetched. Test shows each step of a login.",
    "changed": "Changed. It logs in again.",
    "signed-in": "Signed in. It logs in again.",
}
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
    return await _list(request)


@routes.post(LIST)
@page
async def add(request: web.Request) -> web.StreamResponse:
    """A step of adding one (api/admin/new_account.py)."""
    try:
        return await new_account.take(request, await form.fields(request))
    except Problem as problem:
        return await _list(request, problem)


@routes.get(ONE)
@page
async def one(request: web.Request) -> web.StreamResponse:
    return await show(request, _name(request))


@routes.post(ONE)
@page
async def change(request: web.Request) -> web.StreamResponse:
    name = _name(request)
    given = await form.fields(request)
    values = values_of(given) | ({"oauth": oauth} if (oauth := oauth_of(given)) else {})
    try:
        await provisioning.change(request.app[DEPENDENCIES], name, values)
    except Problem as problem:
        shown = {field: given.get(field, "") for field in (*FIELDS, *OAUTH_FIELDS) if field != "oauth_client_secret"}
        return await show(request, name, problem=problem, given=shown)
    raise web.HTTPSeeOther(f"{path_of(name)}?changed=1")


@routes.post(ONE + "test/")
@page
async def test(request: web.Request) -> web.StreamResponse:
    """The page with the steps; it is reached by this button alone, so that reloading asks."""
    try:
        found = await provisioning.trial(request.app[DEPENDENCIES], _name(request))
    except Problem as problem:
        return await show(request, _name(request), problem=problem)
    return await show(request, _name(request), trial=found)


@routes.post(ONE + "sign-in/")
@page
async def sign_in_again(request: web.Request) -> web.StreamResponse:
    """The way to the provider."""
    name = _name(request)
    try:
        account = await provisioning.who_signs_in(request.app[DEPENDENCIES], name)
        return sign_in.begin(request, account, None, {})
    except Problem as problem:
        return await show(request, name, problem=problem)


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
    given = await form.fields(request)
    mail = given.get("mail", "")
    try:
        if given.get("sure") != "yes" or mail not in ("keep", "delete"):
            raise Problem(400, "Say what becomes of its mail, and tick that you are sure; nothing was removed.")
        await provisioning.remove(request.app[DEPENDENCIES], name, deletes_mail=mail == "delete")
    except Problem as problem:
        return await show(request, name, problem=problem)
    raise web.HTTPSeeOther(LIST + "?" + urlencode({"removed": name[:_LONGEST], "mail": mail}))


async def _list(request: web.Request, problem: Problem | None = None) -> web.StreamResponse:
    return render(
        request,
        "admin/accounts.html",
        status=problem.status if problem else 200,
        accounts=await provisioning.all_accounts(request.app[DEPENDENCIES]),
        path_of=path_of,
        problem=problem.detail if problem else "",
        removed=request.query.get("removed", "")[:_LONGEST],
        deleted=request.query.get("mail") == "delete",
    )


async def show(
    request: web.Request,
    name: str,
    *,
    problem: Problem | None = None,
    trial: Trial | None = None,
    given: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """The page of that account."""
    found = await provisioning.one(request.app[DEPENDENCIES], name)
    oauth = found.settings.oauth if found.settings else None
    return render(
        request,
        "admin/account.html",
        status=problem.status if problem else 200,
        account=found,
        path=path_of(found.name),
        given=given or given_of(found),
        provider=sign_in.name_of(oauth.provider, oauth.authorize_url) if oauth else "",
        signs_in=oauth is not None and oauth.grant == "authorization_code",
        problem=problem.detail if problem else "",
        trial=trial,
        steps=STEPS,
        news=next((words for word, words in _NEWS.items() if word in request.query), ""),
    )


def _name(request: web.Request) -> str:
    return request.match_info["name"]
