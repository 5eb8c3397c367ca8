"""`/admin/verify/`: whether server and database are the same, as the last verifications found."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from markupsafe import Markup, escape

from api.admin.templates import render
from api.dependencies import DEPENDENCIES
from api.http.page import page
from api.routes.verify import Difference
from mailcore.difference import ADVICE, MEANING, OF_FILES, WORDS, Category
from mailcore.errors import StoreError
from mailcore.store import VerifyReport

routes = web.RouteTableDef()

PATH: Final = "/admin/verify/"
_LISTED: Final = 30


@dataclass(frozen=True)
class Group:
    """The findings of one category that are kept, and how many there were in all."""

    category: Category
    count: int
    findings: tuple[Difference, ...]

    @property
    def words(self) -> str:
        words = WORDS[self.category]
        return f"{'file' if self.count == 1 else 'files'} {words}" if self.category in OF_FILES else words

    @property
    def meaning(self) -> str:
        return MEANING[self.category]

    @property
    def advice(self) -> Markup:
        ours = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(ADVICE[self.category])))
        return Markup(ours)  # noqa: S704  # nosec B704


@routes.get(PATH)
@page
async def newest(request: web.Request) -> web.StreamResponse:
    """The newest report that is made, and the list."""
    return await _show(request, None)


@routes.get(PATH + r"{id:\d{1,18}}/")
@page
async def one(request: web.Request) -> web.StreamResponse:
    return await _show(request, int(request.match_info["id"]))


async def _show(request: web.Request, report_id: int | None) -> web.StreamResponse:
    dependencies = request.app[DEPENDENCIES]
    report, reports, fault = None, [], ""
    try:
        reports = await dependencies.store.verify_reports(_LISTED)
        ended = next((one.id for one in reports if one.status != "running"), None)
        wanted = report_id if report_id is not None else ended or next((one.id for one in reports), None)
        report = await dependencies.store.verify_report(wanted) if wanted is not None else None
    except StoreError as error:
        fault = f"The database does not answer: {error}"
    if report_id is not None and report is None and not fault:
        raise web.HTTPNotFound
    return render(
        request,
        "admin/verify.html",
        status=503 if fault else 200,
        report=report,
        groups=groups(report) if report is not None else [],
        reports=reports,
        fault=fault,
        interval=dependencies.settings.verify_interval,
        deep=dependencies.settings.verify_deep,
        scope=scope,
    )


def groups(report: VerifyReport) -> list[Group]:
    """By category, those that have any. Pure."""
    known = [(Category(name), count) for name, count in report.totals.items() if name in set(Category) and count]
    return [
        Group(category, count, tuple(Difference(**one) for one in report.findings if one["category"] == category))
        for category, count in sorted(known, key=lambda pair: list(Category).index(pair[0]))
    ]


def scope(report: VerifyReport) -> str:
    """What was looked at. Pure."""
    if report.account is None and report.mailbox is None:
        return "all accounts"
    return "/".join(one for one in (report.account, report.mailbox) if one is not None)
