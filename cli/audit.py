"""`mozzart audit`: what people and programs did here."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli import exit_code
from mailcore.audit import Entry
from mailcore.settings import Settings
from mailcore.store import Store
from mailcore.visible import one_line

_PATIENCE: Final = 20.0
_AT_ONCE: Final = 1000
_LISTED: Final = 50


async def run(
    settings: Settings, *, action: str, who: str, since: datetime | None, count: int | None, as_json: bool
) -> int:
    """The newest first. Raises StoreError."""
    most = count if count is not None or as_json else _LISTED
    table = Table(box=None, pad_edge=False)
    for title in ("when", "who", "what", "on", "from"):
        table.add_column(title, overflow="fold")
    store = await Store.open(settings.database_url, _PATIENCE)
    try:
        await store.check()
        async with aclosing(_entries(store, action, who, since, most)) as found:
            async for one in found:
                if as_json:
                    sys.stdout.write(json.dumps(_fact(one)) + "\n")
                else:
                    table.add_row(*(Text(one_line(cell)) for cell in _cells(one)))
    finally:
        await store.close()
    if not as_json:
        Console(highlight=False, emoji=False).print(table if table.row_count else "Nothing of that kind is kept.")
    return exit_code.OK


async def _entries(
    store: Store, action: str, who: str, since: datetime | None, most: int | None
) -> AsyncGenerator[Entry, None]:
    given, before = 0, None
    while found := await store.audit_entries(_AT_ONCE, before, action, who):
        for one in found:
            if given == most or (since is not None and one.at < since):
                return
            yield one
            given += 1
        before = found[-1].id


def _fact(one: Entry) -> dict[str, Any]:
    return {**asdict(one), "at": one.at.isoformat()}


def _cells(one: Entry) -> tuple[str, ...]:
    what = one.action if one.count == 1 else f"{one.action} × {one.count}"
    who = f"{one.who or 'several'}{' (token)' if one.by == 'token' else ''}"
    return f"{one.at.astimezone():%Y-%m-%d %H:%M:%S}", who, what, one.object, one.address
