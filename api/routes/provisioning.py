"""The accounts as people are told of them, and what people may do with those of the database: add, change, pause,
remove them, have them tried. For the api and the pages alike; each function raises Problem.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final, Literal

import structlog
from pydantic import AwareDatetime, ValidationError

from api.dependencies import Dependencies
from api.http.problem import Problem
from api.routes.states import KnownMailbox, NewMailbox, look
from api.schema.values import Answer, Name
from mailcore.account import Account as Configured
from mailcore.account_row import changed, new_account, seal, secrets_of, unseal, with_secrets_of
from mailcore.errors import BusError, SettingsError, StoreError
from mailcore.events import control
from mailcore.events.control import AccountLive, AccountStates, Refusal, SyncStart, Trial, TrialRequest
from mailcore.log import hide_account
from mailcore.oauth.configuration import Grant, Provider
from mailcore.secrets import Cipher
from mailcore.store import AccountRow

log = structlog.get_logger(__name__)

_ANSWER_WITHIN: Final = 5.0
_TRIAL_WITHIN: Final = 60.0
State = Literal["ok", "failing", "paused", "starting", "unknown", "removed", "deleting"]


class OAuthSettings(Answer):
    """How it gets its access tokens; what is empty is as the provider has it."""

    provider: Provider
    grant: Grant
    client_id: str
    tenant: str
    token_url: str
    authorize_url: str
    device_url: str
    scope: str


class AccountSettings(Answer):
    """Of an account of the database; no secret is among them."""

    host: str
    port: int
    user: str
    auth: Literal["password", "oauth"]
    oauth: OAuthSettings | None
    use_ssl: bool
    starttls: bool
    mailboxes: list[Name]
    backfill: Literal["all", "none"] | int
    connections: int
    daily_mb: int | None


class Account(Answer):
    """`source` is where its settings stand, null when nobody tells. `state`: `unknown` while no syncer answers,
    `removed` when only its mail is left, `deleting` while that is deleted; `since` is when it became so. `settings` are
    of an account of the database, else null. `mailboxes` is how many it has, `failing` how many of them fail at this
    moment, null when no syncer tells of any; `message_count` is what the server has in them, `stored_count` what is
    stored of that."""

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


async def all_accounts(dependencies: Dependencies) -> list[Account]:
    found = await look(dependencies)
    every = await _all_rows(dependencies)
    rows = {row.name: row for row in every if row.removed_at is None}
    deleting = await _deleting(dependencies)
    told = await _told(dependencies, control.ACCOUNTS)
    live = {one.account: one for one in told or ()}
    mailboxes = {name: list(its) for name, its in groupby(sorted(found.mailboxes, key=_account_of), key=_account_of)}
    names = sorted(rows.keys() | live.keys() | mailboxes.keys())
    found_accounts = [
        _account(name, rows.get(name), live.get(name), mailboxes.get(name, []), heard=told is not None)
        for name in names
    ]
    return [one.model_copy(update={"state": "deleting"} if one.name in deleting else {}) for one in found_accounts]


async def one(dependencies: Dependencies, name: str) -> Account:
    found = next((each for each in await all_accounts(dependencies) if each.name == name), None)
    if found is None:
        raise Problem(404, f"There is no account {name[:100]!r}.")
    return found


async def prepared(dependencies: Dependencies, name: str, values: Mapping[str, Any]) -> Configured:
    """The account as it could be added at this moment."""
    settings = dependencies.settings
    account = _valid(lambda: new_account(name, values, settings.account_hosts))
    known = {each.account for each in await _told(dependencies, control.ACCOUNTS) or ()}
    known |= {each.name for each in settings.accounts} | {row.name for row in await _rows(dependencies)}
    if account.name in known:
        raise Problem(409, f"There is an account {name!r} already; one name may come from one source only.")
    hide_account(account)
    return account


async def add(dependencies: Dependencies, name: str, values: Mapping[str, Any]) -> None:
    with_secrets = await prepared(dependencies, name, values)
    sealed = seal(with_secrets, await _cipher(dependencies, make=True))
    try:
        added = await dependencies.store.add_account(name, sealed.settings, sealed.secrets, datetime.now(UTC))
    except StoreError as error:
        raise _no_database(error) from None
    if not added:
        raise Problem(409, f"The name {name!r} is taken: by an account, or by one whose mail is being deleted.")
    log.info("account added", account=name)
    await dependencies.audit.note("account-added", name)
    await _told(dependencies, control.REREAD)


async def who_signs_in(dependencies: Dependencies, name: str) -> Configured:
    """An account of the database that somebody signs in for with a browser."""
    row = await _row(dependencies, name)
    cipher = await _cipher(dependencies)
    account = _valid(lambda: unseal(row, cipher, dependencies.settings.account_hosts))
    if account.oauth is None or account.oauth.grant != "authorization_code":
        raise Problem(409, f"Nobody signs in for the account {name!r} with a browser.")
    hide_account(account)
    return account


async def signed_in(dependencies: Dependencies, name: str) -> None:
    """The syncer tries it now, if one answers."""
    log.info("account signed in", account=name)
    await dependencies.audit.note("account-authorized", name)
    start = SyncStart(account=name).model_dump_json().encode()
    with suppress(BusError):
        await dependencies.bus.request(control.START, start, _ANSWER_WITHIN)


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
    await dependencies.audit.note("account-changed", f"{name}: {', '.join(sorted(values))}")
    await _told(dependencies, control.REREAD)


async def pause(dependencies: Dependencies, name: str, *, paused: bool) -> None:
    await _row(dependencies, name)
    try:
        await dependencies.store.pause_account(name, datetime.now(UTC) if paused else None)
    except StoreError as error:
        raise _no_database(error) from None
    log.info("account paused" if paused else "account resumed", account=name)
    await dependencies.audit.note("account-paused" if paused else "account-resumed", name)
    await _told(dependencies, control.REREAD)


async def remove(dependencies: Dependencies, name: str, *, deletes_mail: bool) -> None:
    """With `deletes_mail` also one that was removed before."""
    removed = {row.name for row in await _all_rows(dependencies) if row.removed_at is not None}
    if not (deletes_mail and name in removed):
        await _row(dependencies, name)
    known = {each.account: each.source for each in await _told(dependencies, control.ACCOUNTS) or ()}
    known |= {each.name: each.source for each in dependencies.settings.accounts}
    if deletes_mail and known.get(name, "database") != "database":
        raise Problem(409, f"The settings have an account {name!r}, too, whose mail that is: it can only be kept.")
    try:
        await dependencies.store.remove_account(name, datetime.now(UTC), deletes_mail=deletes_mail)
    except StoreError as error:
        raise _no_database(error) from None
    log.info("account removed", account=name, mail="deleted" if deletes_mail else "kept")
    await dependencies.audit.note("account-removed", name)
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
        if not secrets_of(values):
            raise
        before = with_secrets_of(row, values, hosts)
    return changed(before, values)


async def _cipher(dependencies: Dependencies, *, make: bool = False) -> Cipher:
    try:
        return await asyncio.to_thread(lambda: Cipher.open(dependencies.settings, make=make))
    except SettingsError as error:
        raise Problem(503, str(error)) from None


async def _rows(dependencies: Dependencies) -> list[AccountRow]:
    """Those that were not removed."""
    return [row for row in await _all_rows(dependencies) if row.removed_at is None]


async def _all_rows(dependencies: Dependencies) -> list[AccountRow]:
    try:
        return await dependencies.store.accounts()
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


async def _deleting(dependencies: Dependencies) -> set[str]:
    try:
        return await dependencies.store.deleting()
    except StoreError as error:
        raise _no_database(error) from None


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
    """What may be seen of the row's settings; one by password has no `oauth`."""
    known = {"oauth": None, "daily_mb": None, **row.settings}
    if known["oauth"] is not None:
        known["oauth"] = {key: known["oauth"][key] for key in OAuthSettings.model_fields}
    return {key: known[key] for key in AccountSettings.model_fields}
