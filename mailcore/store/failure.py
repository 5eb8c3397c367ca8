"""What the drivers raise → StoreError with scope and retry. Pure.

A refused row (scope MESSAGE, retry NEVER) is the message's fault; everything else of theirs is the database's and
passes (I8). What neither a driver nor the system raised is a bug of ours.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, DisconnectionError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mailcore.errors import Retry, Scope, StoreError

# Classes of SQLSTATE (PostgreSQL manual, appendix A): data exception, integrity constraint violation, program limit
# exceeded.
_ROW_CLASSES: Final = frozenset({"22", "23", "54"})
_NO_TABLE: Final = frozenset({"42P01", "42703"})
_LOCKED: Final = "55P03"
_SQLITE_ROW: Final = (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError)
# What the drivers raise for a value that they cannot encode: lone surrogates, 65-bit numbers.
_VALUE: Final = (ValueError, OverflowError, TypeError)


class ValueRefused(Exception):
    """A value that the driver could not encode."""


_DATABASE: Final = (
    DBAPIError,
    DisconnectionError,
    PendingRollbackError,
    PoolTimeout,
    sqlite3.Error,
    OSError,
    ValueRefused,
)


def values_refused(context: ExceptionContext) -> ValueRefused | None:
    """For SQLAlchemy's event `handle_error`, which alone can tell the driver's ValueError from one of ours: it comes
    while a statement is with the driver, and is none of the driver's own errors."""
    error = context.original_exception
    if context.sqlalchemy_exception is None and context.statement is not None and isinstance(error, _VALUE):
        return ValueRefused(str(error))
    return None


def is_fault(error: BaseException) -> bool:
    """Whether it is a bug of ours."""
    # asyncpg's own, which it raises while it connects, without importing it for those who have SQLite.
    return not isinstance(error, _DATABASE) and not type(error).__module__.startswith("asyncpg.")


def store_error(error: BaseException, doing: str) -> StoreError:
    """`doing` is what was tried, in words. Of the driver's words the first line is kept; statement and parameters are
    not."""
    causes = list(_chain(error))
    cause = causes[-1]
    said = (str(cause) or type(cause).__name__).splitlines()[0][:300]
    if any(_no_table(each) for each in causes):
        return StoreError(f"{doing}: the tables are not those of this version ({said}); run `mozzart db upgrade`")
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    if any(_no_mailbox(each) for each in causes):
        return StoreError(f"{doing}: the mailbox has no row yet; the syncer makes it", scope=Scope.MAILBOX)
    if not lost and any(_row_refused(each) for each in causes):
        return StoreError(f"{doing}: the database refused a row: {said}", scope=Scope.MESSAGE, retry=Retry.NEVER)
    if any(getattr(each, "sqlstate", None) == _LOCKED for each in causes):
        return StoreError(f"{doing}: another session holds our tables (a long query, pg_dump): {said}; try again")
    return StoreError(f"{doing}: the database is not available: {said}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it wraps, the driver's own last."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = getattr(link, "orig", None) or link.__cause__


def _no_table(error: BaseException) -> bool:
    if isinstance(error, sqlite3.OperationalError):
        return any(words in str(error) for words in ("no such table", "no such column", "has no column"))
    return getattr(error, "sqlstate", None) in _NO_TABLE


def _no_mailbox(error: BaseException) -> bool:
    # The only foreign keys that can dangle are those to the syncer's table.
    refused = isinstance(error, sqlite3.IntegrityError) and "FOREIGN KEY" in str(error)
    return refused or getattr(error, "sqlstate", None) == "23503"


def _row_refused(error: BaseException) -> bool:
    sqlstate = getattr(error, "sqlstate", None)
    if sqlstate is not None:
        return str(sqlstate)[:2] in _ROW_CLASSES
    return isinstance(error, (*_SQLITE_ROW, ValueRefused, *_VALUE))
