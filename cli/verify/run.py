"""`mozzart verify`: is what the server has in the database, once, and are its files what they were. Changes nothing of
both."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from rich.console import Console

from cli.verify import screen
from cli.verify.account import Found, compare_account, without_account
from cli.verify.deep import Progress
from cli.verify.files import compare_files
from cli.verify.keeping import By, Kept, kept, unfinished
from cli.verify.mailbox import Transit
from cli.verify.position import OfFiles, Position
from cli.verify.progress import shown
from cli.verify.report import Report, told
from mailcore.account_row import opened
from mailcore.bus import Bus
from mailcore.errors import BusError, MozzartError, SettingsError
from mailcore.oauth.tokens import Tokens
from mailcore.settings import NOT_CONFIGURED, Settings
from mailcore.store import Store
from syncer.imap import trace

_CONNECT_WITHIN: Final = 5.0
_FILE_WIDTH: Final = 200


@dataclass(frozen=True)
class Scope:
    """What is compared: `account` and `mailbox` alone, if given. `wait` is how many seconds a difference must last;
    `deep`: also the bytes on the server, from where an interrupted run was."""

    account: str | None = None
    mailbox: str | None = None
    files: bool = True
    wait: float = 10.0
    deep: bool = False


async def run(settings: Settings, scope: Scope, *, as_json: bool) -> int:
    """FAILED when something differs, UNAVAILABLE when nothing does and something could not be compared. Raises
    SettingsError, StoreError; MozzartError for a mailbox or account that nobody has."""
    console = Console(highlight=False, emoji=False, stderr=as_json)
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    with shown(console) as said:
        report = await verify(settings, scope, by="command", said=said)
    now = datetime.now(UTC)
    if as_json:
        sys.stdout.write(json.dumps(told(report, now).model_dump(mode="json"), ensure_ascii=True) + "\n")
    else:
        screen.show(console, report, now)
    return report.code


async def verify(
    settings: Settings, scope: Scope, *, by: By, said: Callable[[str, int, int], None] = lambda what, done, total: None
) -> Report:
    """The comparison itself, whose report is kept; `said(what, done, total)` hears how far it is. Raises as
    `run` does."""
    report = Report(datetime.now(UTC), scope.account, scope.mailbox, scope.deep)
    trace.begin(settings.imap_trace)
    store = await Store.open(settings.database_url)
    try:
        await store.check()
        settings = settings.with_accounts((await opened(settings, store)).accounts)
        if not settings.imap_configured:
            raise SettingsError(f"{NOT_CONFIGURED} Set IMAP_HOST, IMAP_USER and IMAP_PASSWORD, or add an account.")
        await _check_account(settings, store, scope)
        if scope.deep:
            report.position = await unfinished(store, report)
            if report.position:
                report.notes.append("This run went on from where an earlier one was interrupted.")
        async with kept(store, report, by) as row:
            await _compare(settings, store, scope, row, said)
    finally:
        await store.close()
    return report


async def _compare(
    settings: Settings, store: Store, scope: Scope, row: Kept, said: Callable[[str, int, int], None]
) -> None:
    report = row.report
    position = report.position if report.position is not None else Position()

    async def messages(done: int, total: int) -> None:
        said("messages", done, total)
        await row.step()

    progress = Progress(position, messages) if scope.deep else None
    async with _transit(settings, report) as transit:
        for found in await _accounts(settings, store, scope, transit, progress):
            report.mailboxes += found.mailboxes
            report.failed |= found.failed
            report.notes += found.notes
    report.mailboxes.sort(key=lambda one: one.key)
    if scope.mailbox is not None and not report.mailboxes and not report.failed:
        raise MozzartError(f"There is no mailbox {scope.mailbox!r} among those of the settings or the database.")
    if scope.files:
        await _files(settings, store, scope, row, position.files if scope.deep else OfFiles(), said)
    if progress is None or not progress.broken:
        report.position = None


async def _check_account(settings: Settings, store: Store, scope: Scope) -> None:
    names = {*(one.name for one in settings.accounts), *(state.account for state in await store.mailbox_states())}
    if scope.account is not None and scope.account not in names:
        raise MozzartError(f"There is no account {scope.account!r} in the settings.")


async def _accounts(
    settings: Settings,
    store: Store,
    scope: Scope,
    transit: Callable[[], Awaitable[Transit]],
    progress: Progress | None,
) -> list[Found]:
    accounts = [one for one in settings.accounts if scope.account in (None, one.name)]
    known = {one.name for one in settings.accounts}
    states = [
        state
        for state in await store.mailbox_states()
        if state.account not in known
        and scope.account in (None, state.account)
        and scope.mailbox in (None, state.mailbox)
    ]
    tokens = Tokens(store, settings)
    comparing = (
        compare_account(store, one, scope.mailbox, transit, scope.wait, progress, tokens.of(one)) for one in accounts
    )
    try:
        return [*await asyncio.gather(*comparing), await without_account(store, states)]
    finally:
        await tokens.ended()


async def _files(
    settings: Settings,
    store: Store,
    scope: Scope,
    row: Kept,
    place: OfFiles,
    said: Callable[[str, int, int], None],
) -> None:
    report, total = row.report, await store.count_files()

    async def step(done: int) -> None:
        said("files", done, total)
        await row.step()

    try:
        report.files = await compare_files(store, settings.media_root, wait=scope.wait, place=place, step=step)
    except OSError as error:
        report.failed["files"] = f"MEDIA_ROOT {settings.media_root} cannot be read: {error.strerror or error}"


@asynccontextmanager
async def _transit(settings: Settings, report: Report) -> AsyncIterator[Callable[[], Awaitable[Transit]]]:
    """What asks NATS for messages on their way. Without NATS there are none that anybody knows of: a note says so."""
    bus: Bus | None = None
    try:
        bus = await Bus.connect(settings.with_nats_url().nats_url, name="verify", connect_timeout=_CONNECT_WITHIN)
    except (BusError, SettingsError) as error:
        report.notes.append(f"NATS was not asked, so what is on its way or a dead letter counts as missing: {error}")

    async def ask() -> Transit:
        if bus is None:
            return Transit()
        try:
            in_flight = {one.identity: one.mailbox_id async for one in bus.unsettled()}
            return Transit(in_flight, await bus.dead_identities())
        except BusError as error:
            note = f"NATS does not tell what is on its way, so that counts as missing: {error}"
            if note not in report.notes:
                report.notes.append(note)
            return Transit()

    try:
        yield ask
    finally:
        if bus is not None:
            await bus.close()
