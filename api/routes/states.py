"""`GET /api/mailbox/states/`: what the database knows of each mailbox, and what the syncer sees at this moment."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from aiohttp import web
from pydantic import AwareDatetime, ValidationError

from api.dependencies import DEPENDENCIES, Dependencies
from api.http.problem import Problem
from api.schema.operation import operation
from api.schema.values import Answer, Name
from mailcore.errors import BusError, StoreError
from mailcore.events import control
from mailcore.events.control import MailboxLive, MailboxStates, RefusedMessage
from mailcore.events.identity import MailboxKey
from mailcore.store import MailboxState

routes = web.RouteTableDef()

_ANSWER_WITHIN: Final = 1.0


class Live(Answer):
    """What the syncer sees of a mailbox at this moment. Nothing is asked of the server before `paused_until`. `refused`
    are the first 20 of `refused_count`; `dead_count` are dead letters. `older_left` messages wait until `older_at`, as
    the account has fetched the budget of the day; all of the account have come at about `older_done_at`."""

    connection: str
    since: AwareDatetime
    in_flight: int
    in_flight_bytes: int
    error: str
    failing_since: AwareDatetime | None
    paused_until: AwareDatetime | None
    refused: list[RefusedMessage]
    refused_count: int
    dead_count: int
    older_left: int
    older_at: AwareDatetime | None
    older_done_at: AwareDatetime | None


class NewMailbox(Answer):
    """One that the syncer holds and of which the database has no row yet."""

    account: Name
    mailbox: Name
    live: Live


class KnownMailbox(Answer):
    """One with its row; `live` is null when no syncer tells of it. `flags_modseq`: up to that MODSEQ the flags of the
    messages follow the server's."""

    id: int
    account: Name
    mailbox: Name
    uidvalidity: int | None
    uidnext: int | None
    highestmodseq: int | None
    flags_modseq: int | None
    last_uid: int | None
    message_count: int
    stored_count: int
    sweep_found_missed: int
    first_seen_at: AwareDatetime | None
    first_uidvalidity: int | None
    first_uidnext: int | None
    last_push_at: AwareDatetime | None
    last_sync_at: AwareDatetime | None
    last_sync_status: str
    last_error: str
    last_error_at: AwareDatetime | None
    refused: list[RefusedMessage]
    objectid: str
    deleted_at: AwareDatetime | None
    live: Live | None


class States(Answer):
    mailboxes: list[KnownMailbox | NewMailbox]


@routes.get("/api/mailbox/states/")
@operation(
    "mailboxes",
    "What is known of each mailbox",
    description="The row of the database and, as `live`, what the syncer sees at this moment; `live` is null when no "
    "syncer tells of the mailbox. One that is no more is left out.",
    scopes=("read",),
    answers={200: States},
    problems={503: "The database does not answer."},
)
async def states(request: web.Request) -> States:
    """`live` is null for a mailbox of which no syncer tells."""
    return await look(request.app[DEPENDENCIES])


async def look(dependencies: Dependencies) -> States:
    """Every mailbox now. Raises Problem 503."""
    try:
        rows = await dependencies.store.mailbox_states()
    except StoreError as error:
        raise Problem(503, f"The database does not answer: {error}") from None
    live = {MailboxKey(one.account, one.mailbox): one for one in await _live(dependencies)}
    mailboxes: list[KnownMailbox | NewMailbox] = [
        _known(row, live.pop(MailboxKey(row.account, row.mailbox), None))
        for row in rows
        if row.deleted_at is None or MailboxKey(row.account, row.mailbox) in live
    ]
    mailboxes += [NewMailbox(account=key.account, mailbox=key.mailbox, live=_now(one)) for key, one in live.items()]
    return States(mailboxes=mailboxes)


async def _live(dependencies: Dependencies) -> tuple[MailboxLive, ...]:
    try:
        answer = await dependencies.bus.request(control.STATES, b"", _ANSWER_WITHIN)
        return MailboxStates.model_validate_json(answer).mailboxes
    except (BusError, ValidationError):
        return ()


def _known(row: MailboxState, live: MailboxLive | None) -> KnownMailbox:
    return KnownMailbox(**asdict(row), live=_now(live) if live else None)


def _now(live: MailboxLive) -> Live:
    return Live(**live.model_dump(exclude={"account", "mailbox"}))
