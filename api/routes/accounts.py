"""`/api/accounts/`: all accounts with how they are, and those of the database to add, change, try, pause and remove.

Secrets go in and never come out.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from api.dependencies import DEPENDENCIES
from api.routes import provisioning
from api.routes.provisioning import Account, Accounts
from api.schema.operation import as_json, operation
from api.schema.values import Query
from mailcore.events.control import Trial
from mailcore.oauth.configuration import Provider

routes = web.RouteTableDef()

ONE: Final = "/api/accounts/{name}/"
_NO_DATABASE: Final = {503: "The database does not answer."}


class AccountPath(Query):
    name: Annotated[str, Field(min_length=1, max_length=100)]


class Removal(Query):
    mail: Literal["keep", "delete"] = Field("keep", description="What becomes of its mail.")


class OAuthChanges(BaseModel):
    """How an account gets its access tokens. What is left out stays, and is what the provider has otherwise; whoever
    changes the provider, the tenant or an address enters the secrets again. Google and Microsoft are known, others are
    `custom`. `refresh_token` is where a sign-in begins that was made elsewhere."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    provider: Provider | None = None
    grant: Literal["authorization_code", "device_code", "client_credentials"] | None = None
    client_id: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    client_secret: Annotated[SecretStr, Field(max_length=4096)] | None = None
    tenant: Annotated[str, Field(max_length=255)] | None = None
    refresh_token: Annotated[SecretStr, Field(max_length=16384)] | None = None
    token_url: Annotated[str, Field(max_length=2000)] | None = None
    authorize_url: Annotated[str, Field(max_length=2000)] | None = None
    device_url: Annotated[str, Field(max_length=2000)] | None = None
    scope: Annotated[str, Field(max_length=2000)] | None = None


class AccountChanges(BaseModel):
    """Settings of an account. What is left out stays; whoever changes host, port or encryption enters the secrets
    again. `auth` is how it logs in: with `password`, or with access tokens that it gets by `oauth`. `mailboxes` are
    names and patterns of LIST; `backfill` is what was there before: `all`, `none`, or days."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    user: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    auth: Literal["password", "oauth"] | None = None
    password: Annotated[SecretStr, Field(min_length=1, max_length=4096)] | None = None
    oauth: OAuthChanges | None = None
    use_ssl: bool | None = None
    starttls: bool | None = None
    mailboxes: Annotated[list[str], Field(min_length=1, max_length=1000)] | None = None
    backfill: Literal["all", "none"] | Annotated[int, Field(ge=1, le=36500)] | None = None
    connections: Annotated[int, Field(ge=3, le=1000)] | None = None
    daily_mb: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None

    def values(self) -> dict[str, Any]:
        """What was given, by the names that an account's settings have."""
        return self.model_dump(exclude={"name"}, exclude_none=True)


class AccountNew(AccountChanges):
    """An account to add, with `password`, or with `auth: oauth` and `oauth`. `name` is for ever: subjects, event ids
    and rows hold it."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    host: Annotated[str, Field(min_length=1, max_length=255)]
    user: Annotated[str, Field(min_length=1, max_length=1000)]


@routes.get("/api/accounts/")
@operation(
    "accounts",
    "List the accounts",
    description="By name; each one of the settings and of the database, and each of which something was ever synced.",
    scopes=("read", "accounts"),
    answers={200: Accounts},
    problems=_NO_DATABASE,
)
async def accounts(request: web.Request) -> Accounts:
    return Accounts(accounts=await provisioning.all_accounts(request.app[DEPENDENCIES]))


@routes.post("/api/accounts/")
@operation(
    "accounts",
    "Add an account to the database",
    description="It is synced at once; have it tried to learn whether it can be.",
    scopes=("accounts",),
    answers={201: Account},
    problems=_NO_DATABASE | {409: "An account has this name already."},
)
async def add_account(request: web.Request, body: AccountNew) -> web.Response:
    dependencies = request.app[DEPENDENCIES]
    await provisioning.add(dependencies, body.name, body.values())
    return as_json(await provisioning.one(dependencies, body.name), status=201)


@routes.get(ONE)
@operation("accounts", "Show an account", answers={200: Account}, problems=_NO_DATABASE, scopes=("read", "accounts"))
async def account(request: web.Request, path: AccountPath) -> Account:
    return await provisioning.one(request.app[DEPENDENCIES], path.name)


@routes.patch(ONE)
@operation(
    "accounts",
    "Change an account of the database",
    description="It alone logs out and begins again; the others go on untouched.",
    scopes=("accounts",),
    answers={200: Account},
    problems=_NO_DATABASE | {409: "It is not of the database, or was changed by somebody else meanwhile."},
)
async def change_account(request: web.Request, path: AccountPath, body: AccountChanges) -> Account:
    dependencies = request.app[DEPENDENCIES]
    await provisioning.change(dependencies, path.name, body.values())
    return await provisioning.one(dependencies, path.name)


@routes.delete(ONE)
@operation(
    "accounts",
    "Remove an account of the database",
    description="Its settings and secrets are gone. Its mail stays, or is deleted for good in the background, with all "
    "files; until that is done the state is `deleting`. One that was removed before can be removed with its mail.",
    scopes=("accounts",),
    answers={200: Account},
    problems=_NO_DATABASE | {409: "It is not of the database."},
)
async def remove_account(request: web.Request, path: AccountPath, query: Removal) -> Account:
    dependencies = request.app[DEPENDENCIES]
    before = await provisioning.one(dependencies, path.name)
    await provisioning.remove(dependencies, path.name, deletes_mail=query.mail == "delete")
    state = "deleting" if query.mail == "delete" else "removed"
    return before.model_copy(update={"state": state, "source": None, "settings": None, "reason": "", "since": None})


@routes.post(ONE + "pause/")
@operation(
    "accounts",
    "Pause an account of the database",
    description="It is logged out until it is resumed; what comes meanwhile is fetched then.",
    scopes=("accounts",),
    answers={200: Account},
    problems=_NO_DATABASE | {409: "It is not of the database."},
)
async def pause_account(request: web.Request, path: AccountPath) -> Account:
    await provisioning.pause(request.app[DEPENDENCIES], path.name, paused=True)
    return await provisioning.one(request.app[DEPENDENCIES], path.name)


@routes.post(ONE + "resume/")
@operation(
    "accounts",
    "Resume a paused account",
    scopes=("accounts",),
    answers={200: Account},
    problems=_NO_DATABASE | {409: "It is not of the database."},
)
async def resume_account(request: web.Request, path: AccountPath) -> Account:
    await provisioning.pause(request.app[DEPENDENCIES], path.name, paused=False)
    return await provisioning.one(request.app[DEPENDENCIES], path.name)


@routes.post(ONE + "test/")
@operation(
    "accounts",
    "Try an account",
    description="The syncer logs in once more, beside what is open. Each step has its time and words; the last one has "
    "failed unless `ok`.",
    scopes=("accounts",),
    answers={200: Trial},
    problems={502: "It could not be tried.", 503: "No syncer answers."},
)
async def try_account(request: web.Request, path: AccountPath) -> Trial:
    return await provisioning.trial(request.app[DEPENDENCIES], path.name)
