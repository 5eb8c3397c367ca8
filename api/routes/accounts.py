"""`GET /api/accounts/`: the accounts, with how much of each is stored."""

from __future__ import annotations

from itertools import groupby

from aiohttp import web

from api.dependencies import DEPENDENCIES
from api.routes.states import KnownMailbox, NewMailbox, look
from api.schema.operation import operation
from api.schema.values import Answer, Name

routes = web.RouteTableDef()


class Account(Answer):
    """`mailboxes` is how many it has, `failing` how many of them fail at this moment, null when no syncer tells of any;
    `message_count` is what the server has in them, `stored_count` what is stored of that."""

    name: Name
    mailboxes: int
    failing: int | None
    message_count: int
    stored_count: int


class Accounts(Answer):
    accounts: list[Account]


@routes.get("/api/accounts/")
@operation(
    "mailboxes",
    "List the accounts",
    description="By name; each one that a syncer holds, or of which something was ever synced.",
    answers={200: Accounts},
    problems={503: "The database does not answer."},
)
async def accounts(request: web.Request) -> Accounts:
    found = sorted((await look(request.app[DEPENDENCIES])).mailboxes, key=_name)
    return Accounts(accounts=[_account(name, list(its)) for name, its in groupby(found, key=_name)])


def _name(mailbox: KnownMailbox | NewMailbox) -> str:
    return mailbox.account


def _account(name: str, mailboxes: list[KnownMailbox | NewMailbox]) -> Account:
    known = [one for one in mailboxes if isinstance(one, KnownMailbox)]
    live = [one.live for one in mailboxes if one.live is not None]
    return Account(
        name=name,
        mailboxes=len(mailboxes),
        failing=sum(one.failing_since is not None for one in live) if live else None,
        message_count=sum(one.message_count for one in known),
        stored_count=sum(one.stored_count for one in known),
    )
