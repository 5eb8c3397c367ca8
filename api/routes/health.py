"""`/healthz` (this process lives), `/readyz` (what it needs answers), `/metrics` (all processes, Prometheus text)."""

from __future__ import annotations

import asyncio
from typing import Final, Literal

from aiohttp import web

from api.dependencies import DEPENDENCIES
from api.guard.access import ACCESS
from api.guard.proof import CHALLENGE, LONGEST, PROOF, proof
from api.schema.operation import Content, as_json, operation
from api.schema.values import Answer
from mailcore import metrics
from mailcore.errors import BusError, StoreError
from mailcore.store.patience import within

routes = web.RouteTableDef()
# Prometheus waits ten seconds for all of it.
_STREAMS_WITHIN: Final = 2.0


class Alive(Answer):
    status: Literal["alive"] = "alive"


class Checks(Answer):
    nats: Literal["ok", "failed"]
    database: Literal["ok", "failed"]
    syncer: Literal["ok", "failed"]
    consumer: Literal["ok", "failed"]


class Ready(Answer):
    status: Literal["ready", "not ready"]
    checks: Checks


@routes.get("/healthz")
@operation("health", "Whether this process lives", answers={200: Alive}, public=True)
async def healthz(request: web.Request) -> web.Response:
    challenge, key = request.headers.get(CHALLENGE, ""), request.app[ACCESS].installation
    answered = {PROOF: proof(key, challenge)} if key and 0 < len(challenge) <= LONGEST else None
    return as_json(Alive(), headers=answered)


@routes.get("/readyz")
@operation("health", "Whether mail can be stored and read", answers={200: Ready, 503: Ready}, public=True)
async def readyz(request: web.Request) -> web.Response:
    faults = await request.app[DEPENDENCIES].faults()
    checks = Checks.model_validate({name: "failed" if name in faults else "ok" for name in Checks.model_fields})
    # Reasons hold host names; whoever may probe us without a token learns only which one it is. The log has the words.
    return as_json(Ready(status="not ready" if faults else "ready", checks=checks), status=503 if faults else 200)


@routes.get("/metrics")
@operation(
    "health",
    "Metrics of all processes",
    description="Prometheus text; every sample has the labels `process` and `process_instance`.",
    scopes=("metrics",),
    answers={200: Content("text/plain", "Prometheus text exposition format.")},
)
async def every_metric(request: web.Request) -> web.Response:
    try:
        answers = await metrics.collect(request.app[DEPENDENCIES].bus)
    except BusError:
        answers = []
    try:
        async with asyncio.timeout(_STREAMS_WITHIN):
            answers.append(await metrics.streams(request.app[DEPENDENCIES].bus))
    except (BusError, TimeoutError):
        pass  # an exposition without them; mozzart_stream_messages is absent, which is what an alert asks for
    try:
        with within(_STREAMS_WITHIN):
            reports = await request.app[DEPENDENCIES].store.verify_reports()
            answers.append(metrics.verification(reports, request.app[DEPENDENCIES].settings.verify_interval))
    except StoreError:
        pass  # the same of the database
    if not any(metrics.process_of(answer) == "api" for answer in answers):
        answers.append(metrics.encode("api", "alone"))
    return web.Response(body=metrics.merge(answers), headers={"Content-Type": metrics.CONTENT_TYPE})
