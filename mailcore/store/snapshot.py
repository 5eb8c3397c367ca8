"""One state of a SQLite database as a file of its own, taken while others write.

The connection holds a read transaction for as long as pages are copied, so that all of them are of one state: in WAL
mode that stops no writer, and SQLite does not begin the copy anew when somebody commits meanwhile, as it does for a
source whose state has moved. The WAL grows until the copy is done.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailcore.errors import Retry, StoreError
from mailcore.store.attachments import StoredFile

# At each step the caller is told; SQLite's own tool takes as many.
_PAGES_A_STEP: Final = 1000
_BUSY_TIMEOUT: Final = 30.0


@dataclass(frozen=True, slots=True)
class Contents:
    """`revision` is that of the tables. `messages` are rows, also of what was expunged."""

    revision: str
    messages: int
    attachments: int
    size: int
    """What all attachments have, bytes."""


def take(source: Path, target: Path, told: Callable[[int, int], None] = lambda done, total: None) -> None:
    """Copy `source` to the new file `target`, in one piece without a WAL beside it; `told` hears pages. Raises
    StoreError when the database cannot be read or is damaged."""

    def step(_status: int, remaining: int, total: int) -> None:
        told(total - remaining, total)

    try:
        with closing(_open(source)) as held, closing(sqlite3.connect(target, isolation_level=None)) as copy:
            held.execute("BEGIN")
            held.execute("SELECT count(*) FROM sqlite_master").fetchone()  # the state is that of the first read
            held.backup(copy, pages=_PAGES_A_STEP, progress=step, sleep=0.01)
            held.execute("ROLLBACK")
            copy.execute("PRAGMA journal_mode = DELETE")
            (found,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"copying the database {source}: {error}") from None
    if found != "ok":
        raise StoreError(f"the database {source} is damaged: {found}", retry=Retry.NEVER)


def contents(database: Path) -> Contents:
    """What is in it. Raises StoreError when it holds no tables of ours."""
    try:
        with closing(_open(database)) as connection:
            (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            (messages,) = connection.execute("SELECT count(*) FROM mailbox_app_mailmessage").fetchone()
            row = connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM mailbox_app_mailattachment")
            attachments, size = row.fetchone()
    except (sqlite3.Error, TypeError) as error:
        raise StoreError(f"{database} holds no tables of ours ({error})", retry=Retry.NEVER) from None
    return Contents(revision, messages, attachments, size)


def files(database: Path) -> Iterator[StoredFile]:
    """Every attachment's row, in the order of the paths."""
    query = "SELECT id, message_id, size, sha256, file FROM mailbox_app_mailattachment ORDER BY file, id"
    with closing(_open(database)) as connection:
        for row in connection.execute(query):
            yield StoredFile(*row)


def is_blank(database: Path) -> bool:
    """Whether it is a database without any table, as a command makes it that looks before anything was stored."""
    try:
        with closing(_open(database)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        return False
    return bool(count == 0)


def _open(path: Path) -> sqlite3.Connection:
    # rw, not ro: a WAL that a killed process left must be read, and that takes a file beside it.
    uri = f"{path.resolve().as_uri()}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT, isolation_level=None)
