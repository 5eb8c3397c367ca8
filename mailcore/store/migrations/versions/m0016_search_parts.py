"""Names of files and parts of words are found, too.

A column that may be null, and triggers that put what it holds in front of the text. Quick: what is stored already stays
as it is in the index, and gets its parts from the consumers, in the background; an index tells them which rows those
are. A consumer of the version before goes on, and so does its index.
"""

import sqlalchemy as sa
from alembic import op

from mailcore.store.migrations.versions.m0002_reading import (
    POSTGRES_KEEP,
    SQLITE_CREATE,
    SQLITE_FILL,
    SQLITE_MERGE,
    SQLITE_TRIGGERS,
)
from mailcore.store.migrations.versions.m0003_beginnings import BEGINNINGS

# The module has the number of its place; the revision stays what databases that ran it have written down.
revision = "0012"
down_revision = "0015"
branch_labels = None
depends_on = None

_MESSAGES = "mailbox_app_mailmessage"
_SEARCH = "mailbox_app_mailsearch"
_INDEX = f"{_MESSAGES}_unsearched_idx"
_EVENTS = ("insert", "delete", "update")

_WATCHED = ("has_attachments ON", "has_attachments, search_parts ON")
_SQLITE_TEXT = tuple(
    (
        f"substr(coalesce({row}.search_text",
        f"coalesce({row}.search_parts || ' ', '') || substr(coalesce({row}.search_text",
    )
    for row in ("new", "old")
)
# The names are words, folded as others are; the parts are as they are to be.
_POSTGRES_TEXT = (
    "|| ' ' || left(mailbox_app_fold(left(coalesce(new.search_text",
    "|| ' ' || left(mailbox_app_fold(split_part(coalesce(new.search_parts, ''), E'\\n', 1)), 20000)"
    " || ' ' || left(mailbox_app_fold(left(coalesce(new.search_text",
)
_POSTGRES_PARTS = (
    ", 100000)), 100000)),",
    ", 100000)), 100000))"
    " || array_to_tsvector(string_to_array(split_part(coalesce(new.search_parts, ''), E'\\n', 2), ' ')),",
)


def upgrade() -> None:
    op.add_column(_MESSAGES, sa.Column("search_parts", sa.Text()))
    lacking = sa.text("search_parts IS NULL AND pruned_at IS NULL")
    op.create_index(_INDEX, _MESSAGES, ["id"], sqlite_where=lacking, postgresql_where=lacking)
    _keep(_WATCHED, *_SQLITE_TEXT, _POSTGRES_TEXT, _POSTGRES_PARTS)


def downgrade() -> None:
    _keep()
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        # What the triggers of before take out of the index has no parts.
        for statement in (
            f"DROP TABLE {_SEARCH}",
            SQLITE_CREATE.removesuffix(")") + BEGINNINGS,
            SQLITE_MERGE,
            SQLITE_FILL,
        ):
            connection.exec_driver_sql(statement)
    op.drop_index(_INDEX, _MESSAGES)
    op.drop_column(_MESSAGES, "search_parts")


def _keep(*changes: tuple[str, str]) -> None:
    """The triggers of migration 0002, with these changes."""
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        statements = [f"DROP TRIGGER {_SEARCH}_{event}" for event in _EVENTS] + SQLITE_TRIGGERS
    else:
        statements = [f"DROP FUNCTION {_SEARCH}_keep() CASCADE", *POSTGRES_KEEP]
    for statement in statements:
        for old, new in changes:
            statement = statement.replace(old, new)
        connection.exec_driver_sql(statement)
