"""Statements on the reports of `mozzart verify`: its own table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, insert, null, select, update

from mailcore.store.row import VerifyReport
from mailcore.store.schema import verify_reports

KEPT: Final = 200
_columns: Final = verify_reports.c
# What a list shows: not the findings, of which there may be many.
_summary: Final = [column for column in _columns if column.name not in ("findings", "position")]


def add(connection: Connection, values: Mapping[str, object]) -> int:
    """A new one; the oldest beyond KEPT go. Its id."""
    row_id: int = connection.execute(
        insert(verify_reports).values(**_nulls(values)).returning(_columns.id)
    ).scalar_one()
    oldest = select(_columns.id).order_by(_columns.id.desc()).offset(KEPT).limit(1).scalar_subquery()
    connection.execute(delete(verify_reports).where(_columns.id <= oldest))
    return row_id


def save(connection: Connection, row_id: int, values: Mapping[str, object]) -> None:
    connection.execute(update(verify_reports).where(_columns.id == row_id).values(**_nulls(values)))


def load(connection: Connection, row_id: int) -> VerifyReport | None:
    row = connection.execute(select(verify_reports).where(_columns.id == row_id)).one_or_none()
    return None if row is None else _report(row)


def newest(connection: Connection, limit: int, before: int | None) -> list[VerifyReport]:
    """Without findings and position, the newest first, those with a smaller id than `before` alone."""
    query = select(*_summary).order_by(_columns.id.desc()).limit(limit)
    return [_report(row) for row in connection.execute(query if before is None else query.where(_columns.id < before))]


def _report(row: Row[Any]) -> VerifyReport:
    values = dict(row._mapping)
    return VerifyReport(**{**values, "findings": tuple(values.get("findings", ()))})


def _nulls(values: Mapping[str, object]) -> dict[str, object]:
    """None is NULL and not JSON's null."""
    return {name: null() if value is None else value for name, value in values.items()}
