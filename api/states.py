"""`GET /api/mailbox/states/`: what the database knows of each mailbox, and what the syncer sees at this moment."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from aiohttp import web
from pydantic import ValidationError

from api.dependencies import DEPENDENCIES, Dependencies
from api.problem import Problem
from mailcore.errors import BusError, StoreError
from mailcore.events import control
from mailcore.events.control import MailboxLive, MailboxStates
from mailcore.events.identity import MailboxKey
from mailcore.store import MailboxState

routes = web.RouteTableDef()

_ANSWER_WITHIN: Final = 1.0


@routes.get("/api/mailbox/states/")
async def states(request: web.Request) -> web.Response:
    """`live` is null for a mailbox of which no syncer tells."""
    dependencies = request.app[DEPENDENCIES]
    try:
        rows = await dependencies.store.mailbox_states()
    except StoreError as error:
        raise Problem(503, f"The database does not answer: {error}") from None
    live = {MailboxKey(one.account, one.mailbox): one for one in await _live(dependencies)}
    mailboxes = [_known(row, live.pop(MailboxKey(row.account, row.mailbox), None)) for row in rows]
    mailboxes += [{"account": key.account, "mailbox": key.mailbox, "live": _now(one)} for key, one in live.items()]
    return web.json_response({"mailboxes": mailboxes})


async def _live(dependencies: Dependencies) -> tuple[MailboxLive, ...]:
    try:
        answer = await dependencies.bus.request(control.STATES, b"", _ANSWER_WITHIN)
        return MailboxStates.model_validate_json(answer).mailboxes
    except (BusError, ValidationError):
        return ()


def _known(row: MailboxState, live: MailboxLive | None) -> dict[str, Any]:
    facts = {name: _json(value) for name, value in asdict(row).items()}
    return {**facts, "live": _now(live) if live else None}


def _now(live: MailboxLive) -> dict[str, Any]:
    return live.model_dump(mode="json", exclude={"account", "mailbox"})


def _json(value: object) -> object:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
