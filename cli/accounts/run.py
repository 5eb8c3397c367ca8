"""`mozzart accounts`: what its commands do."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli import exit_code
from cli.audited import note
from mailcore import log
from mailcore.account_row import new_account, seal, unseal
from mailcore.bus import Bus
from mailcore.errors import BusError, MozzartError, SettingsError
from mailcore.events import control
from mailcore.events.control import AccountLive, AccountStates, Trial
from mailcore.oauth.tokens import Tokens
from mailcore.secrets import Cipher
from mailcore.settings import Account, Settings
from mailcore.store import AccountRow, Store
from mailcore.visible import one_line
from syncer.imap import trace
from syncer.imap.connection import Endpoint
from syncer.imap.trial import trial

_ANSWER_WITHIN: Final = 3.0
_MARKS: Final = {"ok": "[green]✓[/]", "note": "[yellow]![/]", "failed": "[red]✗[/]"}


class UnknownAccount(MozzartError):
    """The name is that of no account that the command could act on."""


async def show_all(settings: Settings, *, as_json: bool) -> int:
    async with _store(settings) as store:
        rows = [row for row in await store.accounts() if row.removed_at is None]
    live = {one.account: one for one in await _told(settings, control.ACCOUNTS)}
    facts = [_of_settings(one, live.get(one.name)) for one in settings.accounts]
    facts += [_of_row(row, live.get(row.name)) for row in rows]
    if as_json:
        sys.stdout.writelines(json.dumps(fact) + "\n" for fact in facts)
        return exit_code.OK
    console = Console(highlight=False, emoji=False)
    if not facts:
        console.print("No account yet. `mozzart accounts add anna@example.com` adds one.")
        return exit_code.OK
    table = Table(box=None, pad_edge=False)
    for title in ("name", "server", "from", "state", "why"):
        table.add_column(title, overflow="fold")
    for fact in facts:
        cells = (fact["name"], f"{fact['host']}:{fact['port']}", fact["source"], fact["state"], fact["reason"])
        table.add_row(*(Text(log.strike_out(one_line(str(cell)))) for cell in cells))
    console.print(table)
    return exit_code.OK


async def add(settings: Settings, name: str, values: Mapping[str, Any], *, tested: bool) -> int:
    """Nothing is added that failed its test. Raises SettingsError for values that cannot be, and a name that is
    taken."""
    account = new_account(name, values, settings.account_hosts)
    log.hide_account(account)
    if any(one.name == account.name for one in settings.accounts):
        raise SettingsError(
            f"The name {account.name!r} is that of an account of IMAP_* or ACCOUNTS_FILE; one name may come from one "
            "source only: choose another one with --name."
        )
    if tested:
        found = await _try(settings, account)
        _show_trial(found)
        if not found.ok:
            raise MozzartError("Not added, as its test failed. Mend that, or add it untried with --no-test.")
    sealed = seal(account, Cipher.open(settings, make=True))
    async with _store(settings) as store:
        if not await store.add_account(account.name, sealed.settings, sealed.secrets, datetime.now(UTC)):
            raise SettingsError(
                f"There is an account {account.name!r} already, or its mail is being deleted; choose another name with "
                "--name."
            )
    await note(settings, "account-added", account.name)
    return await _done(settings, f"Added {account.name}.")


async def test(settings: Settings, name: str, *, as_json: bool) -> int:
    found = await _try(settings, await find(settings, name))
    if as_json:
        sys.stdout.write(log.strike_out(found.model_dump_json()) + "\n")
    else:
        _show_trial(found)
    return exit_code.OK if found.ok else exit_code.FAILED


async def find(settings: Settings, name: str) -> Account:
    """Wherever it comes from. Raises UnknownAccount, StoreError, SettingsError."""
    account = next((one for one in settings.accounts if one.name == name), None)
    if account is None:
        async with _store(settings) as store:
            account = unseal(await _row(store, name), Cipher.open(settings), settings.account_hosts)
    log.hide_account(account)
    return account


async def pause(settings: Settings, name: str, *, paused: bool) -> int:
    async with _store(settings) as store:
        if not await store.pause_account(name, datetime.now(UTC) if paused else None):
            raise _unknown(name)
    await note(settings, "account-paused" if paused else "account-resumed", name)
    return await _done(settings, f"{'Paused' if paused else 'Resumed'} {name}.")


async def remove(settings: Settings, name: str, *, deletes_mail: bool) -> int:
    if deletes_mail and any(one.name == name for one in settings.accounts):
        raise SettingsError(f"The settings have an account {name!r}, too, whose mail that is: it can only be kept.")
    async with _store(settings) as store:
        if not await store.remove_account(name, datetime.now(UTC), deletes_mail=deletes_mail):
            raise _unknown(name)
    await note(settings, "account-removed", name)
    mail = "The consumers delete its mail." if deletes_mail else "Its mail stays."
    return await _done(settings, f"Removed {name}. {mail}")


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Store]:
    store = await Store.open(settings.database_url, 20.0)
    try:
        await store.check()
        yield store
    finally:
        await store.close()


async def _row(store: Store, name: str) -> AccountRow:
    found = next((row for row in await store.accounts() if row.name == name and row.removed_at is None), None)
    if found is None:
        raise _unknown(name)
    return found


async def _try(settings: Settings, account: Account) -> Trial:
    trace.begin(settings.imap_trace)
    async with Tokens.opened(settings, [account]) as tokens:
        return await trial(account.name, Endpoint.of(account, tokens.of(account)), account.mailboxes)


async def _done(settings: Settings, words: str) -> int:
    """Tell the syncer, and the person."""
    heard = await _told(settings, control.REREAD)
    later = "" if heard else " No syncer answers; one that runs sees it within a minute, else at its start."
    sys.stdout.write(one_line(words + later) + "\n")
    return exit_code.OK


async def _told(settings: Settings, subject: str) -> tuple[AccountLive, ...]:
    """What the syncer says of its accounts; () when none answers."""
    try:
        bus = await Bus.connect(settings.with_nats_url().nats_url, name="accounts", connect_timeout=_ANSWER_WITHIN)
    except (BusError, SettingsError):
        return ()
    try:
        return AccountStates.model_validate_json(await bus.request(subject, b"", _ANSWER_WITHIN)).accounts
    except BusError:
        return ()
    finally:
        await bus.close()


def _unknown(name: str) -> UnknownAccount:
    return UnknownAccount(
        f"There is no account {name!r} in the database; `mozzart accounts list` names them. Those of IMAP_* and "
        "ACCOUNTS_FILE are changed there."
    )


def _of_settings(account: Account, live: AccountLive | None) -> dict[str, Any]:
    return _fact(account.name, account.source, {"host": account.host, "port": account.port, "user": account.user}, live)


def _of_row(row: AccountRow, live: AccountLive | None) -> dict[str, Any]:
    fact = _fact(row.name, "database", row.settings, live)
    return fact if row.paused_at is None else {**fact, "state": "paused"}


def _fact(name: str, source: str, settings: Mapping[str, Any], live: AccountLive | None) -> dict[str, Any]:
    return {
        "name": name,
        "source": source,
        **{key: settings.get(key) for key in ("host", "port", "user")},
        "state": live.state if live else "unknown",
        "reason": live.reason if live else "",
        "since": live.since.isoformat() if live else None,
    }


def _show_trial(found: Trial) -> None:
    console = Console(highlight=False, emoji=False, soft_wrap=True, file=sys.stdout)
    for step in found.steps:
        line = Text.from_markup(f"{_MARKS[step.status]} {step.name:<13}{step.ms:>8,.0f} ms  ")
        line.append(log.strike_out(one_line(step.words)))
        console.print(line)
