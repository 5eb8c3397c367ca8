"""`mozzart prune`: the pass of retention that a person orders, however much it empties."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli import exit_code
from cli.audited import note
from cli.quantity import counted
from consumers.pruning import Pruning
from consumers.retrying import Retrying
from mailcore.errors import SettingsError
from mailcore.media import Media
from mailcore.settings import Settings
from mailcore.store import Store
from mailcore.store.pruning import Share


async def run(settings: Settings, *, ordered: bool) -> int:
    """FAILED when nobody said yes. Raises SettingsError without MESSAGES_MAX_AGE, StoreError when the database does not
    answer."""
    if settings.messages_max_age is None:
        raise SettingsError("MESSAGES_MAX_AGE is not set: messages are kept for ever, and there is nothing to prune.")
    max_age = timedelta(days=settings.messages_max_age)
    now = datetime.now(UTC)
    store = await Store.open(settings.database_url)
    try:
        share = await store.due(now - max_age)
        click.echo(_said(share, now, max_age))
        if not share.due:
            return exit_code.OK
        if not ordered and not _confirmed():
            click.secho("Nothing was pruned.", fg="yellow", err=True)
            return exit_code.FAILED
        media = await asyncio.to_thread(Media.open, settings.media_root)
        try:
            pruning = Pruning(store, media, Retrying(asyncio.Event()), max_age)
            pruned = await _prune(pruning, now - max_age, share.due)
        finally:
            media.close()
    finally:
        await store.close()
    await note(settings, "pruned", f"stored before {now - max_age:%Y-%m-%d %H:%M} UTC", pruned)
    click.echo(f"{counted(pruned, 'message')} pruned")
    return exit_code.OK if pruned >= share.due else exit_code.FAILED


def _said(share: Share, now: datetime, max_age: timedelta) -> str:
    return (
        f"It is {now:%Y-%m-%d %H:%M} UTC by this machine's clock: {share.due:,} of {counted(share.kept, 'message')} "
        f"were stored before {now - max_age:%Y-%m-%d %H:%M} UTC."
    )


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        click.echo("Their content and files would be gone for good; say --yes to do it.", err=True)
        return False
    return click.confirm("Empty them? Their content and files are gone for good")


async def _prune(pruning: Pruning, before: datetime, due: int) -> int:
    console = Console(stderr=True, highlight=False, emoji=False)
    columns = (TextColumn("pruning"), BarColumn(bar_width=30), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("pruning", total=due)
        return await pruning.all_before(before, lambda count: progress.update(task, completed=count))
