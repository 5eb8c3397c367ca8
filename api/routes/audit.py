"""`GET /api/audit/`: what people and programs did here."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from aiohttp import web
from pydantic import AwareDatetime, Field

from api.dependencies import DEPENDENCIES
from api.http.problem import Problem
from api.schema.operation import operation
from api.schema.values import Answer, Name, PageSize, Query, RowId, Text
from mailcore.audit import Action, By
from mailcore.errors import StoreError

routes = web.RouteTableDef()


class AuditQuery(Query):
    before: RowId | None = Field(None, description="`next` of the page before.")
    limit: PageSize = Field(50, description="The most entries of a page.")
    action: Action | Literal[""] = Field("", description="Only this action.")
    who: Text = Field("", description="Only what this user or token did.")


class AuditEntry(Answer):
    """`who` is the user or the name of the token, `command line` for a `command`; of a failed sign-in what a `stranger`
    claimed to be. `count` is above 1 where several share an entry."""

    id: int
    at: AwareDatetime
    action: Action
    by: By
    who: Name
    address: Name
    object: Name
    count: int


class AuditEntries(Answer):
    """The newest first. `next` is null on the last page."""

    entries: list[AuditEntry]
    next: int | None


@routes.get("/api/audit/")
@operation(
    "audit",
    "What people and programs did",
    description="Sign-ins, syncs, redrives, accounts and tokens: who, from which address, what, on what.",
    scopes=("read",),
    answers={200: AuditEntries},
    problems={503: "The database does not answer."},
)
async def audit(request: web.Request, query: AuditQuery) -> AuditEntries:
    store = request.app[DEPENDENCIES].store
    try:
        found = await store.audit_entries(query.limit + 1, query.before, query.action, query.who)
    except StoreError as error:
        raise Problem(503, f"The database does not answer: {error}") from None
    shown, more = found[: query.limit], len(found) > query.limit
    return AuditEntries(entries=[AuditEntry(**asdict(one)) for one in shown], next=shown[-1].id if more else None)
