"""`/admin/health/`: how fast mail is stored, and whether everything that has to be there is there."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from aiohttp import web
from markupsafe import Markup

from api.admin import zone
from api.admin.plot import Series, latency, percentile, series, throughput
from api.admin.templates import render
from api.admin.wrong import wrong_now
from api.dependencies import DEPENDENCIES, Dependencies
from api.http.page import page
from mailcore import metrics
from mailcore.bus import MAIL_DEAD, MAIL_EVENTS, MESSAGE_STREAMS, Bus, StreamPosition
from mailcore.errors import BusError, StoreError
from mailcore.events.undelivered import STREAM as WEBHOOK_DEAD
from mailcore.store import StoredAt

routes = web.RouteTableDef()

_MOST_ROWS: Final = 100_000
_PROCESSES: Final = ("syncer", "consumer", "api")


@routes.get("/admin/health/")
@page
async def health(request: web.Request) -> web.StreamResponse:
    """Whatever does not answer is said in words, the rest is shown."""
    dependencies = request.app[DEPENDENCIES]
    now = datetime.now(UTC)
    wrong, faults, stored, processes, streams = await asyncio.gather(
        wrong_now(dependencies),
        dependencies.faults(),
        _stored(dependencies, now),
        dependencies.told(_processes, {}),
        dependencies.told(_streams, {}),
    )
    hour, day, plots = await asyncio.to_thread(_draw, stored, now, zone.of(request))
    return render(
        request,
        "admin/health.html",
        wrong=wrong,
        faults=faults,
        processes=processes,
        streams=streams,
        hour=hour,
        day=day,
        median=percentile(hour.seconds, 0.5),
        slowest=percentile(hour.seconds, 0.95),
        plots=plots,
        cut=len(stored) == _MOST_ROWS,
        most=_MOST_ROWS,
    )


def _draw(stored: list[StoredAt], now: datetime, zone: tzinfo) -> tuple[Series, Series, dict[str, Markup]]:
    hour = series(stored, now, timedelta(minutes=1), 60)
    day = series(stored, now, timedelta(minutes=15), 96)
    plots = {
        "hour_latency": latency(hour, zone),
        "hour_throughput": throughput(hour, zone),
        "day_latency": latency(day, zone),
        "day_throughput": throughput(day, zone),
    }
    return hour, day, plots


async def _stored(dependencies: Dependencies, now: datetime) -> list[StoredAt]:
    try:
        return await dependencies.store.stored_since(now - timedelta(days=1), _MOST_ROWS)
    except StoreError:
        return []  # `faults` says it


async def _processes(bus: Bus) -> dict[str, int]:
    names = [metrics.process_of(answer) for answer in await metrics.collect(bus)]
    return {name: names.count(name) for name in (*_PROCESSES, *sorted(set(names) - {*_PROCESSES, ""}))}


async def _streams(bus: Bus) -> dict[str, StreamPosition]:
    found = {}
    for stream in (*MESSAGE_STREAMS, MAIL_EVENTS, MAIL_DEAD, WEBHOOK_DEAD):
        try:
            found[stream] = await bus.position(stream)
        except BusError:
            continue
    return found
