"""Statements on the tokens that people make for programs that use the api."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, or_, select, update

from mailcore.api_token import BEGINNING, ApiToken
from mailcore.store.dialect import insert
from mailcore.store.schema import api_tokens

# How long those that are good for nothing any more are still told of.
KEPT: Final = timedelta(days=90)
_columns: Final = api_tokens.c


def load_all(connection: Connection) -> list[ApiToken]:
    """The newest first; also those that expired or were revoked lately."""
    return [_token(row) for row in connection.execute(select(api_tokens).order_by(_columns.id.desc()))]


def load(connection: Connection, key: str) -> ApiToken | None:
    row = connection.execute(select(api_tokens).where(_columns.key == key)).one_or_none()
    return None if row is None else _token(row)


def add(connection: Connection, token: ApiToken) -> bool:
    """False if one that is not revoked has its name. Those that ended long ago go."""
    ended = or_(_columns.revoked_at < token.made_at - KEPT, _columns.expires_at < token.made_at - KEPT)
    connection.execute(delete(api_tokens).where(ended))
    values = {name: getattr(token, name) for name in ("key", "name", "digest", "made_at", "expires_at")}
    statement = insert(connection.dialect.name, api_tokens).values(scopes=list(token.scopes), **values)
    connection.execute(statement.on_conflict_do_nothing())
    found = load(connection, token.key)
    return found is not None and found.digest == token.digest


def use(connection: Connection, key: str, at: datetime, before: datetime) -> None:
    """It was used then, unless it is known to have been used after `before`."""
    due = or_(_columns.last_used_at.is_(None), _columns.last_used_at <= before)
    connection.execute(update(api_tokens).where(_columns.key == key, due).values(last_used_at=at))


def revoke(connection: Connection, name: str, at: datetime) -> ApiToken | None:
    """The one of that name, or that a text beginning with `mz_` names. None if there is none that is not revoked."""
    wanted = _columns.key == name.removeprefix(BEGINNING) if name.startswith(BEGINNING) else _columns.name == name
    statement = update(api_tokens).where(wanted, _columns.revoked_at.is_(None)).values(revoked_at=at)
    row = connection.execute(statement.returning(api_tokens)).one_or_none()
    return None if row is None else _token(row)


def _token(row: Row[Any]) -> ApiToken:
    values = {name: value for name, value in row._mapping.items() if name != "id"}
    return ApiToken(**values | {"scopes": tuple(values["scopes"])})
