"""`mozzart status`: what runs, what is connected, how many messages are where."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli import exit_code
from cli.words import ago, counted, size, span
from mailcore import metrics
from mailcore.bus import MAIL, MAIL_DEAD, MAIL_EVENTS, Bus, StreamPosition
from mailcore.errors import BusError, SettingsError, StoreError
from mailcore.events import control
from mailcore.events.control import MailboxLive, MailboxStates
from mailcore.events.identity import MailboxKey
from mailcore.log import one_line
from mailcore.settings import NOT_CONFIGURED, Settings
from mailcore.store import MailboxState, Store

_ANSWER_WITHIN: Final = 3.0
_FILE_WIDTH: Final = 200  # a pipe has no width to break lines at


@dataclass
class _Findings:
    nats: str = ""
    streams: dict[str, StreamPosition] = field(default_factory=dict)
    processes: dict[str, int] = field(default_factory=dict)
    live: dict[MailboxKey, MailboxLive] = field(default_factory=dict)
    rows: dict[MailboxKey, MailboxState] = field(default_factory=dict)
    messages: int = 0
    faults: dict[str, str] = field(default_factory=dict)


async def run(settings: Settings) -> int:
    """UNAVAILABLE when NATS, the syncer or the database do not answer."""
    found = _Findings()
    await asyncio.gather(_ask_nats(settings, found), _ask_database(settings, found))
    console = Console(highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    _show(settings, found, console)
    return exit_code.UNAVAILABLE if found.faults else exit_code.OK


async def _ask_nats(settings: Settings, found: _Findings) -> None:
    try:
        bus = await Bus.connect(settings.with_nats_url().nats_url, name="status", connect_timeout=_ANSWER_WITHIN)
    except (BusError, SettingsError) as error:
        found.faults["NATS"] = str(error)
        found.faults["syncer"] = "cannot be asked without NATS"
        return
    try:
        found.nats = bus.server
        for stream in (MAIL, MAIL_EVENTS, MAIL_DEAD):
            try:
                found.streams[stream] = await bus.position(stream)
            except BusError as error:
                found.faults["NATS"] = str(error)
        found.processes = _count(await metrics.collect(bus))
        try:
            states = MailboxStates.model_validate_json(await bus.request(control.STATES, b"", _ANSWER_WITHIN))
            found.live = {MailboxKey(one.account, one.mailbox): one for one in states.mailboxes}
        except (BusError, ValidationError) as error:
            found.faults["syncer"] = str(error)
    finally:
        await bus.close()


def _count(answers: Iterable[bytes]) -> dict[str, int]:
    names = [metrics.process_of(answer) for answer in answers]
    return {name: names.count(name) for name in sorted(set(names))}


async def _ask_database(settings: Settings, found: _Findings) -> None:
    try:
        store = await Store.open(settings.database_url)
    except (StoreError, SettingsError) as error:
        found.faults["database"] = str(error)
        return
    try:
        async with asyncio.timeout(_ANSWER_WITHIN):
            await store.check()
            found.rows = {MailboxKey(row.account, row.mailbox): row for row in await store.mailbox_states()}
            found.messages = await store.count_messages()
    except StoreError as error:
        found.faults["database"] = str(error)
    except TimeoutError:
        found.faults["database"] = f"no answer within {_ANSWER_WITHIN:.0f} s"
    finally:
        await store.close()


def _show(settings: Settings, found: _Findings, console: Console) -> None:
    streams = ", ".join(f"{name} {one.messages:,} ({size(one.size)})" for name, one in found.streams.items())
    _line(console, "NATS", found.faults.get("NATS"), f"{found.nats}  [dim]{streams}[/]")
    _line(console, "database", found.faults.get("database"), counted(found.messages, "message"))
    live = counted(len(found.live), "mailbox")
    _line(
        console,
        "syncer",
        found.faults.get("syncer"),
        live if found.live or settings.imap_configured else NOT_CONFIGURED,
    )
    if found.processes:
        running = ", ".join(f"{count} × {name}" if count > 1 else name for name, count in found.processes.items())
        _line(console, "processes", None, running)
    dead = found.streams.get(MAIL_DEAD)
    if dead is not None and dead.messages:
        dead_letters = counted(dead.messages, "message")
        console.print(f"[yellow]![/] {'dead':<10} {dead_letters} could not be stored; see the stream {MAIL_DEAD}")
    keys = sorted(found.rows.keys() | found.live.keys())
    if keys:
        console.print(_table(found, keys))


def _line(console: Console, name: str, fault: str | None, text: str) -> None:
    if fault is None:
        console.print(f"[green]✓[/] {name:<10} {text}", soft_wrap=True)
    else:
        console.print(f"[red]✗[/] {name:<10} [red]{escape(one_line(fault))}[/]", soft_wrap=True)


def _table(found: _Findings, keys: list[MailboxKey]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("mailbox", "connection"):
        table.add_column(name)
    for name in ("on server", "stored", "in flight"):
        table.add_column(name, justify="right")
    for name in ("last push", "last sync"):
        table.add_column(name)
    now = datetime.now(UTC)
    for key in keys:
        row, live = found.rows.get(key), found.live.get(key)
        table.add_row(
            escape(one_line(f"{key.account}/{key.mailbox}")),
            _connection(live, now),
            f"{row.message_count:,}" if row else "–",
            _stored(row),
            f"{live.in_flight:,}" if live else "–",
            ago(row.last_push_at, now) if row else "–",
            _last_sync(row, now),
        )
        error = (live.error if live else "") or (row.last_error if row and row.last_sync_status == "failed" else "")
        if error:
            table.add_row("", f"[red]{escape(one_line(error))}[/]")
    return table


def _connection(live: MailboxLive | None, now: datetime) -> str:
    if live is None:
        return "[red]no syncer[/]"
    colour = {"idling": "green", "polling": "green"}.get(live.connection, "yellow")
    return f"[{colour}]{escape(live.connection)}[/] [dim]for {span(live.since, now)}[/]"


def _stored(row: MailboxState | None) -> str:
    if row is None:
        return "–"
    # More stored than on the server is only the server's count being that of the last sweep.
    return f"{row.stored_count:,}" if row.stored_count >= row.message_count else f"[yellow]{row.stored_count:,}[/]"


def _last_sync(row: MailboxState | None, now: datetime) -> str:
    if row is None or row.last_sync_at is None:
        return "–"
    colour = "green" if row.last_sync_status == "ok" else "red"
    return f"[{colour}]{escape(row.last_sync_status)}[/] {ago(row.last_sync_at, now)}"
