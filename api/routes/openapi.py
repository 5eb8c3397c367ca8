"""`GET /api/openapi.json`: what this api takes and answers, made of the routes that serve it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from aiohttp import web

from api.schema.document import document
from api.schema.operation import JSON, Content, operation
from mailcore.api_token import SCOPES

routes = web.RouteTableDef()


@routes.get("/api/openapi.json")
@operation("description", "This description", answers={200: Content(JSON, "An OpenAPI 3.1 document.")}, scopes=SCOPES)
async def openapi(request: web.Request) -> web.Response:
    return web.json_response(describe(request.app))


@lru_cache(maxsize=1)  # a process has one api, and most of them are never asked
def describe(app: web.Application) -> dict[str, Any]:
    return document(app)
