"""`/admin/`: the mailbox states, and the button that syncs them now."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

import structlog
from aiohttp import web

from api.admin.mailbox_view import MailboxView, RunView, totals
from api.admin.templates import render
from api.admin.wrong import wrong_now
from api.dependencies import DEPENDENCIES, Dependencies
from api.http import form
from api.http.page import page
from api.http.problem import Problem
from api.routes.states import KnownMailbox, NewMailbox, States, look
from api.routes.sync import about, look_at_run, start_run
from mailcore import undelivered
from mailcore.bus import MAIL_DEAD, Bus
from mailcore.errors import BusError, StoreError
from mailcore.events.control import SyncResult, SyncRun, SyncStart
from mailcore.settings import NOT_CONFIGURED

log = structlog.get_logger(__name__)
routes = web.RouteTableDef()

HOME: Final = "/admin/"
_ANSWER_WITHIN: Final = 2.0
_LONGEST_ID: Final = 100


@routes.get(HOME)
@page
async def mailboxes(request: web.Request) -> web.StreamResponse:
    """Also with its parts missing: what does not answer is said in words, the rest is shown."""
    dependencies = request.app[DEPENDENCIES]
    run_id = request.query.get("run", "")[:_LONGEST_ID]
    (states, fault), run, dead, wrong = await asyncio.gather(
        _states(dependencies), _run(dependencies, run_id), dependencies.told(_dead, None), wrong_now(dependencies)
    )
    results = {(one.account, one.mailbox): one for one in run.results} if run else {}
    now = datetime.now(UTC)
    views = [
        MailboxView(one, results.get((one.account, one.mailbox)), await _stored(dependencies, one), now)
        for one in states.mailboxes
    ]
    context: Mapping[str, Any] = {
        "views": views,
        "totals": totals(views),
        "run": RunView(run) if run else None,
        "dead": dead,
        "wrong": wrong,
        "fault": fault,
        "silent": bool(views) and all(view.state.live is None for view in views),
        "not_configured": "" if dependencies.settings.imap_configured else NOT_CONFIGURED,
        "problem": request.query.get("problem", "")[:500],
    }
    return render(request, "admin/mailboxes.html", status=503 if fault else 200, **context)


@routes.post("/admin/sync/")
@page
async def sync(request: web.Request) -> web.StreamResponse:
    """Where scripts are off: start (or join) a run, then show it."""
    given = await form.fields(request)
    account, mailbox = given.get("account") or None, given.get("mailbox") or None
    start = SyncStart(account=account, mailbox=mailbox)
    try:
        run = await start_run(request.app[DEPENDENCIES], start)
    except Problem as problem:
        raise web.HTTPSeeOther(HOME + "?" + urlencode({"problem": problem.detail})) from None
    log.info("sync asked for", run_id=run.run_id, account=account or "all", mailbox=mailbox or "all", by="page")
    await request.app[DEPENDENCIES].audit.note("synced", about(start))
    raise web.HTTPSeeOther(HOME + "?" + urlencode({"run": run.run_id}))


async def _states(dependencies: Dependencies) -> tuple[States, str]:
    try:
        return await look(dependencies), ""
    except Problem as problem:
        return States(mailboxes=[]), problem.detail


async def _stored(dependencies: Dependencies, state: KnownMailbox | NewMailbox) -> int:
    """The syncer writes its count now and then; where it differs from the server's, the rows are counted."""
    if not isinstance(state, KnownMailbox):
        return 0
    if state.stored_count != state.message_count:
        with contextlib.suppress(StoreError):
            return await dependencies.store.count_messages(state.id)
    return state.stored_count


async def _run(dependencies: Dependencies, run_id: str) -> SyncRun | None:
    """None for a run that nobody knows: the page then shows the states alone."""
    if not run_id:
        return None
    with contextlib.suppress(Problem, BusError):
        return await look_at_run(dependencies, SyncResult(run_id=run_id), _ANSWER_WITHIN)
    return None


async def _dead(bus: Bus) -> int | None:
    """How many dead letters there are, of messages and of the webhook's events."""
    return (await bus.position(MAIL_DEAD)).messages + await undelivered.count(bus)
