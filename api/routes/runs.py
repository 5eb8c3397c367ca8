"""`GET /api/sync-runs/{run_id}/`: how a sync run stands."""

from __future__ import annotations

from typing import Annotated, Final

from aiohttp import web
from pydantic import Field

from api.dependencies import DEPENDENCIES
from api.http.problem import Problem
from api.routes.sync import Wait, look_at_run
from api.schema.operation import operation
from api.schema.values import Query
from mailcore.errors import BusError
from mailcore.events.control import SyncResult, SyncRun

routes = web.RouteTableDef()

_ANSWER_WITHIN: Final = 5.0


class RunPath(Query):
    run_id: Annotated[str, Field(max_length=80, pattern=r"^[A-Za-z0-9_-]+$")]


@routes.get("/api/sync-runs/{run_id}/")
@operation(
    "mailboxes",
    "How a sync run stands",
    description="The syncer remembers the last 200 that ended, until it is restarted.",
    scopes=("read", "sync"),
    answers={200: SyncRun},
    problems={404: "The syncer knows no such run.", 503: "No syncer answers."},
)
async def sync_run(request: web.Request, path: RunPath, query: Wait) -> SyncRun:
    """With `?wait=`, as soon as it has ended in that time."""
    question = SyncResult(run_id=path.run_id, wait=query.wait)
    try:
        return await look_at_run(request.app[DEPENDENCIES], question, query.wait + _ANSWER_WITHIN)
    except BusError as error:
        raise Problem(503, f"No syncer answers: {error}", {"Retry-After": "5"}) from None
