"""Pages for people: templates with escaping on, and their errors as pages too.

    @routes.get("/admin/things/")
    @page
    async def things(request: web.Request) -> web.StreamResponse:
        return render(request, "admin/things.html", things=…)

Templates may use, besides what is passed in: `csrf_token`, `csrf_input` (the hidden field of a form),
`static("name.css")`, `user`, `navigation`, `unseen` (the pattern that static/visible.js needs), `zone` (of all times),
`zone_key` and `zone_words`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from api.admin import zone
from api.guard import csrf, session
from api.http import assets
from api.http.page import HOME, LOGIN, is_page
from api.http.problem import Problem
from mailcore.visible import PATTERN, lines

log = structlog.get_logger(__name__)

# Shown in this order, each only where its route is served.
NAVIGATION: Final = (
    ("/admin/", "Mailboxes"),
    ("/admin/accounts/", "Accounts"),
    ("/admin/messages/", "Messages"),
    ("/admin/live/", "Live"),
    ("/admin/dead-letters/", "Dead letters"),
    ("/admin/verify/", "Verify"),
    ("/admin/health/", "Health"),
    ("/admin/tokens/", "Tokens"),
    ("/admin/audit/", "Audit"),
    ("/api/docs/", "API"),
)


def _visible(value: object) -> object:
    """Text of ours is what it was; what others wrote cannot pretend. Markup is ours, or went through a filter."""
    return lines(value) if type(value) is str else value


environment: Final = Environment(
    loader=FileSystemLoader(Path(__file__).resolve().parents[1] / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_visible,
    trim_blocks=True,
    lstrip_blocks=True,
)
environment.globals["static"] = assets.url
environment.globals["unseen"] = PATTERN
environment.globals |= zone.told(UTC, datetime.min.replace(tzinfo=UTC))


def render(request: web.Request, template: str, *, status: int = 200, **context: Any) -> web.Response:
    """The template as an answer; sets the csrftoken cookie where the browser does not have the right one."""
    sessions = request.app[session.SESSIONS]
    current = session.of(request)
    had = request.cookies.get(csrf.COOKIE, "")
    token = sessions.csrf_token(current, had)
    text = environment.get_template(template).render(
        csrf_token=token,
        csrf_input=Markup('<input type="hidden" name="{}" value="{}">').format(csrf.FIELD, token),
        user=current.user if current else "",
        navigation=_navigation(request),
        **zone.told(zone.of(request), datetime.now(UTC)),
        **context,
    )
    response = web.Response(text=text, status=status, content_type="text/html")
    if token != had:
        sessions.put_csrf(response, token, secure=request.secure)
    return response


@web.middleware
async def error_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors of pages as pages; those of the api pass."""
    if not is_page(request):
        return await handler(request)
    try:
        return await handler(request)
    except Problem as problem:
        return _error(request, problem.status, problem.detail, problem.headers)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        kept = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return _error(request, error.status, _WORDS.get(error.status, error.reason), kept)
    except Exception:  # the edge of the process: the log has the traceback, the person a page without it
        log.exception("page failed", method=request.method, path=request.path[:200])
        return _error(request, 500, "A fault of this program; its log says more.")


_WORDS: Final = {
    404: "There is no such page. It may have moved, or the address has a typing mistake.",
    405: "This address does not take that kind of request.",
    413: "What was sent is too large.",
}


def _error(request: web.Request, status: int, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    signed_in = session.of(request) is not None
    response = render(
        request,
        "error.html",
        status=status,
        code=status,
        title=HTTPStatus(status).phrase,
        detail=detail,
        back=HOME if signed_in else LOGIN,
        back_title="Mailbox states" if signed_in else "Sign in",
    )
    response.headers.update(headers or {})
    return response


def _navigation(request: web.Request) -> list[dict[str, Any]]:
    served = {resource.canonical for resource in request.app.router.resources()}
    # The first page's path begins all the others'.
    below = (path for path, _ in NAVIGATION if path != HOME and request.path.startswith(path))
    here = next(below, request.path)
    return [{"path": path, "title": title, "current": path == here} for path, title in NAVIGATION if path in served]
