"""`mozzart tokens`: the database has them, a running api looks there with each request."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli import exit_code
from cli.audited import note
from mailcore import api_token
from mailcore.api_token import ApiToken
from mailcore.errors import MozzartError, SettingsError
from mailcore.settings import Settings
from mailcore.store import Store
from mailcore.visible import one_line

_PATIENCE: Final = 20.0


async def show_all(settings: Settings, *, as_json: bool) -> int:
    async with _store(settings) as store:
        found = await store.api_tokens()
    now = datetime.now(UTC)
    if as_json:
        sys.stdout.writelines(json.dumps(_fact(one, now)) + "\n" for one in found)
        return exit_code.OK
    console = Console(highlight=False, emoji=False)
    if not found:
        console.print("No token yet. `mozzart tokens add NAME --scope read` makes one.")
        return exit_code.OK
    table = Table(box=None, pad_edge=False)
    for title in ("name", "token", "scopes", "state", "expires", "last used"):
        table.add_column(title, overflow="fold")
    for one in found:
        fact = _fact(one, now)
        cells = (
            *(one.name, f"{fact['token']}…", ", ".join(one.scopes), fact["state"]),
            *(_day(one.expires_at), _minute(one.last_used_at)),
        )
        table.add_row(*(Text(one_line(cell)) for cell in cells))
    console.print(table)
    return exit_code.OK


async def add(settings: Settings, name: str, scopes: Sequence[str], expires: datetime | None) -> int:
    """The token alone on standard output, so that it can go to where it is needed. Raises SettingsError for a name that
    cannot be, or is taken, and an end that is past."""
    now = datetime.now(UTC)
    if fault := api_token.fault_of_name(name):
        raise SettingsError(fault)
    if expires is not None and expires <= now:
        raise SettingsError("--expires is past: the token would be good for nothing.")
    text = api_token.text_of(secrets.token_bytes(api_token.RANDOM_BYTES))
    async with _store(settings) as store:
        if not await store.add_api_token(api_token.new(text, name, scopes, now, expires)):
            raise SettingsError(f"There is a token {name!r} already; revoke it first, or choose another name.")
    await note(settings, "token-made", f"{name}: {', '.join(scopes)}")
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
    sys.stderr.write("It is shown this once: keep it now.\n")
    return exit_code.OK


async def revoke(settings: Settings, name: str) -> int:
    async with _store(settings) as store:
        found = await store.revoke_api_token(api_token.key_or_name(name), datetime.now(UTC))
    if found is None:
        raise MozzartError(
            f"There is no token {one_line(name)!r} that is not revoked; `mozzart tokens list` names them."
        )
    await note(settings, "token-revoked", found.name)
    sys.stdout.write(one_line(f"Revoked {found.name} ({api_token.shown(found.key)}…).") + "\n")
    return exit_code.OK


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Store]:
    store = await Store.open(settings.database_url, _PATIENCE)
    try:
        await store.check()
        yield store
    finally:
        await store.close()


def _fact(token: ApiToken, now: datetime) -> dict[str, Any]:
    times = ("made_at", "expires_at", "last_used_at", "revoked_at")
    return {
        "name": token.name,
        "token": api_token.shown(token.key),
        "scopes": list(token.scopes),
        "state": api_token.standing(token.expires_at, token.revoked_at, now),
        **{name: moment and moment.isoformat() for name, moment in ((one, getattr(token, one)) for one in times)},
    }


def _day(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment.astimezone():%Y-%m-%d}"


def _minute(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M}"
