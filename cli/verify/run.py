"""`mozzart verify`: is what the server has in the database, once, and are its files what they were. Changes nothing."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console

from cli import exit_code
from cli.imap_account import connected, mailboxes
from cli.verify import screen
from cli.verify.files import Files, compare_files
from cli.verify.mailbox import Compared, Transit, compare_mailbox
from mailcore.bus import Bus
from mailcore.errors import BusError, ImapError, MozzartError, SettingsError
from mailcore.events.identity import MailboxKey
from mailcore.settings import NOT_CONFIGURED, Account, Settings
from mailcore.store import Store
from syncer.imap import trace

_CONNECT_WITHIN: Final = 5.0
_FILE_WIDTH: Final = 200


@dataclass
class Report:
    """What was compared, and what could not be (with the reason). `files` is None when they were not asked for."""

    mailboxes: list[Compared] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    files: Files | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def code(self) -> int:
        if self.files or not all(one.whole for one in self.mailboxes):
            return exit_code.FAILED
        return exit_code.UNAVAILABLE if self.failed else exit_code.OK


async def run(
    settings: Settings,
    *,
    account: str | None,
    mailbox: str | None,
    files: bool,
    wait: float,
    as_json: bool,
) -> int:
    """FAILED when something differs or is refused, UNAVAILABLE when something could not be compared. Raises
    SettingsError, StoreError; MozzartError for a mailbox that nobody has."""
    if not settings.imap_configured:
        raise SettingsError(f"{NOT_CONFIGURED} Set IMAP_HOST, IMAP_USER and IMAP_PASSWORD.")
    accounts = [one for one in settings.accounts if account in (None, one.name)]
    if not accounts:
        raise MozzartError(f"There is no account {account!r} in the settings.")
    console = Console(highlight=False, emoji=False, stderr=as_json)
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    report = Report()
    trace.begin(settings.imap_trace)
    store = await Store.open(settings.database_url)
    try:
        await store.check()
        with console.status("comparing …") as shown:
            async with _transit(settings, report) as transit:
                await asyncio.gather(*(_account(report, store, one, mailbox, transit, wait) for one in accounts))
            if files:
                report.files = await compare_files(
                    store, settings.media_root, lambda count: shown.update(f"comparing … {count:,} files")
                )
    finally:
        await store.close()
    if mailbox is not None and not report.mailboxes and not report.failed:
        raise MozzartError(f"There is no mailbox {mailbox!r} among those of the settings.")
    report.mailboxes.sort(key=lambda one: one.key)
    if as_json:
        sys.stdout.write(json.dumps(facts(report), ensure_ascii=True) + "\n")
    else:
        screen.show(console, report.mailboxes, report.failed, report.files, report.notes, datetime.now(UTC))
    return report.code


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
            in_flight = frozenset([one.identity async for one in bus.unsettled()])
            return Transit(in_flight, frozenset(await bus.dead_identities()))
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


async def _account(
    report: Report,
    store: Store,
    account: Account,
    mailbox: str | None,
    transit: Callable[[], Awaitable[Transit]],
    wait: float,
) -> None:
    """One connection for an account, one mailbox after the other: no more load than a mail program makes."""
    try:
        async with connected(account) as connection:
            names = [
                name for pattern in account.mailboxes for name in await mailboxes(connection, pattern) or [pattern]
            ]
            for name in dict.fromkeys(names):
                if mailbox is not None and name != ("INBOX" if mailbox.upper() == "INBOX" else mailbox):
                    continue
                key = MailboxKey(account.name, name)
                try:
                    report.mailboxes.append(
                        await compare_mailbox(connection, store, account, key, transit=transit, wait=wait)
                    )
                except ImapError as error:
                    report.failed[f"{account.name}/{name}"] = str(error)
    except ImapError as error:
        report.failed[account.name] = str(error)


def facts(report: Report) -> dict[str, Any]:
    """As JSON has it; places are [UIDVALIDITY, UID]."""
    found = report.files
    return {
        "ok": report.code == exit_code.OK,
        "mailboxes": [
            {
                "account": one.key.account,
                "mailbox": one.key.mailbox,
                "uidvalidity": one.uidvalidity,
                "on_server": one.on_server,
                "wanted": one.wanted,
                "stored": one.stored,
                "in_flight": one.in_flight,
                "dead": one.dead,
                "refused": [each.model_dump(mode="json") for each in one.refused],
                "missing": sorted(one.difference.missing),
                "gone": sorted(one.difference.gone),
                "doubled": sorted(one.difference.doubled),
            }
            for one in report.mailboxes
        ],
        "failed": report.failed,
        "files": None
        if found is None
        else {
            "count": found.count,
            "bytes": found.size,
            "missing": [one.file for one in found.missing],
            "changed": [one.file for one in found.changed],
            "unreadable": [one.file for one in found.unreadable],
            "unnamed": found.unnamed,
        },
        "notes": report.notes,
    }
