"""The table of messages seen from outside, by one connection that stays: to open one for each look costs a tenth of a
processor, which those who are measured need."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Protocol

import asyncpg

from tests.support.processes import Mozzart

_LAST = "SELECT max(id) FROM mailbox_app_mailmessage"


class Rows(Protocol):
    """Of one installation."""

    def count(self) -> int:
        """While none is removed."""
        ...

    def has(self, uid: int) -> bool: ...

    def close(self) -> None: ...


class _Sqlite:
    def __init__(self, mozzart: Mozzart) -> None:
        self._connection = sqlite3.connect(f"file:{mozzart.database}?mode=ro", timeout=30, uri=True)

    def count(self) -> int:
        (last,) = self._connection.execute(_LAST).fetchone()
        return int(last or 0)

    def has(self, uid: int) -> bool:
        found = self._connection.execute("SELECT 1 FROM mailbox_app_mailmessage WHERE uid = ?", (uid,))
        return found.fetchone() is not None

    def close(self) -> None:
        self._connection.close()


class _Postgresql:
    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._connection = self._runner.run(asyncpg.connect(url.replace("+asyncpg", "")))

    def count(self) -> int:
        return int(self._runner.run(self._connection.fetchval(_LAST)) or 0)

    def has(self, uid: int) -> bool:
        found = self._connection.fetchval("SELECT 1 FROM mailbox_app_mailmessage WHERE uid = $1", uid)
        return self._runner.run(found) is not None

    def close(self) -> None:
        self._runner.run(self._connection.close())
        self._runner.close()


def open_rows(mozzart: Mozzart) -> Rows:
    """A connection of its own, for one thread. The tables are there."""
    url = mozzart.environment.get("DATABASE_URL", "")
    return _Postgresql(url) if url.startswith("postgresql") else _Sqlite(mozzart)
