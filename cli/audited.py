"""That a command did something is kept in the audit table, as what is done by page and api."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import click

from mailcore.audit import COMMAND_LINE, Action, entry
from mailcore.errors import MozzartError
from mailcore.log import strike_out
from mailcore.settings import Settings
from mailcore.store import Store
from mailcore.visible import one_line

_PATIENCE: Final = 3.0


async def note(settings: Settings, action: Action, about: str = "", count: int = 1) -> None:
    """Keep that it was done. What was done stays done: where the database does not answer, standard error says so."""
    now = datetime.now(UTC)
    store = await Store.open(settings.database_url, _PATIENCE)
    try:
        one = entry(now, action, COMMAND_LINE, about, count)
        await store.add_audit_entry(one, now - timedelta(days=settings.audit_max_age))
    except MozzartError as error:
        click.secho(strike_out(one_line(f"This is not in the audit table: {error}")), fg="yellow", err=True)
    finally:
        await store.close()


@asynccontextmanager
async def noting(settings: Settings, action: Action) -> AsyncIterator[list[str]]:
    """What the block put into the list was done, also where it fails in between: one entry for all of it."""
    done: list[str] = []
    try:
        yield done
    finally:
        if done:
            await note(settings, action, ", ".join(done), len(done))
