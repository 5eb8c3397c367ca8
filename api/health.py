"""`/healthz` (this process lives), `/readyz` (what it needs answers), `/metrics` (all processes, Prometheus text)."""

from __future__ import annotations

from aiohttp import web

from api.dependencies import DEPENDENCIES
from mailcore import metrics
from mailcore.errors import BusError

routes = web.RouteTableDef()


@routes.get("/healthz")
async def healthz(_: web.Request) -> web.Response:
    return web.json_response({"status": "alive"})


@routes.get("/readyz")
async def readyz(request: web.Request) -> web.Response:
    faults = await request.app[DEPENDENCIES].faults()
    checks = {name: "failed" if name in faults else "ok" for name in ("nats", "database")}
    # Reasons hold host names; whoever may probe us without a token learns only which one it is. The log has the words.
    body = {"status": "not ready" if faults else "ready", "checks": checks}
    return web.json_response(body, status=503 if faults else 200)


@routes.get("/metrics")
async def every_metric(request: web.Request) -> web.Response:
    try:
        answers = await metrics.collect(request.app[DEPENDENCIES].bus)
    except BusError:
        answers = []
    if not any(metrics.process_of(answer) == "api" for answer in answers):
        answers.append(metrics.encode("api", "alone"))
    return web.Response(body=metrics.merge(answers), headers={"Content-Type": metrics.CONTENT_TYPE})
