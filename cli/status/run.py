"""`mozzart status`: what runs, what is connected, how many messages are where. This module asks, the screen shows."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError
from rich.console import Console
from rich.live import Live

from cli import exit_code
from cli.status.overview import Overview
from cli.status.screen import screen
from mailcore import metrics, undelivered
from mailcore.bus import MAIL_DEAD, MAIL_EVENTS, MESSAGE_STREAMS, Bus
from mailcore.errors import BusError, SettingsError, StoreError
from mailcore.events import control
from mailcore.events.control import AccountStates, MailboxStates
from mailcore.events.identity import MailboxKey
from mailcore.settings import Settings
from mailcore.store import Store

_ANSWER_WITHIN: Final = 3.0
_FILE_WIDTH: Final = 200  # a pipe has no width to break lines at


async def run(settings: Settings, *, every: float | None = None, as_json: bool = False) -> int:
    """UNAVAILABLE when NATS, the syncer or the database do not answer. `every`: look again after so many seconds, until
    Ctrl-C."""
    console = Console(highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    found = await look(settings)
    if every is not None and console.is_terminal and not as_json:
        await _watch(settings, found, console, every)
    while True:
        if as_json:
            sys.stdout.write(json.dumps(found.facts(), ensure_ascii=True) + "\n")
            sys.stdout.flush()
        else:
            console.print(screen(settings, found, console.width), crop=False)
        if every is None:
            return exit_code.UNAVAILABLE if found.faults else exit_code.OK
        await asyncio.sleep(every)
        found = await look(settings, found)


async def _watch(settings: Settings, found: Overview, console: Console, every: float) -> None:
    with Live(screen(settings, found, console.width), console=console, auto_refresh=False, screen=False) as live:
        while True:
            await asyncio.sleep(every)
            found = await look(settings, found)
            live.update(screen(settings, found, console.width), refresh=True)


async def look(settings: Settings, before: Overview | None = None) -> Overview:
    """What there is to see now; never raises for what does not answer."""
    found = Overview(datetime.now(UTC))
    await asyncio.gather(_ask_nats(settings, found), _ask_database(settings, found))
    if before is not None and not {"database"} & (before.faults.keys() | found.faults.keys()):
        seconds = (found.at - before.at).total_seconds()
        found.rate = (found.messages - before.messages) / seconds if seconds > 0 else None
    return found


async def _ask_nats(settings: Settings, found: Overview) -> None:
    try:
        bus = await Bus.connect(settings.with_nats_url().nats_url, name="status", connect_timeout=_ANSWER_WITHIN)
    except (BusError, SettingsError) as error:
        found.faults["NATS"] = str(error)
        found.faults["syncer"] = "cannot be asked without NATS"
        return
    try:
        found.nats = bus.server
        for stream in (*MESSAGE_STREAMS, MAIL_EVENTS, MAIL_DEAD):
            try:
                found.streams[stream] = await bus.position(stream)
            except BusError as error:
                found.faults["NATS"] = str(error)
        found.undelivered = await undelivered.count(bus)
        found.processes = count_processes(await metrics.collect(bus))
        told = await metrics.waiting(bus)
        found.faults |= told.faults
        found.asks = told.asks
        try:
            states = MailboxStates.model_validate_json(await bus.request(control.STATES, b"", _ANSWER_WITHIN))
            accounts = AccountStates.model_validate_json(await bus.request(control.ACCOUNTS, b"", _ANSWER_WITHIN))
            found.accounts = accounts.accounts
            found.live = {MailboxKey(one.account, one.mailbox): one for one in states.mailboxes}
        except (BusError, ValidationError) as error:
            found.faults["syncer"] = str(error)
    except BusError as error:
        found.faults["NATS"] = str(error)
        found.faults.setdefault("syncer", "cannot be asked without NATS")
    finally:
        await bus.close()


def count_processes(answers: Iterable[bytes]) -> dict[str, int]:
    """How many of each name answered. Pure."""
    names = [metrics.process_of(answer) for answer in answers]
    return {name: names.count(name) for name in sorted(set(names)) if name}


async def _ask_database(settings: Settings, found: Overview) -> None:
    try:
        store = await Store.open(settings.database_url)
    except (StoreError, SettingsError) as error:
        found.faults["database"] = str(error)
        return
    try:
        async with asyncio.timeout(_ANSWER_WITHIN):
            await store.check()
            rows = await store.mailbox_states()
            found.rows = {MailboxKey(row.account, row.mailbox): row for row in rows if row.deleted_at is None}
            found.messages = await store.count_messages()
    except StoreError as error:
        found.faults["database"] = str(error)
    except TimeoutError:
        found.faults["database"] = f"no answer within {_ANSWER_WITHIN:.0f} s"
    finally:
        await store.close()
