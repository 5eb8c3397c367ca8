"""`/api/accounts/`: all accounts with how they are, and those of the database to add, change, try, pause and remove.

Secrets go in and never come out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated, Any, Final, Literal

import structlog
from aiohttp import web
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from api.dependencies import DEPENDENCIES, Dependencies
from api.http.problem import Problem
from api.routes.states import KnownMailbox, NewMailbox, look
from api.schema.operation import as_json, operation
from api.schema.values import Answer, Name, Query
from mailcore.account import Account as Configured
from mailcore.account_row import changed, new_account, seal, unseal
from mailcore.errors import BusError, SettingsError, StoreError
from mailcore.events import control
from mailcore.events.control import AccountLive, AccountStates, Refusal, Trial, TrialRequest
from mailcore.log import hide_account
from mailcore.secrets import Cipher
from mailcore.store import AccountRow

log = structlog.get_logger(__name__)
routes = web.RouteTableDef()

ONE: Final = "/api/accounts/{name}/"
_ANSWER_WITHIN: Final = 5.0
_TRIAL_WITHIN: Final = 60.0
_NO_DATABASE: Final = {503: "The database does not answer."}
State = Literal["ok", "failing", "paused", "starting", "unknown", "removed"]


class AccountPath(Query):
    name: Annotated[str, Field(min_length=1, max_length=100)]


class AccountChanges(BaseModel):
    """Settings of an account. What is left out stays; whoever changes host, port or encryption enters the password
    again. `mailboxes` are names and patterns of LIST; `backfill` is what was there before: `all`, `none`, or days."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    user: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    password: Annotated[SecretStr, Field(min_length=1, max_length=4096)] | None = None
    use_ssl: bool | None = None
    starttls: bool | None = None
    mailboxes: Annotated[list[str], Field(min_length=1, max_length=1000)] | None = None
    backfill: Literal["all", "none"] | Annotated[int, Field(ge=1, le=36500)] | None = None
    connections: Annotated[int, Field(ge=3, le=1000)] | None = None

    def values(self) -> dict[str, Any]:
        """What was given, by the names that an account's settings have."""
        return {key: value for key, value in self if value is not None and key != "name"}


class AccountNew(AccountChanges):
    """An account to add. `name` is for ever: subjects, event ids and rows hold it."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    host: Annotated[str, Field(min_length=1, max_length=255)]
    user: Annotated[str, Field(min_length=1, max_length=1000)]
    password: Annotated[SecretStr, Field(min_length=1, max_length=4096)]


class AccountSettings(Answer):
    """Of an account of the database; no secret is among them."""

    host: str
    port: int
    user: str
    use_ssl: bool
    starttls: bool
    mailboxes: list[Name]
    backfill: Literal["all", "none"] | int
    connections: int


class Account(Answer):
    """`source` is where its settings stand, null when nobody tells. `state`: `unknown` while no syncer answers,
    `removed` when only its mail is left; `since` is when it became so. `settings` are of an account of the database,
    else null. `mailboxes` is how many it has, `failing` how many of them fail at this moment, null when no syncer tells
    of any; `message_count` is what the server has in them, `stored_count` what is stored of that."""

    name: Name
    source: Literal["environment", "file", "database"] | None
    state: State
    reason: str
    since: AwareDatetime | None
    settings: AccountSettings | None
    mailboxes: int
    failing: int | None
    message_count: int
    stored_count: int


class Accounts(Answer):
    accounts: list[Account]


@routes.get("/api/accounts/")
@operation(
    "accounts",
    "List the accounts",
    description="By name; each one of the settings and of the database, and each of which something was ever synced.",
    answers={200: Accounts},
    problems=_NO_DATABASE,
)
async def accounts(request: web.Request) -> Accounts:
    return Accounts(accounts=await all_accounts(request.app[DEPENDENCIES]))


@routes.post("/api/accounts/")
@operation(
    "accounts",
    "Add an account to the database",
    description="It is synced at once; have it tried to learn whether it can be.",
    answers={201: Account},
    problems=_NO_DATABASE | {409: "An account has this name already."},
)
async def add_account(request: web.Request, body: AccountNew) -> web.Response:
    dependencies = request.app[DEPENDENCIES]
    await add(dependencies, body.name, body.values())
    return as_json(await one(dependencies, body.name), status=201)


@routes.get(ONE)
@operation("accounts", "Show an account", answers={200: Account}, problems=_NO_DATABASE)
async def account(request: web.Request, path: AccountPath) -> Account:
    return await one(request.app[DEPENDENCIES], path.name)


@routes.patch(ONE)
@operation(
    "accounts",
    "Change an account of the database",
    description="It alone logs out and begins again; the others go on untouched.",
    answers={200: Account},
    problems=_NO_DATABASE | {409: "It is not of the database, or was changed by somebody else meanwhile."},
)
async def change_account(request: web.Request, path: AccountPath, body: AccountChanges) -> Account:
    dependencies = request.app[DEPENDENCIES]
    await change(dependencies, path.name, body.values())
    return await one(dependencies, path.name)


@routes.delete(ONE)
@operation(
    "accounts",
    "Remove an account of the database",
    description="Its settings and secrets are gone, its mail stays.",
    answers={200: Account},
    problems=_NO_DATABASE | {409: "It is not of the database."},
)
async def remove_account(request: web.Request, path: AccountPath) -> Account:
    dependencies = request.app[DEPENDENCIES]
    before = await one(dependencies, path.name)
    await remove(dependencies, path.name)
    return before.model_copy(update={"state": "removed", "source": None, "settings": None, "reason": "", "since": None})


@routes.post(ONE + "pause/")
@operation(
    "accounts",
    "Pause an account of the database",
    description="It is logged out until it is resumed; what comes meanwhile is fetched then.",
    answers={200: Account},
    problems=_NO_DATABASE | {409: "It is not of the database."},
)
async def pause_account(request: web.Request, path: AccountPath) -> Account:
    await pause(request.app[DEPENDENCIES], path.name, paused=True)
    return await one(request.app[DEPENDENCIES], path.name)


@routes.post(ONE + "resume/")
@operation(
    "accounts",
    "Resume a paused account",
    answers={200: Account},
    problems=_NO_DATABASE | {409: "It is not of the database."},
)
async def resume_account(request: web.Request, path: AccountPath) -> Account:
    await pause(request.app[DEPENDENCIES], path.name, paused=False)
    return await one(request.app[DEPENDENCIES], path.name)


@routes.post(ONE + "test/")
@operation(
    "accounts",
    "Try an account",
    description="The syncer logs in once more, beside what is open. Each step has its time and words; the last one has "
    "failed unless `ok`.",
    answers={200: Trial},
    problems={502: "It could not be tried.", 503: "No syncer answers."},
)
async def try_account(request: web.Request, path: AccountPath) -> Trial:
    return await trial(request.app[DEPENDENCIES], path.name)


# ---- what the pages do, too; each raises Problem ----


async def all_accounts(dependencies: Dependencies) -> list[Account]:
    found = await look(dependencies)
    rows = {row.name: row for row in await _rows(dependencies)}
    told = await _told(dependencies, control.ACCOUNTS)
    live = {one.account: one for one in told or ()}
    mailboxes = {name: list(its) for name, its in groupby(sorted(found.mailboxes, key=_account_of), key=_account_of)}
    names = sorted(rows.keys() | live.keys() | mailboxes.keys())
    return [
        _account(name, rows.get(name), live.get(name), mailboxes.get(name, []), heard=told is not None)
        for name in names
    ]


async def one(dependencies: Dependencies, name: str) -> Account:
    found = next((each for each in await all_accounts(dependencies) if each.name == name), None)
    if found is None:
        raise Problem(404, f"There is no account {name[:100]!r}.")
    return found


async def add(dependencies: Dependencies, name: str, values: Mapping[str, Any]) -> None:
    settings = dependencies.settings
    with_secrets = _valid(lambda: new_account(name, values, settings.account_hosts))
    known = {each.account for each in await _told(dependencies, control.ACCOUNTS) or ()}
    if name in known | {each.name for each in settings.accounts}:
        raise Problem(409, f"There is an account {name!r} already; one name may come from one source only.")
    hide_account(with_secrets)
    sealed = seal(with_secrets, await _cipher(dependencies, make=True))
    try:
        added = await dependencies.store.add_account(name, sealed.settings, sealed.secrets, datetime.now(UTC))
    except StoreError as error:
        raise _no_database(error) from None
    if not added:
        raise Problem(409, f"There is an account {name!r} already.")
    log.info("account added", account=name)
    await _told(dependencies, control.REREAD)


async def change(dependencies: Dependencies, name: str, values: Mapping[str, Any]) -> None:
    row = await _row(dependencies, name)
    cipher = await _cipher(dependencies, make=True)
    hosts = dependencies.settings.account_hosts
    after = _valid(lambda: _changed(row, cipher, hosts, values))
    hide_account(after)
    sealed = seal(after, cipher)
    try:
        whole = await dependencies.store.change_account(row, sealed.settings, sealed.secrets, datetime.now(UTC))
    except StoreError as error:
        raise _no_database(error) from None
    if not whole:
        raise Problem(409, f"The account {name!r} was changed by somebody else meanwhile; look at it again.")
    log.info("account changed", account=name, settings=",".join(sorted(values)))
    await _told(dependencies, control.REREAD)


async def pause(dependencies: Dependencies, name: str, *, paused: bool) -> None:
    await _row(dependencies, name)
    try:
        await dependencies.store.pause_account(name, datetime.now(UTC) if paused else None)
    except StoreError as error:
        raise _no_database(error) from None
    log.info("account paused" if paused else "account resumed", account=name)
    await _told(dependencies, control.REREAD)


async def remove(dependencies: Dependencies, name: str) -> None:
    await _row(dependencies, name)
    try:
        await dependencies.store.remove_account(name, datetime.now(UTC))
    except StoreError as error:
        raise _no_database(error) from None
    log.info("account removed", account=name)
    await _told(dependencies, control.REREAD)


async def trial(dependencies: Dependencies, name: str) -> Trial:
    payload = TrialRequest(account=name).model_dump_json().encode()
    try:
        answer = await dependencies.bus.request(control.TRIAL, payload, _TRIAL_WITHIN)
    except BusError as error:
        raise Problem(503, f"No syncer answers: {error}", {"Retry-After": "5"}) from None
    try:
        return Trial.model_validate_json(answer)
    except ValidationError:
        refusal = Refusal.model_validate_json(answer)
    raise Problem(404 if refusal.code == "unknown-account" else 502, refusal.message)


def _valid(make: Callable[[], Configured]) -> Configured:
    try:
        return make()
    except SettingsError as error:
        raise Problem(400, f"These settings cannot be: {error}.") from None


def _changed(row: AccountRow, cipher: Cipher, hosts: tuple[str, ...], values: Mapping[str, Any]) -> Configured:
    """Raises SettingsError. Secrets that nobody can decrypt any more are entered again."""
    try:
        before = unseal(row, cipher, hosts)
    except SettingsError:
        if "password" not in values:
            raise
        before = new_account(row.name, {**row.settings, "password": values["password"]}, hosts)
    return changed(before, values)


async def _cipher(dependencies: Dependencies, *, make: bool = False) -> Cipher:
    try:
        return await asyncio.to_thread(lambda: Cipher.open(dependencies.settings, make=make))
    except SettingsError as error:
        raise Problem(503, str(error)) from None


async def _rows(dependencies: Dependencies) -> list[AccountRow]:
    try:
        return [row for row in await dependencies.store.accounts() if row.removed_at is None]
    except StoreError as error:
        raise _no_database(error) from None


async def _row(dependencies: Dependencies, name: str) -> AccountRow:
    found = next((row for row in await _rows(dependencies) if row.name == name), None)
    if found is None:
        await one(dependencies, name)
        raise Problem(409, f"The account {name!r} is not of the database: change it where its settings stand.")
    return found


async def _told(dependencies: Dependencies, subject: str) -> tuple[AccountLive, ...] | None:
    """None when no syncer answers."""
    try:
        answer = await dependencies.bus.request(subject, b"", _ANSWER_WITHIN)
        return AccountStates.model_validate_json(answer).accounts
    except (BusError, ValidationError):
        return None


def _no_database(error: StoreError) -> Problem:
    return Problem(503, f"The database does not answer: {error}")


def _account_of(mailbox: KnownMailbox | NewMailbox) -> str:
    return mailbox.account


def _account(
    name: str,
    row: AccountRow | None,
    live: AccountLive | None,
    mailboxes: list[KnownMailbox | NewMailbox],
    *,
    heard: bool,
) -> Account:
    known = [each for each in mailboxes if isinstance(each, KnownMailbox)]
    now = [each.live for each in mailboxes if each.live is not None]
    state: State = "unknown"
    if row is not None and row.paused_at is not None:
        state = "paused"
    elif live is not None:
        state = live.state
    elif heard and row is None:
        state = "removed"
    return Account(
        name=name,
        source=live.source if live else "database" if row else None,
        state=state,
        reason=live.reason if live and state == live.state else "",
        since=row.paused_at if row and row.paused_at else live.since if live else None,
        settings=None if row is None else AccountSettings(**_shown(row)),
        mailboxes=len(mailboxes),
        failing=sum(each.failing_since is not None for each in now) if now else None,
        message_count=sum(each.message_count for each in known),
        stored_count=sum(each.stored_count for each in known),
    )


def _shown(row: AccountRow) -> dict[str, Any]:
    return {key: row.settings[key] for key in AccountSettings.model_fields}
