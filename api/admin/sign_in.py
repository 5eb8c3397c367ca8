"""The way to a provider (RFC 6749 §4.1, with PKCE): a page of ours leads there, and api/admin/callback.py is where the
browser comes back to."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from api.admin.templates import render
from api.dependencies import DEPENDENCIES
from api.guard import session
from api.guard.authorization import AUTHORIZATIONS, Authorization
from api.http.problem import Problem
from mailcore.account import Account
from mailcore.oauth.configuration import CALLBACK, Provider
from mailcore.settings import Settings

NAMES: Final[Mapping[Provider, str]] = {"google": "Google", "microsoft": "Microsoft"}


def begin(
    request: web.Request, account: Account, values: Mapping[str, Any] | None, given: Mapping[str, str]
) -> web.StreamResponse:
    """The page that leads to the provider; the rest as in Authorization. Raises Problem."""
    current = session.of(request)
    if current is None or account.oauth is None:
        raise Problem(403, "Sign in to these pages first.")
    redirect_uri = redirect_uri_of(request, request.app[DEPENDENCIES].settings)
    state = secrets.token_urlsafe(24)
    url, verifier = request.app[DEPENDENCIES].tokens.authorize_url(account, redirect_uri, state)
    authorization = Authorization(current.id, account, redirect_uri, verifier, values, given)
    request.app[AUTHORIZATIONS].begin(state, authorization)
    response = render(
        request,
        "admin/sign_in.html",
        provider=provider_name(account),
        host=urlsplit(url).netloc,
        url=url,
        account=account,
    )
    # By itself, and not by a redirect: browsers hold what a form leads to to `form-action`.
    response.headers["Refresh"] = f"0; url={url}"
    return response


def redirect_uri_of(request: web.Request, settings: Settings) -> str:
    """As the provider must know it: OAUTH_REDIRECT_URI, else at the address under which this page was asked for."""
    return settings.oauth_redirect_uri or f"{request.scheme}://{request.host}{CALLBACK}"


def provider_name(account: Account) -> str:
    assert account.oauth is not None
    return name_of(account.oauth.provider, account.oauth.authorize_url)


def name_of(provider: Provider, authorize_url: str) -> str:
    """For people. Pure."""
    return NAMES.get(provider) or urlsplit(authorize_url).hostname or "the provider"
