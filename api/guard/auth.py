"""Who may ask, and what for: whoever has a token (RFC 6750 §2.1) with a scope for it, is signed in
(api/guard/session.py) and meant it, or has a signed address (api/guard/signed.py)."""

from __future__ import annotations

import hmac
import math
from typing import Final
from urllib.parse import quote

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from api.guard import csrf, scope
from api.guard.access import Access
from api.guard.audit import acting
from api.guard.session import SESSION, Session
from api.guard.tokens import TOKEN, Tokens
from api.http import assets, form
from api.http.page import LOGIN, is_page
from api.http.problem import Problem
from mailcore import api_token
from mailcore.api_token import ApiToken
from mailcore.audit import Actor
from mailcore.errors import StoreError

PUBLIC: Final = frozenset({"/healthz", "/readyz", LOGIN})
# From here on a token cannot be found by guessing (128 bits in base64), so that a neighbour's guesses behind the same
# address need not lock its owner out.
_LONG: Final = 22
_SEEN: Final = web.RequestKey("seen", Session)
_CHALLENGE: Final = 'Bearer realm="mozzart"'


def only_known(token: str, access: Access, tokens: Tokens) -> Middleware:
    """The middleware: 401 for strangers, wherever the path leads, so that nobody can probe what exists; 403 for whoever
    has one of `tokens` without a scope for it. `token` is good for everything."""
    wanted = token.encode()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in PUBLIC or request.path.startswith(assets.PREFIX):
            _recognise(request, access)
        elif access.sessions.is_signed(request):
            pass
        elif "Authorization" in request.headers:
            await _check_token(request, access, wanted, tokens)
        elif current := _recognise(request, access):
            if request.method not in csrf.SAFE_METHODS:
                await check_on_purpose(request, access, current)
        elif is_page(request) and request.method in csrf.SAFE_METHODS:
            raise web.HTTPSeeOther(f"{LOGIN}?next={quote(request.path_qs, safe='/')}")
        else:
            raise _stranger(request)
        try:
            with acting(_actor(request)):
                response = await handler(request)
        except web.HTTPException as redirection:
            _renew(request, redirection, access)
            raise
        _renew(request, response, access)
        return response

    return check


async def check_on_purpose(request: web.Request, access: Access, current: Session | None) -> None:
    """Raises Problem (403) unless one of our own pages, or a program that knows the csrftoken cookie, sent this."""
    headers = request.headers
    if csrf.is_foreign(
        request.host,
        secure=request.secure,
        origin=headers.get("Origin"),
        fetch_site=headers.get("Sec-Fetch-Site"),
    ):
        raise Problem(403, "This came from a page of another site.")
    repeated = headers.get(csrf.HEADER) or (await form.fields(request)).get(csrf.FIELD, "")
    session_id = current.id if current else ""
    if fault := csrf.fault(access.sessions.csrf_key, session_id, request.cookies.get(csrf.COOKIE, ""), repeated):
        raise Problem(403, fault)


def forget(request: web.Request) -> None:
    """The request's session ended meanwhile: its cookie is not renewed."""
    request.pop(_SEEN, None)
    request.pop(SESSION, None)


def _recognise(request: web.Request, access: Access) -> Session | None:
    current = access.sessions.of(request)
    if current is not None:
        request[SESSION] = current
        if _is_active(request) and (renewed := access.sessions.renewed(current)):
            request[_SEEN] = renewed
    return current


def _renew(request: web.Request, response: web.StreamResponse, access: Access) -> None:
    """A session whose user was active gets its cookie anew."""
    if (seen := request.get(_SEEN)) is not None and not response.prepared:
        access.sessions.put(response, seen, secure=request.secure)


def _is_active(request: web.Request) -> bool:
    """Somebody follows a link or presses a button; a script that looks for news keeps no session alive.

    Sec-Fetch-Mode is not sent over plain http to another machine: there everything counts.
    """
    return request.method not in csrf.SAFE_METHODS or request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"


def _actor(request: web.Request) -> Actor:
    """Who was found out to ask."""
    address = request.remote or ""
    if (current := request.get(SESSION)) is not None:
        return Actor("user", current.user, address)
    if (token := request.get(TOKEN)) is not None:
        return Actor("token", token.name, address)
    is_known = "Authorization" in request.headers and request.path not in PUBLIC
    return Actor("token", api_token.OF_SETTINGS, address) if is_known else Actor("stranger", "", address)


async def _check_token(request: web.Request, access: Access, wanted: bytes, tokens: Tokens) -> None:
    given, wait = _given(request.headers["Authorization"]), access.token_wait(request)
    if _is_same(given, wanted) and (not wait or len(wanted) >= _LONG):
        return
    presented = api_token.read(given)
    unseen = wait > 0
    if presented is not None and (not unseen or tokens.knows(presented)):
        unseen = False
        try:
            found = await tokens.bearer(presented)
        except StoreError as error:
            raise Problem(503, f"The database, which knows the tokens, does not answer: {error}") from None
        if isinstance(found, ApiToken):
            request[TOKEN] = found
            tokens.use(found)
            _check_scope(request, found)
            return
    access.token_refused(request, unseen=unseen)
    if wait:
        seconds = math.ceil(wait)
        raise Problem(429, f"Too many wrong tokens; try again in {seconds} s.", {"Retry-After": str(seconds)})
    # The same words for all: nobody learns from them whether what they found was ever good for anything.
    raise Problem(
        401,
        "This token is not known, has expired or was revoked. Whoever made it sees which: `mozzart tokens list`, or "
        "/admin/tokens/. Others are API_TOKEN, or in DATA_DIR/api.token.",
        {"WWW-Authenticate": _CHALLENGE + ', error="invalid_token"'},
    )


def _check_scope(request: web.Request, token: ApiToken) -> None:
    """Raises Problem (403). That there is nothing, or no such method, may be told to everybody who is known."""
    needed = scope.needed(request)
    if request.match_info.http_exception is not None or api_token.permits(token.scopes, needed):
        return
    if not needed:
        raise Problem(403, f"This is for people; sign in at {LOGIN}.")
    words = " or ".join(f"`{one}`" for one in needed)
    raise Problem(
        403,
        f"The token {token.name!r} has not the scope {words}, which this needs.",
        {"WWW-Authenticate": f'{_CHALLENGE}, error="insufficient_scope", scope="{" ".join(needed)}"'},
        scopes=list(needed),
    )


def _stranger(request: web.Request) -> Problem:
    detail = (
        "Your session has ended; sign in again."
        if is_page(request)
        else "Send the header `Authorization: Bearer TOKEN`; the token is API_TOKEN, or in DATA_DIR/api.token, or made "
        f"with `mozzart tokens add`. Or sign in at {LOGIN} and send the cookies."
    )
    return Problem(401, detail, {"WWW-Authenticate": _CHALLENGE})


def _given(header: str) -> str:
    """The token of this Authorization header, "" where it has none."""
    scheme, _, given = header.partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


def _is_same(given: str, wanted: bytes) -> bool:
    # surrogateescape is how aiohttp hands over bytes that are no UTF-8; the comparison takes the same time for all.
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted)
