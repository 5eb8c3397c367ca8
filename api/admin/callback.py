"""`/admin/oauth/callback/`: somebody comes back from a provider; what that brings is kept, and the account added."""

from __future__ import annotations

from aiohttp import web

from api.admin import accounts, new_account
from api.admin.account_form import path_of
from api.dependencies import DEPENDENCIES
from api.guard import session
from api.guard.authorization import AUTHORIZATIONS, Authorization
from api.http.page import page
from api.http.problem import Problem
from api.routes import provisioning
from mailcore.errors import ImapError
from mailcore.oauth.configuration import CALLBACK
from mailcore.oauth.redirect import read_back

routes = web.RouteTableDef()


@routes.get(CALLBACK)
@page
async def come_back(request: web.Request) -> web.StreamResponse:
    """To the page of the account; or to where the sign-in began, with what is wrong."""
    state, current = request.query.get("state", ""), session.of(request)
    begun = request.app[AUTHORIZATIONS].take(state, current.id if current else "")
    if begun is None:
        raise Problem(
            400,
            "This is the end of no sign-in that was begun in this session: it was used already, took longer than ten "
            "minutes, or the api was restarted meanwhile. Begin again.",
        )
    try:
        await _redeem(request, begun, state)
    except (ImapError, Problem) as error:
        problem = error if isinstance(error, Problem) else Problem(502, str(error))
        if begun.values is not None:
            return new_account.form_page(request, begun.given, problem=problem)
        return await accounts.show(request, begun.account.name, problem=problem)
    word = "added" if begun.values is not None else "signed-in"
    raise web.HTTPSeeOther(f"{path_of(begun.account.name)}?{word}=1")


async def _redeem(request: web.Request, begun: Authorization, state: str) -> None:
    """Raises ImapError, Problem."""
    dependencies, name = request.app[DEPENDENCIES], begun.account.name
    back = read_back(request.query, state)
    if back is None:
        raise Problem(400, "The provider sent no code; begin again.")
    if begun.values is not None:
        # What another account of this name has must not be overwritten.
        await provisioning.prepared(dependencies, name, begun.values)
    await dependencies.tokens.redeem(begun.account, back.code, begun.verifier, begun.redirect_uri)
    if begun.values is not None:
        await provisioning.add(dependencies, name, begun.values)
    else:
        await provisioning.signed_in(dependencies, name)
