"""`/api/dead-letters/webhook/`: events that the webhook's receiver did not take, and once more."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any, Final

import structlog
from aiohttp import web
from pydantic import AwareDatetime, Field

from api.dependencies import DEPENDENCIES
from api.http.paging import take
from api.http.problem import Problem
from api.schema.operation import operation
from api.schema.values import WHOLE, Answer, PageSize, Query, RowId
from mailcore import undelivered
from mailcore.errors import BusError
from mailcore.events.undelivered import Undelivered
from mailcore.undelivered import UndeliveredMissing, WebhookSilent

log = structlog.get_logger(__name__)
routes = web.RouteTableDef()

_ANSWER_WITHIN: Final = 5.0


class UndeliveredQuery(Query):
    after: Annotated[int, Field(ge=0, le=2**63 - 2), WHOLE] = Field(0, description="`next` of the page before.")
    limit: PageSize = Field(50, description="The most events of a page.")


class UndeliveredPath(Query):
    seq: RowId


class UndeliveredSummary(Answer):
    """`seq` is its sequence in the stream WEBHOOK_DEAD; `event_id` is the event's own id, `type` what it says;
    `attempts` is how often it was sent; `error` is what came of the last."""

    seq: int
    event_id: str
    type: str
    account: str
    mailbox: str
    error: str
    attempts: int
    given_up_at: AwareDatetime


class UndeliveredList(Answer):
    """The oldest first. `next` is null on the last page, `total` counts all of them."""

    dead_letters: list[UndeliveredSummary]
    next: int | None
    total: int


class UndeliveredDetail(UndeliveredSummary):
    """`event` is the payload of the event."""

    event: dict[str, Any]


class Delivered(Answer):
    """The receiver took it: it is no dead letter any more."""

    seq: int
    event_id: str


class GivenUp(Answer):
    """Nobody sends it any more."""

    seq: int
    event_id: str


@routes.get("/api/dead-letters/webhook/")
@operation(
    "dead letters",
    "List what the webhook's receiver did not take",
    scopes=("read", "redrive"),
    answers={200: UndeliveredList},
    problems={503: "NATS does not answer."},
)
async def undelivered_events(request: web.Request, query: UndeliveredQuery) -> UndeliveredList:
    try:
        bus = request.app[DEPENDENCIES].bus
        async with asyncio.timeout(_ANSWER_WITHIN):
            total = await undelivered.count(bus)
            shown, more = await take(undelivered.entries(bus, query.after), query.limit)
    except (BusError, TimeoutError) as error:
        raise _problem(error) from None
    return UndeliveredList(
        dead_letters=[UndeliveredSummary(**_facts(each)) for each in shown],
        next=shown[-1].seq if more else None,
        total=total,
    )


@routes.get("/api/dead-letters/webhook/{seq}/")
@operation(
    "dead letters",
    "An event that the webhook's receiver did not take",
    scopes=("read",),
    answers={200: UndeliveredDetail},
    problems={404: "There is no such event.", 503: "NATS does not answer."},
)
async def undelivered_event(request: web.Request, path: UndeliveredPath) -> UndeliveredDetail:
    try:
        entry = await undelivered.entry(request.app[DEPENDENCIES].bus, path.seq)
    except BusError as error:
        raise _problem(error) from None
    try:
        event = json.loads(entry.payload)
    except ValueError:
        event = None
    return UndeliveredDetail(**_facts(entry), event=event if isinstance(event, dict) else {})


@routes.post("/api/dead-letters/webhook/{seq}/redrive")
@operation(
    "dead letters",
    "Try once more to deliver it",
    description="The webhook process sends it now; the answer comes when the receiver's has. What the receiver takes "
    "is no dead letter any more.",
    scopes=("redrive",),
    answers={200: Delivered},
    problems={
        404: "There is no such event.",
        502: "The receiver did not take it.",
        503: "NATS or the webhook process does not answer.",
    },
)
async def redrive_undelivered(request: web.Request, path: UndeliveredPath) -> Delivered:
    try:
        bus = request.app[DEPENDENCIES].bus
        entry = await undelivered.entry(bus, path.seq)
        told = await undelivered.redeliver(bus, path.seq)
    except BusError as error:
        raise _problem(error) from None
    log.info("redelivery asked for", seq=path.seq, id=entry.id, status=told.status)
    await request.app[DEPENDENCIES].audit.note("redriven", f"event {entry.id}")
    if told.status == "refused":
        raise Problem(502, f"The receiver did not take it: {told.error}.")
    return Delivered(seq=path.seq, event_id=entry.id)


@routes.post("/api/dead-letters/webhook/{seq}/discard")
@operation(
    "dead letters",
    "Give up delivering it",
    description="Removes the event from those that were not delivered, for good.",
    scopes=("redrive",),
    answers={200: GivenUp},
    problems={404: "There is no such event.", 503: "NATS does not answer."},
)
async def discard_undelivered(request: web.Request, path: UndeliveredPath) -> GivenUp:
    try:
        bus = request.app[DEPENDENCIES].bus
        entry = await undelivered.entry(bus, path.seq)
        await undelivered.remove(bus, path.seq)
    except BusError as error:
        raise _problem(error) from None
    log.info("discarded", seq=path.seq, id=entry.id)
    await request.app[DEPENDENCIES].audit.note("discarded", f"event {entry.id}")
    return GivenUp(seq=path.seq, event_id=entry.id)


def _facts(entry: Undelivered) -> dict[str, Any]:
    # Names that are no modified UTF-7 have lone surrogates, which JSON cannot carry.
    account, mailbox = (name.encode("utf-8", "replace").decode() for name in (entry.key.account, entry.key.mailbox))
    return {
        "seq": entry.seq,
        "event_id": entry.id,
        "type": entry.type,
        "account": account,
        "mailbox": mailbox,
        "error": entry.error,
        "attempts": entry.attempts,
        "given_up_at": entry.given_up_at,
    }


def _problem(error: BusError | TimeoutError) -> Problem:
    words = str(error) or "no answer in time"
    sentence = f"{words[:1].upper()}{words[1:]}."
    if isinstance(error, UndeliveredMissing):
        return Problem(404, sentence)
    if isinstance(error, WebhookSilent):
        return Problem(503, sentence, {"Retry-After": "5"})
    return Problem(503, f"NATS does not answer: {words}", {"Retry-After": "5"})
