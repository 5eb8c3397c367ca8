"""`mozzart messages`: search what is stored, show one message, save its attachments. Reads the database alone."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from cli import exit_code
from cli.messages import screen
from cli.quantity import counted, size
from mailcore.bus import Bus
from mailcore.descent import open_file
from mailcore.errors import MozzartError
from mailcore.events.message import stamp
from mailcore.mime.safename import nameless, safe_filename
from mailcore.original import write_original
from mailcore.settings import Settings
from mailcore.store import Store
from mailcore.store.page import AttachmentDetail, Cursor, MessageDetail, MessageFilter
from mailcore.visible import one_line

_PAGE: Final = 200
_FILE_WIDTH: Final = 200
_BLOCK: Final = 1 << 20


async def search(settings: Settings, wanted: MessageFilter, *, limit: int, as_json: bool) -> int:
    """The newest `limit` that match; FAILED when there are none, as grep has it. Raises StoreError."""
    console = _console()
    left, cursor = limit, None
    async with _opened(settings) as store:
        while left > 0:
            page = await store.list_messages(wanted, cursor, min(left, _PAGE))
            left -= len(page.messages)
            if as_json:
                for one in page.messages:
                    _write(_plain(asdict(one)))
            elif page.messages:
                console.print(screen.table(page.messages, console.width))
            cursor = page.next
            if cursor is None:
                break
    found = limit - left
    if not as_json:
        more = f", there are more: --limit {limit * 10}" if isinstance(cursor, Cursor) else ""
        console.print(f"[dim]{counted(found, 'message')}{more}[/]" if found else "[yellow]No message matches.[/]")
    return exit_code.OK if found else exit_code.FAILED


async def show(settings: Settings, message_id: int, *, part: str, as_json: bool) -> int:
    """`part`: `all`, `text`, `html` or `headers`. Raises MozzartError when there is no such message, StoreError."""
    async with _opened(settings) as store:
        message = await _message(store, message_id)
    if as_json:
        facts = _plain(asdict(message))
        _write({**facts.pop("summary"), **facts})
    elif part == "all":
        screen.show(_console(), message)
    elif part == "headers":
        screen.write("\n".join(one_line(f"{name}: {value}") for name, value in message.headers))
    else:
        text = message.body_text if part == "text" else message.body_html
        screen.write(text)
    return exit_code.OK


async def raw(settings: Settings, message_id: int) -> int:
    """The bytes to standard output, and nothing else. Raises MozzartError: there is no such message, or nobody has them
    any more; StoreError, BusError."""
    async with _opened(settings) as store:
        message = await _message(store, message_id)
    with tempfile.TemporaryDirectory(prefix="mozzart-") as directory:
        path = Path(directory) / "message"
        bus = await Bus.connect(settings.nats_url, name="messages", connect_timeout=5)
        try:
            await write_original(bus, message, path)
        except OSError as error:
            raise MozzartError(f"The message cannot be written to a temporary file: {error.strerror}.") from None
        finally:
            await bus.close()
        with path.open("rb") as file:
            await asyncio.to_thread(shutil.copyfileobj, file, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    return exit_code.OK


async def save(settings: Settings, message_id: int, *, directory: Path, parts: Sequence[str]) -> int:
    """Copy the attachments (those of `parts`, or all) under safe names; no file that is there is overwritten. Raises
    MozzartError: no such message or part, a file is missing, or the directory cannot be written."""
    async with _opened(settings) as store:
        message = await _message(store, message_id)
    wanted = [one for one in message.attachments if not parts or one.part_id in parts]
    if unknown := sorted(set(parts) - {one.part_id for one in message.attachments}):
        known = ", ".join(one.part_id for one in message.attachments) or "none"
        raise MozzartError(f"Message {message_id} has no attachment {', '.join(unknown)}; it has: {known}.")
    console = _console()
    if not wanted:
        console.print(f"[yellow]Message {message_id} has no attachments.[/]")
        return exit_code.FAILED
    for one in wanted:
        path = await asyncio.to_thread(_copy, settings.media_root, one, directory)
        screen.say(console, f"{path}  {size(one.size)}")
    return exit_code.OK


def _copy(root: Path, attachment: AttachmentDetail, directory: Path) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with open_file(root, attachment.file) as source:
            fallback = nameless(f"part-{attachment.part_id}", attachment.content_type)
            path, target = _create(directory, safe_filename(attachment.filename, fallback))
            with os.fdopen(target, "wb") as file:
                while block := source.read(_BLOCK):
                    file.write(block)
    except ValueError as error:
        raise MozzartError(f"Attachment {attachment.id}: {error}.") from None
    except OSError as error:
        raise MozzartError(
            f"{error.filename or directory}: {error.strerror}. `mozzart verify` compares all files with their rows."
        ) from None
    return path


def _create(directory: Path, name: str) -> tuple[Path, int]:
    """A new file of that name, or of `name (2)`, `name (3)`, …: never one that was there, also no link."""
    stem, suffix = Path(name).stem, Path(name).suffix
    number = 1
    while True:
        path = directory / (name if number == 1 else f"{stem} ({number}){suffix}")
        try:
            return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            number += 1


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Store]:
    store = await Store.open(settings.database_url)
    try:
        await store.check()
        yield store
    finally:
        await store.close()


async def _message(store: Store, message_id: int) -> MessageDetail:
    found = await store.message(message_id)
    if found is None:
        raise MozzartError(f"There is no message {message_id}; `mozzart messages search` shows the ids.")
    return found


def _console() -> Console:
    console = Console(highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    return console


def _write(facts: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(facts, ensure_ascii=True) + "\n")
    sys.stdout.flush()


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: stamp(value) if isinstance(value, datetime) else value for name, value in facts.items()} | {
        name: _plain(value) for name, value in facts.items() if isinstance(value, dict)
    }
