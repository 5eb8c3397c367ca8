"""Adding an account: it begins with the address; what is found about that is shown and can be changed; then a password,
or a sign-in at the provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from api.admin import sign_in
from api.admin.account_form import FIELDS, OAUTH_FIELDS, path_of, values_of
from api.admin.templates import render
from api.dependencies import DEPENDENCIES
from api.http.problem import Problem
from api.routes import provisioning
from mailcore.discovery.decision import Found
from mailcore.discovery.lookup import discover
from mailcore.discovery.preset import Way, of_host
from mailcore.oauth.configuration import PROVIDERS
from mailcore.settings import Settings

EMPTY: Final = dict.fromkeys((*FIELDS, *OAUTH_FIELDS), "") | {"tls": "tls", "mailboxes": "INBOX", "backfill": "all"}
_SAFE_HOSTS: Final = ("localhost", "127.0.0.1", "::1")


async def take(request: web.Request, given: Mapping[str, str]) -> web.StreamResponse:
    """One step: `find`, `password`, `sign-in` with the application of the settings or `sign-in-own` with another one.
    Raises Problem where the first one has no address."""
    address, step = given.get("user", "").strip(), given.get("step", "find")
    if not address:
        raise Problem(400, "Enter the address.")
    if step == "find":
        return form_page(request, *await _found(address))
    shown = {name: given.get(name, "") for name in EMPTY if name != "oauth_client_secret"}
    name = given.get("name", "").strip() or address
    dependencies = request.app[DEPENDENCIES]
    try:
        if step == "password":
            if not given.get("password"):
                raise Problem(400, "Enter the password.")
            await provisioning.add(dependencies, name, values_of(given))
        else:
            oauth = _application(dependencies.settings) if step == "sign-in" else _own(given)
            values = values_of(given) | {"auth": "oauth", "oauth": oauth}
            values.pop("password", None)
            account = await provisioning.prepared(dependencies, name, values)
            return sign_in.begin(request, account, values, shown)
    except Problem as problem:
        return form_page(request, shown, problem=problem)
    raise web.HTTPSeeOther(f"{path_of(name)}?added=1")


def form_page(
    request: web.Request, given: Mapping[str, str], found: Found | None = None, *, problem: Problem | None = None
) -> web.StreamResponse:
    """The second step, with what is known or was entered."""
    settings = request.app[DEPENDENCIES].settings
    preset = of_host(given["host"])
    redirect_uri = sign_in.redirect_uri_of(request, settings)
    way: Way = preset.way if preset is not None else "password"
    return render(
        request,
        "admin/account_new.html",
        status=problem.status if problem else 200,
        given={
            **EMPTY,
            **given,
            "oauth_provider": given.get("oauth_provider") or ("custom" if way == "password" else way),
        },
        found=found,
        looked=problem is None,
        preset=preset.name if preset is not None else "",
        way=way,
        application=_application_name(settings, way),
        providers={one: sign_in.NAMES.get(one, "another one") for one in PROVIDERS},
        redirect_uri=redirect_uri,
        takes_redirect=redirect_uri.startswith("https:") or urlsplit(redirect_uri).hostname in _SAFE_HOSTS,
        problem=problem.detail if problem else "",
    )


async def _found(address: str) -> tuple[dict[str, str], Found | None]:
    found = await discover(address)
    if found is None:
        return EMPTY | {"user": address}, None
    name = address if found.user != address else ""
    return EMPTY | {
        "user": found.user,
        "name": name,
        "host": found.host,
        "port": str(found.port),
        "tls": found.tls,
    }, found


def _application_name(settings: Settings, way: Way) -> str:
    """The provider of the settings' application, if accounts that log in like this are of it; else ""."""
    provider = settings.oauth_provider
    fits = provider == way or (provider == "custom" and way == "password" and settings.oauth_authorize_url)
    return sign_in.name_of(provider, settings.oauth_authorize_url) if settings.oauth_client_id and fits else ""


def _application(settings: Settings) -> dict[str, Any]:
    """The application that is registered at the provider, as the settings have it. Raises Problem."""
    if not settings.oauth_client_id:
        raise Problem(400, "The settings have no application (OAUTH_CLIENT_ID); enter one.")
    found = {
        "provider": settings.oauth_provider,
        "client_id": settings.oauth_client_id,
        "client_secret": settings.oauth_client_secret.get_secret_value(),
        "tenant": settings.oauth_tenant,
        "token_url": settings.oauth_token_url,
        "authorize_url": settings.oauth_authorize_url,
        "scope": settings.oauth_scope,
    }
    return {name: value for name, value in found.items() if value}


def _own(given: Mapping[str, str]) -> dict[str, Any]:
    named = {field.removeprefix("oauth_"): given.get(field, "").strip() for field in OAUTH_FIELDS}
    if not named["client_id"]:
        raise Problem(400, "Enter the client id of the application that is registered at the provider.")
    return {name: value for name, value in named.items() if value}
