"""`/admin/login/` and `/admin/logout/`: how a session begins and ends."""

from __future__ import annotations

import math
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from api.admin.templates import render
from api.dependencies import DEPENDENCIES
from api.guard import csrf, session
from api.guard.access import ACCESS
from api.guard.auth import check_on_purpose, forget
from api.guard.password import TooBusy
from api.guard.ratelimit import client_of
from api.http import form
from api.http.page import HOME, LOGIN, page
from api.http.problem import Problem
from mailcore.audit import Actor

log = structlog.get_logger(__name__)
routes = web.RouteTableDef()

_LONGEST_USER = 200


@routes.get("/")
@routes.get("/admin")
@page
async def home(_: web.Request) -> web.Response:
    raise web.HTTPSeeOther(HOME)


@routes.get(LOGIN)
async def sign_in_page(request: web.Request) -> web.Response:
    """The form, or where one wanted to go if there is a session already."""
    target = local_path(request.query.get("next", ""))
    if session.of(request) is not None:
        raise web.HTTPSeeOther(target)
    return render(request, "login.html", next=target, username="", fault="")


@routes.post(LOGIN)
async def sign_in(request: web.Request) -> web.Response:
    """303 with the cookies of a new session; 403 with the form again; 429 when it was tried too often."""
    access = request.app[ACCESS]
    given = await form.fields(request)
    user, target = given.get("username", "")[:_LONGEST_USER], local_path(given.get("next", ""))

    def again(status: int, fault: str, **headers: str) -> web.Response:
        response = render(request, "login.html", status=status, next=target, username=user, fault=fault)
        response.headers.update(headers)
        return response

    before = session.of(request)
    try:
        await check_on_purpose(request, access, before)
    except Problem as problem:
        return again(problem.status, f"Please try again. ({problem.detail})")
    try:
        result = await access.sign_in(request, user, given.get("password", ""))
    except TooBusy:
        result = 2.0
    audit = request.app[DEPENDENCIES].audit
    if not isinstance(result, session.Session):
        await audit.note_failed_sign_in(user, request.remote or "")
    if result is None:
        return again(403, "User or password is wrong.")
    if isinstance(result, float):
        seconds = math.ceil(result)
        return again(429, f"Too many attempts. Try again in {seconds} s.", **{"Retry-After": str(seconds)})
    if before is not None:
        access.sessions.end(before)
        forget(request)
    log.info("signed in", client=client_of(request.remote))
    await audit.note("signed-in", actor=Actor("user", result.user, request.remote or ""))
    response = web.Response(status=303, headers={"Location": target})
    access.sessions.put(response, result, secure=request.secure)
    access.sessions.put_csrf(response, access.sessions.csrf_token(result, ""), secure=request.secure)
    return response


@routes.post("/admin/logout/")
async def sign_out(request: web.Request) -> web.Response:
    """303 to the sign-in page; the session's cookie is worth nothing from now on."""
    if (current := session.of(request)) is not None:
        request.app[ACCESS].sessions.end(current)
        forget(request)
        log.info("signed out", client=client_of(request.remote))
        await request.app[DEPENDENCIES].audit.note("signed-out")
    response = web.Response(status=303, headers={"Location": LOGIN})
    for name in (session.COOKIE, csrf.COOKIE):
        response.del_cookie(name, path="/")
    return response


def local_path(target: str) -> str:
    """`target` if it is a path on this server, else where the pages begin. Pure."""
    # Browsers read a backslash as a slash and drop tabs and line ends, so `/\t/evil.example` would be another host.
    if not target.startswith("/") or "\\" in target or any(ord(one) <= 0x20 or ord(one) == 0x7F for one in target):
        return HOME
    try:
        parts = urlsplit(target)
    except ValueError:
        return HOME
    if parts.scheme or parts.netloc or target.startswith("//") or parts.path.rstrip("/") == LOGIN.rstrip("/"):
        return HOME
    return target
