"""`/admin/audit/`: what people and programs did here, to look at and to take along."""

from __future__ import annotations

import csv
import io
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from api.admin.templates import render
from api.dependencies import DEPENDENCIES
from api.http.page import page
from mailcore.audit import ACTIONS, LONGEST_WHO, Entry
from mailcore.errors import StoreError
from mailcore.visible import one_line

routes = web.RouteTableDef()

LIST: Final = "/admin/audit/"
_ON_A_PAGE: Final = 100
_AT_ONCE: Final = 1000
_COLUMNS: Final = ("at", "action", "by", "who", "address", "object", "count")
# What spreadsheets take for the beginning of a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@routes.get(LIST)
@page
async def newest(request: web.Request) -> web.StreamResponse:
    action, who = _filter(request)
    before, fault = _row_id(request.query.get("before", "")), ""
    found: list[Entry] = []
    try:
        found = await request.app[DEPENDENCIES].store.audit_entries(_ON_A_PAGE + 1, before, action, who)
    except StoreError as error:
        fault = f"The database does not answer: {error}"
    shown = found[:_ON_A_PAGE]
    more = {"before": str(shown[-1].id)} if len(found) > len(shown) else {}
    return render(
        request,
        "admin/audit.html",
        status=503 if fault else 200,
        entries=shown,
        actions=ACTIONS,
        action=action,
        who=who,
        longest=LONGEST_WHO,
        later=before is not None,
        newest=_address(LIST, action, who),
        older=_address(LIST, action, who, **more) if more else "",
        export=_address(LIST + "audit.csv", action, who),
        of=lambda name: _address(LIST, "", name),
        fault=fault,
    )


@routes.get(LIST + "audit.csv")
@page
async def export(request: web.Request) -> web.StreamResponse:
    """All that the filter finds, the newest first."""
    store, (action, who) = request.app[DEPENDENCIES].store, _filter(request)
    before: int | None = None
    answer = web.StreamResponse(
        headers={"Content-Type": "text/csv; charset=utf-8", "Content-Disposition": 'attachment; filename="audit.csv"'}
    )
    found = await store.audit_entries(_AT_ONCE, before, action, who)
    await answer.prepare(request)
    await answer.write(rows([_COLUMNS]))
    while found:
        await answer.write(rows([cells(one) for one in found]))
        found = await store.audit_entries(_AT_ONCE, found[-1].id, action, who) if len(found) == _AT_ONCE else []
    await answer.write_eof()
    return answer


def cells(entry: Entry) -> tuple[str, ...]:
    """An entry as a line of a table; no text in it is a formula, or pretends. Pure."""
    texts = (entry.action, entry.by, entry.who, entry.address, entry.object)
    safe = (f"'{text}" if text.startswith(_FORMULA) else text for text in texts)
    return (entry.at.isoformat(), *(one_line(text) for text in safe), str(entry.count))


def rows(lines: list[tuple[str, ...]]) -> bytes:
    """As CSV (RFC 4180). Pure."""
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue().encode()


def _filter(request: web.Request) -> tuple[str, str]:
    """The action and who; what is no action finds all."""
    action = request.query.get("action", "")
    return action if action in ACTIONS else "", request.query.get("who", "").strip()[:LONGEST_WHO]


def _row_id(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _address(path: str, action: str, who: str, **more: str) -> str:
    query = {name: value for name, value in (("action", action), ("who", who)) if value} | more
    # What is no UTF-8 cannot be asked for again.
    return f"{path}?{urlencode(query, errors='replace')}" if query else path
