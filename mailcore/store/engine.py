"""The engine: one URL, two databases, the same durability (a commit that returned survives a power cut).

Statements are written once, as functions of a synchronous `Connection`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol, TypeVar

from sqlalchemy import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError

from mailcore.errors import SettingsError

T = TypeVar("T")

_DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}


class Engine(Protocol):
    """Where transactions are run."""

    name: str

    async def run(
        self, work: Callable[[Connection], T], *, writes: bool, unhurried: bool = False, end: float | None = None
    ) -> T:
        """`work` in one transaction, committed when it returns, rolled back when it raises. Cancelled, it may have been
        committed all the same. `unhurried`: its statements may take as long as they need (migrations of large
        tables). `end`: the time of the event loop at which nobody waits for it any more; PostgreSQL then ends what it
        does. `work` may run in another thread than the caller's."""

    def lock(self, name: str) -> AbstractAsyncContextManager[None]:
        """Held for the time of the block, by one process and task; the others wait. It ends with its process."""

    async def close(self) -> None: ...


def parse_url(text: str) -> URL:
    """A DATABASE_URL; raises SettingsError, which never shows it (it may hold a password)."""
    try:
        url = make_url(text)
    except ArgumentError:
        raise SettingsError(
            "DATABASE_URL is not a database URL; write sqlite+aiosqlite:///data/mozzart.db or "
            "postgresql+asyncpg://user:password@host/database"
        ) from None
    backend = url.get_backend_name()
    driver = _DRIVERS.get(backend)
    if driver is None:
        raise SettingsError(f"DATABASE_URL names {backend!r}; only sqlite and postgresql are supported")
    return url.set(drivername=driver)


def make_engine(url: URL, patience: float | None = None) -> Engine:
    """For one process. Connects to nothing yet. `patience`: seconds that anybody waits for a transaction at most."""
    # Each process uses one of the two and need not load the other one's driver.
    if url.get_backend_name() == "sqlite":
        from mailcore.store.sqlite import Sqlite

        return Sqlite(url)
    from mailcore.store.postgres import Postgres

    return Postgres(url, patience)
