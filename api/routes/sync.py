"""`POST /api/mailbox/sync/`: ask the syncer to compare server and database now."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import structlog
from aiohttp import web
from pydantic import Field, ValidationError

from api.dependencies import DEPENDENCIES, Dependencies
from api.http.problem import Problem
from api.schema.operation import as_json, operation
from api.schema.values import NUMBER, Answer, Query
from mailcore.errors import BusError
from mailcore.events import control
from mailcore.events.control import Refusal, SyncResult, SyncRun, SyncStart
from mailcore.settings import NOT_CONFIGURED

log = structlog.get_logger(__name__)
routes = web.RouteTableDef()

LONGEST_WAIT: Final = 300.0
_ANSWER_WITHIN: Final = 5.0
_REFUSED: Final = {"unknown-mailbox": 404, "unknown-run": 404, "not-configured": 503, "bad-request": 400}


class Wait(Query):
    wait: Annotated[float, Field(ge=0, le=LONGEST_WAIT), NUMBER] = Field(0, description="Seconds to wait for the end.")


class MailboxName(Answer):
    account: str
    mailbox: str


class RunStarted(Answer):
    run_id: str
    status: Literal["running"] = "running"
    mailboxes: list[MailboxName]


@routes.post("/api/mailbox/sync/")
@operation(
    "mailboxes",
    "Sync mailboxes now",
    description="Compares server and database and fetches what is missing. Without a body, all mailboxes are synced. "
    "A request during a run joins it and gets the same `run_id`.",
    scopes=("sync",),
    answers={200: SyncRun, 202: RunStarted},
    problems={
        404: "There is no such mailbox.",
        502: "No mailbox could be synced.",
        503: "IMAP is not configured, or no syncer answers.",
    },
)
async def sync(request: web.Request, query: Wait, body: SyncStart | None) -> web.Response:
    """202 while it runs, 200 when it ended within `?wait=`, 502 when no mailbox could be synced."""
    wait, start = query.wait, body or SyncStart()
    dependencies = request.app[DEPENDENCIES]
    run = await start_run(dependencies, start)
    log.info("sync asked for", run_id=run.run_id, account=start.account or "all", mailbox=start.mailbox or "all")
    await dependencies.audit.note("synced", about(start))
    if run.status == "running" and wait > 0:
        try:
            run = await look_at_run(dependencies, SyncResult(run_id=run.run_id, wait=wait), wait + _ANSWER_WITHIN)
        except BusError as error:
            # It was started and goes on; only its end could not be waited for.
            log.warning("sync result not heard", run_id=run.run_id, error=str(error))
    return _response(run)


def about(start: SyncStart) -> str:
    """What is synced, for the audit table. Pure."""
    return "/".join(filter(None, (start.account, start.mailbox))) or "all mailboxes"


async def start_run(dependencies: Dependencies, start: SyncStart) -> SyncRun:
    """Start a run, or join one. Raises Problem 503 or 404."""
    try:
        answer = await dependencies.bus.request(control.START, start.model_dump_json().encode(), _ANSWER_WITHIN)
    except BusError as error:
        if not dependencies.settings.imap_configured:
            raise Problem(503, NOT_CONFIGURED) from None
        raise Problem(503, f"No syncer answers: {error}", {"Retry-After": "5"}) from None
    return _read(answer)


async def look_at_run(dependencies: Dependencies, result: SyncResult, timeout: float) -> SyncRun:
    """How a run stands. Raises Problem 404, and BusError when no syncer answers."""
    return _read(await dependencies.bus.request(control.RESULT, result.model_dump_json().encode(), timeout))


def _read(answer: bytes) -> SyncRun:
    try:
        return SyncRun.model_validate_json(answer)
    except ValidationError:
        refusal = Refusal.model_validate_json(answer)
    raise Problem(_REFUSED[refusal.code], refusal.message)


def _response(run: SyncRun) -> web.Response:
    if run.status == "running":
        mailboxes = [MailboxName(account=one.account, mailbox=one.mailbox) for one in run.results]
        return as_json(RunStarted(run_id=run.run_id, mailboxes=mailboxes), status=202)
    if run.status == "failed":
        why = (
            "; ".join(f"{one.account}/{one.mailbox}: {one.error}" for one in run.results)
            or "there is no mailbox to sync"
        )
        facts: dict[str, Any] = run.model_dump(mode="json", exclude={"status"})
        raise Problem(502, f"No mailbox could be synced: {why}", **facts)
    return as_json(run)
