"""`GET /api/mailboxes/`: the mailboxes that messages can be asked for by."""

from __future__ import annotations

from aiohttp import web
from pydantic import AwareDatetime, Field

from api.dependencies import DEPENDENCIES
from api.http.problem import Problem
from api.schema.operation import operation
from api.schema.values import Answer, Name, Query, Text
from mailcore.errors import StoreError

routes = web.RouteTableDef()


class MailboxesQuery(Query):
    account: Text | None = Field(None, description="Only mailboxes of this account.")


class Mailbox(Answer):
    """`message_count` is what the server has, `stored_count` what is stored of that; `deleted_at` is when it was found
    to be no more."""

    id: int
    account: Name
    mailbox: Name
    message_count: int
    stored_count: int
    last_sync_at: AwareDatetime | None
    last_sync_status: str
    deleted_at: AwareDatetime | None


class Mailboxes(Answer):
    mailboxes: list[Mailbox]


@routes.get("/api/mailboxes/")
@operation(
    "mailboxes",
    "List the mailboxes",
    description="By account and name, those that are no more too, as their messages are kept.",
    scopes=("read",),
    answers={200: Mailboxes},
    problems={503: "The database does not answer."},
)
async def mailboxes(request: web.Request, query: MailboxesQuery) -> Mailboxes:
    try:
        found = await request.app[DEPENDENCIES].store.mailbox_states(query.account)
    except StoreError as error:
        raise Problem(503, f"The database does not answer: {error}") from None
    return Mailboxes(
        mailboxes=[Mailbox(**{name: getattr(one, name) for name in Mailbox.model_fields}) for one in found]
    )
