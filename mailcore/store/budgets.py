"""Statements on what accounts have fetched of their budgets: the syncer's table."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import Connection, select

from mailcore.store.dialect import insert
from mailcore.store.row import KeptBudget
from mailcore.store.schema import budgets


def load(connection: Connection, account: str) -> KeptBudget | None:
    row = connection.execute(select(budgets).where(budgets.c.account == account)).one_or_none()
    if row is None:
        return None
    hours = tuple((int(hour), int(octets)) for hour, octets in row.hours)
    return KeptBudget(row.account, hours, row.messages, row.octets)


def save(connection: Connection, kept: KeptBudget) -> None:
    """In place of what was there."""
    values = asdict(kept)
    statement = insert(connection.dialect.name, budgets).values(**values)
    del values["account"]
    connection.execute(statement.on_conflict_do_update(index_elements=[budgets.c.account], set_=values))
