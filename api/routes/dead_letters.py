"""`/api/dead-letters/`: what could not be stored, its bytes, and once more."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated, Any, Final

import structlog
from aiohttp import web
from pydantic import AwareDatetime, Field

from api.dependencies import DEPENDENCIES
from api.http.download import MEDIA_TYPE, send_file, to_save
from api.http.paging import take
from api.http.problem import Problem
from api.schema.operation import Content, operation
from api.schema.values import WHOLE, Answer, PageSize, Query, RowId
from mailcore.bus import MAIL_DEAD, BodyMissing, DeadLetterMissing
from mailcore.errors import BusError, EventError, Retry
from mailcore.events.dead_letter import DeadLetter
from mailcore.events.identity import Identity

log = structlog.get_logger(__name__)
routes = web.RouteTableDef()

_ANSWER_WITHIN: Final = 5.0
_BODY_WITHIN: Final = 60.0


class DeadLettersQuery(Query):
    after: Annotated[int, Field(ge=0, le=2**63 - 1), WHOLE] = Field(0, description="`next` of the page before.")
    limit: PageSize = Field(50, description="The most letters of a page.")


class DeadLetterPath(Query):
    seq: RowId


class Letter(Answer):
    """`seq` is its sequence in the stream MAIL_DEAD; `kind` is what died (`new`, `backfill`, `copy`, `rebind`), empty
    when it does not say; `deliveries` is how often it was tried; `size` is that of the message in bytes."""

    seq: int
    account: str
    mailbox: str
    uidvalidity: int
    uid: int
    kind: str
    error: str
    deliveries: int
    size: int
    died_at: AwareDatetime | None


class DeadLetters(Answer):
    """The oldest first. `next` is null on the last page, `total` counts all of them."""

    dead_letters: list[Letter]
    next: int | None
    total: int


class Redriven(Answer):
    """`stream_seq` is the sequence in its stream (MAIL, or MAIL_BACKFILL) of the event that was published again."""

    seq: int
    account: str
    mailbox: str
    uidvalidity: int
    uid: int
    stream_seq: int


class Discarded(Answer):
    """What was removed, with its bytes."""

    seq: int
    account: str
    mailbox: str
    uidvalidity: int
    uid: int


@routes.get("/api/dead-letters/")
@operation(
    "dead letters",
    "List what could not be stored",
    scopes=("read", "redrive"),
    answers={200: DeadLetters},
    problems={503: "NATS does not answer."},
)
async def dead_letters(request: web.Request, query: DeadLettersQuery) -> DeadLetters:
    try:
        bus = request.app[DEPENDENCIES].bus
        async with asyncio.timeout(_ANSWER_WITHIN):
            total = (await bus.position(MAIL_DEAD)).messages
            shown, more = await take(bus.dead_letters(query.after), query.limit)
    except (BusError, TimeoutError) as error:
        raise _unavailable(error) from None
    return DeadLetters(
        dead_letters=[_letter(each) for each in shown],
        next=shown[-1].seq if more else None,
        total=total,
    )


@routes.get("/api/dead-letters/{seq}/raw")
@operation(
    "dead letters",
    "The bytes of what could not be stored",
    description="The message as the IMAP server gave it; of a rebind, its JSON.",
    scopes=("read",),
    answers={
        200: Content(MEDIA_TYPE, "All bytes.", {"Content-Disposition": "`attachment`, with a name."}),
        206: Content(MEDIA_TYPE, "The bytes asked for.", {"Content-Range": "Which bytes these are."}),
    },
    problems={404: "There is no such letter.", 416: "It has no such bytes.", 503: "NATS does not answer."},
)
async def dead_letter_raw(request: web.Request, path: DeadLetterPath) -> web.StreamResponse:
    with tempfile.TemporaryDirectory(prefix="mozzart-", ignore_cleanup_errors=True) as directory:
        file = Path(directory) / "message"
        try:
            async with asyncio.timeout(_BODY_WITHIN):
                letter = await request.app[DEPENDENCIES].bus.dead_body(path.seq, file)
        except (BusError, TimeoutError) as error:
            raise _problem(error) from None
        name = f"dead-letter-{letter.seq}.{'json' if _kind(letter) == 'rebind' else 'eml'}"
        return await send_file(request, await asyncio.to_thread(file.open, "rb"), to_save(name, name))


@routes.post("/api/dead-letters/{seq}/redrive")
@operation(
    "dead letters",
    "Try once more to store it",
    description="Publishes the event again and removes the letter. If it dies again, that is another letter.",
    scopes=("redrive",),
    answers={202: Redriven},
    problems={
        404: "There is no such letter.",
        409: "It is nothing that could be stored.",
        503: "NATS does not answer.",
    },
)
async def redrive(request: web.Request, path: DeadLetterPath) -> Redriven:
    try:
        bus = request.app[DEPENDENCIES].bus
        async with asyncio.timeout(_BODY_WITHIN):
            identity = (await bus.dead_letter(path.seq)).identity
            ack = await bus.redrive(path.seq)
    except (BusError, TimeoutError) as error:
        raise _problem(error) from None
    log.info("redriven", seq=path.seq, identity=str(identity))
    await request.app[DEPENDENCIES].audit.note("redriven", str(identity))
    return Redriven(seq=path.seq, **_whose(identity), stream_seq=ack.seq)


@routes.post("/api/dead-letters/{seq}/discard")
@operation(
    "dead letters",
    "Give it up",
    description="Removes the letter with its bytes, for good. The message stays on its server: the syncer fetches it "
    "once more when it is started the next time.",
    scopes=("redrive",),
    answers={200: Discarded},
    problems={404: "There is no such letter.", 503: "NATS does not answer."},
)
async def discard(request: web.Request, path: DeadLetterPath) -> Discarded:
    try:
        async with asyncio.timeout(_ANSWER_WITHIN):
            letter = await request.app[DEPENDENCIES].bus.discard(path.seq)
    except (BusError, TimeoutError) as error:
        raise _problem(error) from None
    log.info("discarded", seq=path.seq, identity=str(letter.identity))
    await request.app[DEPENDENCIES].audit.note("discarded", str(letter.identity))
    return Discarded(seq=path.seq, **_whose(letter.identity))


def _letter(letter: DeadLetter) -> Letter:
    return Letter(
        seq=letter.seq,
        **_whose(letter.identity),
        kind=_kind(letter),
        error=letter.error,
        deliveries=letter.deliveries,
        size=letter.size,
        died_at=letter.died_at,
    )


def _kind(letter: DeadLetter) -> str:
    try:
        return letter.kind
    except EventError:
        return ""


def _whose(identity: Identity) -> dict[str, Any]:
    # Names that are no modified UTF-7 have lone surrogates, which JSON cannot carry.
    account, mailbox = (name.encode("utf-8", "replace").decode() for name in (identity.account, identity.mailbox))
    return {"account": account, "mailbox": mailbox, "uidvalidity": identity.uidvalidity, "uid": identity.uid}


def _problem(error: BusError | TimeoutError) -> Problem:
    if isinstance(error, TimeoutError):
        return _unavailable(error)
    if isinstance(error, DeadLetterMissing | BodyMissing):
        return Problem(404, f"{str(error)[:1].upper()}{str(error)[1:]}.")
    if error.retry is Retry.NEVER:
        return Problem(409, f"{str(error)[:1].upper()}{str(error)[1:]}.")
    return _unavailable(error)


def _unavailable(error: BusError | TimeoutError) -> Problem:
    words = str(error) or "no answer in time"
    return Problem(503, f"NATS does not answer: {words}", {"Retry-After": "5"})
