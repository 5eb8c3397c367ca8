"""`GET /api/events/`: what happens, as it happens, as server-sent events (WHATWG HTML §9.2)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime
from functools import partial
from typing import Annotated, Final, Literal

import structlog
from aiohttp import web
from pydantic import Field

from api.dependencies import DEPENDENCIES
from api.guard import session, tokens
from api.http.problem import Problem
from api.routes.sse import ID_PATTERN, TYPES, Position, encode, facts
from api.schema.operation import Content, operation
from api.schema.values import WHOLE, Query, Text, Timestamp
from mailcore.bus import MAIL, MAIL_BACKFILL, MAIL_EVENTS, Bus, Delivery
from mailcore.errors import BusError
from mailcore.events.subject import PREFIX, encode_token

log = structlog.get_logger(__name__)
routes = web.RouteTableDef()

_ONE_TYPE: Final = f"({'|'.join(TYPES)})"
_HEARTBEAT: Final = 15.0  # under the idle timeouts of the proxies that people put in front
_LONGEST: Final = 600.0  # then the reader comes again, and its credentials are looked at again
_MOST_READERS: Final = 64
_RETRY_MS: Final = 1000
READERS: Final = web.AppKey("event_readers", set[object])


class EventsQuery(Query):
    account: Text = Field("", description="Only events of this account.")
    mailbox: Text = Field("", description="Only events of this mailbox.")
    type: Annotated[str, Field(pattern=f"^({_ONE_TYPE}(,{_ONE_TYPE})*)?$", max_length=200)] = Field(
        "", description="Only events of these types, with commas between."
    )
    since: Literal["", "all"] | Annotated[int, Field(ge=1, le=10_000), WHOLE] | Timestamp = Field(
        "",
        union_mode="left_to_right",
        description="Begin with the past: `all` that is kept, that many last events of each stream, or from a time on.",
    )


class EventsHeaders(Query):
    last_event_id: Annotated[str, Field(pattern=ID_PATTERN)] | None = Field(
        None, alias="Last-Event-ID", description="Go on after the event with this id; `since` counts no more."
    )


@routes.get("/api/events/", allow_head=False)
@operation(
    "events",
    "Events as they happen",
    description="Server-sent events without end. The `id` of each one is what `Last-Event-ID` takes: whoever comes "
    "again with it misses nothing that JetStream still keeps. A comment line comes at least every 15 seconds.",
    scopes=("read",),
    answers={200: Content("text/event-stream", "Events as they come.")},
    problems={503: "NATS does not answer, or too many read already."},
)
async def events(request: web.Request, query: EventsQuery, headers: EventsHeaders) -> web.StreamResponse:
    readers = request.app[READERS]
    if len(readers) >= _MOST_READERS:
        raise Problem(503, f"{_MOST_READERS} readers are connected already.", {"Retry-After": "10"})
    me = object()
    readers.add(me)
    try:
        try:
            bus = request.app[DEPENDENCIES].bus
            position, beginning = await _begin(bus, query, headers.last_event_id)
        except BusError as error:
            raise Problem(503, f"There are no events without NATS: {error}", {"Retry-After": "5"}) from None
        return await _stream(request, query, bus, position, beginning)
    finally:
        readers.discard(me)


async def _begin(bus: Bus, query: EventsQuery, last_id: str | None) -> tuple[Position, datetime | int]:
    """Where the reader is, and where to begin with a stream of which it has nothing yet."""
    since = query.since if isinstance(query.since, datetime) else 0
    if last_id is not None:
        return Position.parse(last_id), since
    if isinstance(query.since, datetime):
        return Position(), query.since
    if query.since == "all":
        return Position(0, 0, 0), 0
    back = query.since if isinstance(query.since, int) else 0
    ends = [(await bus.position(stream)).last_seq for stream in (MAIL, MAIL_EVENTS, MAIL_BACKFILL)]
    return Position(*(max(end - back, 0) for end in ends)), 0


async def _stream(
    request: web.Request, query: EventsQuery, bus: Bus, position: Position, beginning: datetime | int
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    await response.prepare(request)
    # An id without data is remembered by the reader: who loses the connection before the first event misses none.
    await response.write(f"retry: {_RETRY_MS}\nid: {position}\n\n".encode())
    wanted = frozenset(query.type.split(",") if query.type else TYPES)
    kind = query.type if len(wanted) == 1 else "*"
    names = (encode_token(name) if name else "*" for name in (query.account, query.mailbox))
    tail = bus.tail(".".join((PREFIX, *names, kind)), since=position.start(beginning))
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with aclosing(tail), asyncio.timeout(_LONGEST):
            await _send(response, tail, wanted, position, partial(_is_over, request))
    return response


def _is_over(request: web.Request) -> bool:
    """Whether the session or the token that began the stream is good no more: what is signed out hears nothing more."""
    if (token := tokens.of(request)) is not None:
        return request.app[tokens.TOKENS].is_over(token)
    current = session.of(request)
    return current is not None and request.app[session.SESSIONS].is_over(current)


async def _send(
    response: web.StreamResponse,
    tail: AsyncGenerator[Delivery, None],
    wanted: frozenset[str],
    position: Position,
    is_over: Callable[[], bool],
) -> None:
    """Until NATS fails, the session is over or the reader goes; raises ConnectionError then."""
    coming = asyncio.ensure_future(anext(tail))
    try:
        while not is_over():
            done, _ = await asyncio.wait({coming}, timeout=_HEARTBEAT)
            if not done:
                await response.write(b": still here\n\n")
                continue
            delivery = coming.result()
            coming = asyncio.ensure_future(anext(tail))
            position = position.after(delivery)
            said = None if is_over() else facts(delivery)
            if said is not None and said["type"] in wanted:
                await response.write(encode(position, said))
    except BusError as error:
        log.warning("events end", error=str(error))
    finally:
        coming.cancel()
        with contextlib.suppress(asyncio.CancelledError, BusError, StopAsyncIteration):
            await coming
