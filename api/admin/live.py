"""`/admin/live/`: events as they happen."""

from __future__ import annotations

from aiohttp import web

from api.admin.templates import render
from api.http.page import page
from api.routes.sse import TYPES

routes = web.RouteTableDef()


@routes.get("/admin/live/")
@page
async def live(request: web.Request) -> web.StreamResponse:
    """The frame; its script reads `/api/events/`."""
    return render(request, "admin/live.html", types=TYPES)
