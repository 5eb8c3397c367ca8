"""`POST /api/mailbox/sync/`: ask the syncer to compare server and database now."""

from __future__ import annotations

import json
import math
from typing import Any, Final

import structlog
from aiohttp import web
from pydantic import ValidationError

from api.dependencies import DEPENDENCIES, Dependencies
from api.problem import Problem
from mailcore.errors import BusError
from mailcore.events import control
from mailcore.events.control import Refusal, SyncResult, SyncRun, SyncStart
from mailcore.settings import NOT_CONFIGURED

log = structlog.get_logger(__name__)
routes = web.RouteTableDef()

LONGEST_WAIT: Final = 300.0
_ANSWER_WITHIN: Final = 5.0
_REFUSED: Final = {"unknown-mailbox": 404, "unknown-run": 404, "not-configured": 503, "bad-request": 400}


@routes.post("/api/mailbox/sync/")
async def sync(request: web.Request) -> web.Response:
    """202 while it runs, 200 when it ended within `?wait=`, 502 when no mailbox could be synced."""
    wait = _wait(request)
    start = await _body(request)
    dependencies = request.app[DEPENDENCIES]
    run = await _start(dependencies, start)
    log.info("sync asked for", run_id=run.run_id, account=start.account or "all", mailbox=start.mailbox or "all")
    if run.status == "running" and wait > 0:
        try:
            run = await _result(dependencies, SyncResult(run_id=run.run_id, wait=wait), wait + _ANSWER_WITHIN)
        except BusError as error:
            # It was started and goes on; only its end could not be waited for.
            log.warning("sync result not heard", run_id=run.run_id, error=str(error))
    return _response(run)


def _wait(request: web.Request) -> float:
    text = request.query.get("wait", "0")
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= LONGEST_WAIT:
        raise Problem(400, f"wait must be a number of seconds between 0 and {LONGEST_WAIT:.0f}.")
    return seconds


async def _body(request: web.Request) -> SyncStart:
    raw = await request.read()
    if not raw.strip():
        return SyncStart()
    try:
        return SyncStart.model_validate(json.loads(raw))
    except (ValidationError, ValueError, RecursionError):
        raise Problem(400, 'The body, if any, must be JSON like {"account": "default", "mailbox": "INBOX"}.') from None


async def _start(dependencies: Dependencies, start: SyncStart) -> SyncRun:
    try:
        answer = await dependencies.bus.request(control.START, start.model_dump_json().encode(), _ANSWER_WITHIN)
    except BusError as error:
        if not dependencies.settings.imap_configured:
            raise Problem(503, NOT_CONFIGURED) from None
        raise Problem(503, f"No syncer answers: {error}", {"Retry-After": "5"}) from None
    return _read(answer)


async def _result(dependencies: Dependencies, result: SyncResult, timeout: float) -> SyncRun:
    return _read(await dependencies.bus.request(control.RESULT, result.model_dump_json().encode(), timeout))


def _read(answer: bytes) -> SyncRun:
    try:
        return SyncRun.model_validate_json(answer)
    except ValidationError:
        refusal = Refusal.model_validate_json(answer)
    raise Problem(_REFUSED[refusal.code], refusal.message)


def _response(run: SyncRun) -> web.Response:
    if run.status == "running":
        mailboxes = [{"account": one.account, "mailbox": one.mailbox} for one in run.results]
        return web.json_response({"run_id": run.run_id, "status": "running", "mailboxes": mailboxes}, status=202)
    facts: dict[str, Any] = run.model_dump(mode="json")
    if run.status == "failed":
        why = (
            "; ".join(f"{one.account}/{one.mailbox}: {one.error}" for one in run.results)
            or "there is no mailbox to sync"
        )
        del facts["status"]
        raise Problem(502, f"No mailbox could be synced: {why}", **facts)
    return web.json_response(facts)
