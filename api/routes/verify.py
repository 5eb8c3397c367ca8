"""`GET /api/verify/`, `GET /api/verify/{id}/`: what verifications of server against database found."""

from __future__ import annotations

from typing import Literal

from aiohttp import web
from pydantic import AwareDatetime, Field

from api.dependencies import DEPENDENCIES
from api.http.problem import Problem
from api.schema.operation import operation
from api.schema.values import Answer, PageSize, Query, RowId
from mailcore.difference import Category
from mailcore.errors import StoreError
from mailcore.store import VerifyReport

routes = web.RouteTableDef()


class VerifyQuery(Query):
    before: RowId | None = Field(None, description="`next` of the page before.")
    limit: PageSize = Field(50, description="The most reports of a page.")


class VerifyPath(Query):
    id: RowId


class Verification(Answer):
    """One run, by the `command` or by the `verifier`; `account` and `mailbox` are what alone was looked at.

    `status`: `running`, `equal`, `differs`, `incomplete` (nothing differs, and something could not be compared),
    `failed` (`error` says why) or `interrupted`. `totals` are of the categories that were looked for; `failed` is what
    could not be compared, with the reason."""

    id: int
    started_at: AwareDatetime
    ended_at: AwareDatetime | None
    by: Literal["command", "verifier"]
    account: str | None
    mailbox: str | None
    deep: bool
    status: Literal["running", "equal", "differs", "incomplete", "failed", "interrupted"]
    totals: dict[Category, int]
    failed: dict[str, str]
    error: str


class Difference(Answer):
    """One message or file that differs. `message_id` is the row that names the file."""

    category: Category
    account: str | None = None
    mailbox: str | None = None
    uidvalidity: int | None = None
    uid: int | None = None
    file: str | None = None
    message_id: int | None = None
    reason: str = ""


class Verifications(Answer):
    """The newest first. `next` is null on the last page."""

    reports: list[Verification]
    next: int | None


class VerificationDetail(Verification):
    """With the first 500 findings."""

    findings: list[Difference]


@routes.get("/api/verify/")
@operation(
    "verification",
    "List the last verifications",
    description="The last 200 are kept.",
    scopes=("read",),
    answers={200: Verifications},
    problems={503: "The database does not answer."},
)
async def verifications(request: web.Request, query: VerifyQuery) -> Verifications:
    try:
        found = await request.app[DEPENDENCIES].store.verify_reports(query.limit + 1, query.before)
    except StoreError as error:
        raise _unavailable(error) from None
    shown, more = found[: query.limit], len(found) > query.limit
    return Verifications(reports=[Verification(**_facts(one)) for one in shown], next=shown[-1].id if more else None)


@routes.get("/api/verify/{id}/")
@operation(
    "verification",
    "What one verification found",
    scopes=("read",),
    answers={200: VerificationDetail},
    problems={404: "There is no such report.", 503: "The database does not answer."},
)
async def verification(request: web.Request, path: VerifyPath) -> VerificationDetail:
    try:
        found = await request.app[DEPENDENCIES].store.verify_report(path.id)
    except StoreError as error:
        raise _unavailable(error) from None
    if found is None:
        raise Problem(404, "There is no such report.")
    return VerificationDetail(**_facts(found), findings=[Difference(**one) for one in found.findings])


def _facts(report: VerifyReport) -> dict[str, object]:
    return {name: getattr(report, name) for name in Verification.model_fields}


def _unavailable(error: StoreError) -> Problem:
    return Problem(503, f"The database does not answer: {error}")
