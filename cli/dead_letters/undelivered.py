"""`mozzart dead-letters … --webhook`: what the webhook's receiver did not take: list it, look at it, send it again,
give it up."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli import exit_code
from cli.audited import noting
from cli.dead_letters.unstored import connected, plain_console, say
from cli.quantity import counted
from mailcore import undelivered
from mailcore.bus import Bus
from mailcore.errors import BusError, Scope
from mailcore.events.message import stamp
from mailcore.events.undelivered import Undelivered
from mailcore.settings import Settings
from mailcore.visible import one_line


async def show_all(settings: Settings, *, as_json: bool) -> int:
    """Oldest first. Raises BusError."""
    async with connected(settings, "webhook") as bus:
        entries = [entry async for entry in undelivered.entries(bus)]
    if as_json:
        for entry in entries:
            sys.stdout.write(json.dumps(facts(entry)) + "\n")
    elif entries:
        plain_console().print(_table(entries))
    else:
        plain_console().print("[green]The webhook's receiver took all there was.[/]")
    return exit_code.OK


async def show(settings: Settings, seq: int, *, raw: bool, as_json: bool) -> int:
    """`raw`: the event's payload to standard output, and nothing else. Raises BusError; MozzartError when there is no
    such event."""
    async with connected(settings, "webhook") as bus:
        entry = await undelivered.entry(bus, seq)
    if raw:
        sys.stdout.buffer.write(entry.payload)
        sys.stdout.buffer.flush()
    elif as_json:
        sys.stdout.write(json.dumps({**facts(entry), "headers": dict(entry.headers)}) + "\n")
    else:
        _print(entry)
    return exit_code.OK


async def redrive(settings: Settings, seqs: Sequence[int], *, every_one: bool, wait: float) -> int:
    """Have the webhook process send them, and tell what the receiver said: FAILED when it did not take one, or when one
    is not there. Raises BusError when no webhook process answers."""
    console = plain_console()
    failed = 0
    async with connected(settings, "webhook") as bus, noting(settings, "redriven") as done:
        if every_one:
            seqs = [entry.seq async for entry in undelivered.entries(bus)]
        if not seqs:
            console.print("[green]The webhook's receiver took all there was.[/]")
        for seq in dict.fromkeys(seqs):
            if await _redelivered(console, bus, seq, wait):
                done.append(f"event {seq} of the webhook")
            else:
                failed += 1
    return exit_code.FAILED if failed else exit_code.OK


async def discard(settings: Settings, seqs: Sequence[int], *, every_one: bool) -> int:
    """Nobody sends them any more: FAILED when one is not there. Raises BusError."""
    console = plain_console()
    failed = 0
    async with connected(settings, "webhook") as bus, noting(settings, "discarded") as done:
        if every_one:
            seqs = [entry.seq async for entry in undelivered.entries(bus)]
        if not seqs:
            console.print("[green]The webhook's receiver took all there was.[/]")
        for seq in dict.fromkeys(seqs):
            try:
                entry = await undelivered.entry(bus, seq)
                await undelivered.remove(bus, seq)
            except BusError as error:
                if error.scope is not Scope.MESSAGE:
                    raise
                say(console, "[red]✗[/]", str(seq), str(error))
                failed += 1
            else:
                done.append(f"event {entry.id}")
                say(console, "[green]✓[/]", f"{seq}  {entry.id}", "discarded")
    return exit_code.FAILED if failed else exit_code.OK


async def _redelivered(console: Console, bus: Bus, seq: int, wait: float) -> bool:
    try:
        name = f"{seq}  {(await undelivered.entry(bus, seq)).id}"
        told = await undelivered.redeliver(bus, seq, wait)
    except BusError as error:
        if error.scope is not Scope.MESSAGE:
            raise
        say(console, "[red]✗[/]", str(seq), str(error))
        return False
    if told.status == "refused":
        say(console, "[red]✗[/]", name, f"not taken: {told.error}")
        return False
    say(console, "[green]✓[/]", name, "delivered")
    return True


def facts(entry: Undelivered) -> dict[str, Any]:
    """As JSON has it."""
    return {
        "seq": entry.seq,
        "event_id": entry.id,
        "type": entry.type,
        "account": entry.key.account,
        "mailbox": entry.key.mailbox,
        "error": entry.error,
        "attempts": entry.attempts,
        "given_up_at": stamp(entry.given_up_at),
    }


def _print(entry: Undelivered) -> None:
    console = plain_console()
    for name, value in (
        ("undelivered", str(entry.seq)),
        ("event", entry.id),
        ("type", entry.type),
        ("error", entry.error),
        ("given up", f"{entry.given_up_at.astimezone():%Y-%m-%d %H:%M:%S}"),
        ("attempts", str(entry.attempts)),
        ("payload", entry.payload.decode("utf-8", "replace")),
    ):
        console.print(Text.assemble((f"{name:<16}", "dim"), one_line(value)), soft_wrap=True)
    console.print(
        f"[dim]mozzart dead-letters redrive --webhook {entry.seq} sends it to the receiver again[/]", soft_wrap=True
    )


def _table(entries: Sequence[Undelivered]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("number", justify="right", no_wrap=True)
    table.add_column("event", no_wrap=True)
    table.add_column("given up", no_wrap=True)
    table.add_column("tried", justify="right", no_wrap=True)
    table.add_column("error")
    for entry in entries:
        table.add_row(
            str(entry.seq),
            Text(one_line(entry.id)),
            f"{entry.given_up_at.astimezone():%Y-%m-%d %H:%M}",
            counted(entry.attempts, "time"),
            Text(one_line(entry.error)),
        )
    return table
