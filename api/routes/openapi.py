"""`GET /api/openapi.json`: what this api takes and answers, made of the routes that serve it."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from api.schema.document import document
from api.schema.operation import JSON, Content, operation

routes = web.RouteTableDef()

DOCUMENT: Final = web.AppKey("openapi", dict[str, Any])


@routes.get("/api/openapi.json")
@operation("description", "This description", answers={200: Content(JSON, "An OpenAPI 3.1 document.")})
async def openapi(request: web.Request) -> web.Response:
    return web.json_response(request.app[DOCUMENT])


async def describe(app: web.Application) -> None:
    """To be run when `app` starts and has all its routes."""
    app[DOCUMENT] = document(app)
