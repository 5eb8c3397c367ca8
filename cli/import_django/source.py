"""The database of a Django `mailbox_app`, read and never written.

Nothing is known of its columns but their names, and not all of them need be there: cli/import_django/mapping.py says
what is made of what is found. Values come as the driver gives them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

from sqlalchemy import URL, Connection, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from mailcore.errors import SettingsError, StoreError
from mailcore.store.engine import parse_url

STATES: Final = "mailbox_app_mailboxstate"
MESSAGES: Final = "mailbox_app_mailmessage"
ATTACHMENTS: Final = "mailbox_app_mailattachment"
PAGE: Final = 200

Record = Mapping[str, Any]


class Source:
    """`open` it, then read: `columns` holds the column names of each table that is there."""

    def __init__(self, engine: AsyncEngine, columns: Mapping[str, Sequence[str]]) -> None:
        self._engine = engine
        self.columns = columns

    @classmethod
    async def open(cls, url: str) -> Self:
        """Raises SettingsError when the URL is none or the tables are not there, StoreError when nobody answers."""
        engine = create_async_engine(_read_only(parse_url(url)), hide_parameters=True)
        try:
            async with engine.connect() as connection:
                columns = await connection.run_sync(_columns)
        except (SQLAlchemyError, OSError) as error:
            await engine.dispose()
            raise StoreError(f"the database to import does not answer: {type(error).__name__}: {error}") from None
        except BaseException:  # cancelled, too: the pool is ours until it is handed over
            await engine.dispose()
            raise
        if missing := [name for name in (STATES, MESSAGES) if name not in columns]:
            await engine.dispose()
            raise SettingsError(f"the database to import has no table {' and no table '.join(missing)}")
        return cls(engine, columns)

    async def close(self) -> None:
        await self._engine.dispose()

    async def states(self) -> list[Record]:
        """The mailboxes; few."""
        return await self._select(f"SELECT * FROM {STATES} ORDER BY id", {})  # noqa: S608  # a constant

    async def count(self) -> int:
        """The messages."""
        (row,) = await self._select(f"SELECT count(*) AS n FROM {MESSAGES}", {})  # noqa: S608  # a constant
        return int(row["n"])

    async def pages(self) -> AsyncIterator[tuple[list[Record], dict[Any, list[Record]]]]:
        """The messages by id, a page at a time, with their attachments by message id."""
        last = -1
        while True:
            query = f"SELECT * FROM {MESSAGES} WHERE id > :last ORDER BY id LIMIT {PAGE}"  # noqa: S608  # constants
            page = await self._select(query, {"last": last})
            if not page:
                return
            first, last = page[0]["id"], page[-1]["id"]
            parts: dict[Any, list[Record]] = {}
            if ATTACHMENTS in self.columns:
                query = f"SELECT * FROM {ATTACHMENTS} WHERE message_id BETWEEN :first AND :last ORDER BY id"  # noqa: S608  # a constant
                for part in await self._select(query, {"first": first, "last": last}):
                    parts.setdefault(part["message_id"], []).append(part)
            yield page, parts

    async def _select(self, query: str, values: dict[str, Any]) -> list[Record]:
        try:
            async with self._engine.connect() as connection:
                return [dict(row) for row in (await connection.execute(text(query), values)).mappings()]
        except (SQLAlchemyError, OSError) as error:
            raise StoreError(f"reading the database to import: {type(error).__name__}: {error}") from None


def _columns(connection: Connection) -> dict[str, list[str]]:
    inspector = inspect(connection)
    there = set(inspector.get_table_names())
    return {
        name: [str(column["name"]) for column in inspector.get_columns(name)]
        for name in (STATES, MESSAGES, ATTACHMENTS)
        if name in there
    }


def _read_only(url: URL) -> URL:
    """SQLite opens the file without the right to change it, and never makes one that is not there."""
    if url.get_backend_name() != "sqlite":
        return url
    path = Path(url.database or "")
    if not path.is_file():
        raise SettingsError(f"the database to import: {path} is not there")
    return url.set(database=f"file:{quote(str(path.resolve()))}", query={"mode": "ro", "uri": "true"})
