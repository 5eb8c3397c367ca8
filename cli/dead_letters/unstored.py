"""`mozzart dead-letters`: what could not be stored: list it, look at it, send it on its way again, give it up."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli import exit_code
from cli.audited import noting
from cli.quantity import counted, size
from mailcore import undelivered
from mailcore.bus import Bus
from mailcore.errors import BusError, EventError, MozzartError, Scope
from mailcore.events.dead_letter import DeadLetter
from mailcore.events.identity import Identity
from mailcore.events.message import stamp
from mailcore.events.subject import parse_subject
from mailcore.events.thin import Dead, Stored, decode_thin
from mailcore.settings import Settings
from mailcore.visible import one_line

_FILE_WIDTH: Final = 200


async def show_all(settings: Settings, *, as_json: bool) -> int:
    """Oldest first. Raises BusError."""
    async with connected(settings) as bus:
        letters = [letter async for letter in bus.dead_letters()]
        webhooks = await undelivered.count(bus)
    if as_json:
        for letter in letters:
            sys.stdout.write(json.dumps(facts(letter)) + "\n")
        return exit_code.OK
    console = plain_console()
    console.print(_table(letters) if letters else "[green]There are no dead letters.[/]")
    if webhooks:
        console.print(
            f"[yellow]![/] The webhook's receiver did not take {counted(webhooks, 'event')}; "
            "see `mozzart dead-letters list --webhook`",
            soft_wrap=True,
        )
    return exit_code.OK


async def show(settings: Settings, seq: int, *, raw: bool, as_json: bool) -> int:
    """`raw`: the message's bytes to standard output, and nothing else. Raises BusError; MozzartError when there is no
    such letter."""
    async with connected(settings) as bus:
        letter = await bus.dead_letter(seq)
        if raw:
            await _write_raw(bus, seq)
            return exit_code.OK
    if as_json:
        sys.stdout.write(json.dumps(facts(letter)) + "\n")
        return exit_code.OK
    console = plain_console()
    for name, value in (
        ("dead letter", str(letter.seq)),
        ("message", str(letter.identity)),
        ("error", letter.error),
        ("died", "" if letter.died_at is None else f"{letter.died_at.astimezone():%Y-%m-%d %H:%M:%S}"),
        ("deliveries", str(letter.deliveries)),
        ("size", size(letter.size)),
        *sorted((name, value) for name, value in letter.headers.items() if name.startswith("ce-")),
    ):
        if value:
            console.print(Text.assemble((f"{name:<16}", "dim"), one_line(value)), soft_wrap=True)
    console.print(
        f"[dim]mozzart dead-letters show {seq} --raw prints its bytes, "
        f"mozzart dead-letters redrive {seq} tries to store it again[/]",
        soft_wrap=True,
    )
    return exit_code.OK


async def redrive(settings: Settings, seqs: Sequence[int], *, every_one: bool, wait: float) -> int:
    """Publish them again and wait up to `wait` seconds for what becomes of each: FAILED when one is not there, died
    again or was not heard of. Raises BusError."""
    console = plain_console()
    failed = 0
    async with connected(settings) as bus, noting(settings, "redriven") as done:
        if every_one:
            seqs = [letter.seq async for letter in bus.dead_letters()]
        if not seqs:
            console.print("[green]There are no dead letters.[/]")
        ends: asyncio.Queue[tuple[Identity, str]] = asyncio.Queue()

        def heard(subject: str, data: bytes, _headers: Mapping[str, str]) -> None:
            try:
                event = decode_thin(parse_subject(subject)[1], data)
            except EventError:
                return
            if isinstance(event, Stored):
                ends.put_nowait((event.identity, ""))
            elif isinstance(event, Dead):
                ends.put_nowait((event.identity, event.error or "no reason was told"))

        await bus.listen(["mail.*.*.stored", "mail.*.*.dead"], heard)
        for seq in dict.fromkeys(seqs):
            try:
                letter = await bus.dead_letter(seq)
                await bus.redrive(seq)
            except BusError as error:
                if error.scope is not Scope.MESSAGE:
                    raise
                say(console, "[red]✗[/]", str(seq), str(error))
                failed += 1
            else:
                done.append(str(letter.identity))
                failed += not await _told(console, letter, ends, wait)
    return exit_code.FAILED if failed else exit_code.OK


async def discard(settings: Settings, seqs: Sequence[int], *, every_one: bool) -> int:
    """Remove them for good: FAILED when one is not there. Raises BusError."""
    console = plain_console()
    failed = 0
    async with connected(settings) as bus, noting(settings, "discarded") as done:
        if every_one:
            seqs = [letter.seq async for letter in bus.dead_letters()]
        if not seqs:
            console.print("[green]There are no dead letters.[/]")
        for seq in dict.fromkeys(seqs):
            try:
                letter = await bus.discard(seq)
            except BusError as error:
                if error.scope is not Scope.MESSAGE:
                    raise
                say(console, "[red]✗[/]", str(seq), str(error))
                failed += 1
            else:
                done.append(str(letter.identity))
                say(console, "[green]✓[/]", f"{seq}  {letter.identity}", "discarded")
    return exit_code.FAILED if failed else exit_code.OK


async def _told(console: Console, letter: DeadLetter, ends: asyncio.Queue[tuple[Identity, str]], wait: float) -> bool:
    name = f"{letter.seq}  {letter.identity}"
    try:
        async with asyncio.timeout(wait):
            while True:
                identity, error = await ends.get()
                if identity == letter.identity:
                    break
    except TimeoutError:
        say(console, "[yellow]![/]", name, f"published again; not heard of within {wait:g} s, is a consumer running?")
        return False
    if error:
        say(console, "[red]✗[/]", name, f"died again: {error}")
        return False
    say(console, "[green]✓[/]", name, "stored")
    return True


async def _write_raw(bus: Bus, seq: int) -> None:
    with tempfile.TemporaryDirectory(prefix="mozzart-") as directory:
        path = Path(directory) / "message.eml"
        await bus.dead_body(seq, path)
        with path.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def facts(letter: DeadLetter) -> dict[str, Any]:
    """As JSON has it."""
    return {
        "seq": letter.seq,
        "identity": str(letter.identity),
        "account": letter.identity.account,
        "mailbox": letter.identity.mailbox,
        "uidvalidity": letter.identity.uidvalidity,
        "uid": letter.identity.uid,
        "error": letter.error,
        "deliveries": letter.deliveries,
        "size": letter.size,
        "died_at": None if letter.died_at is None else stamp(letter.died_at),
        "headers": dict(letter.headers),
    }


def _table(letters: Sequence[DeadLetter]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("number", justify="right", no_wrap=True)
    table.add_column("message", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("tried", justify="right", no_wrap=True)
    table.add_column("error")
    for letter in letters:
        table.add_row(
            str(letter.seq),
            Text(one_line(str(letter.identity))),
            size(letter.size),
            counted(letter.deliveries, "time"),
            Text(one_line(letter.error)),
        )
    return table


def say(console: Console, mark: str, name: str, text: str) -> None:
    console.print(
        Text.from_markup(mark + " ").append(one_line(name), "bold").append("  " + one_line(text)), soft_wrap=True
    )


def plain_console() -> Console:
    console = Console(highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    return console


@asynccontextmanager
async def connected(settings: Settings, kind: str = "") -> AsyncIterator[Bus]:
    """For the time of the block; `kind` is the option that lists what was asked for. What is wrong with one letter, or
    with our disk, is no fault of NATS: MozzartError."""
    bus = await Bus.connect(settings.nats_url, name="dead-letters", connect_timeout=5)
    try:
        yield bus
    except BrokenPipeError:
        raise
    except BusError as error:
        if error.scope is Scope.MESSAGE:
            command = " ".join(("mozzart dead-letters list", *((f"--{kind}",) if kind else ())))
            raise MozzartError(f"{error}; `{command}` shows what there is.") from None
        raise
    except OSError as error:
        raise MozzartError(f"The message cannot be written to a temporary file: {error.strerror}.") from None
    finally:
        await bus.close()
