"""What begins so is found at once: SQLite's full text knows the beginnings of words, up to four letters.

Without them a search for `a*` merges all that is known of each word that begins so, in one go that nothing can
interrupt: seconds, with 200,000 messages. The index is made anew out of the messages. PostgreSQL needs none of this.
"""

from alembic import op

from mailcore.store.migrations.versions.m0002_reading import SQLITE_CREATE, SQLITE_FILL, SQLITE_MERGE

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SEARCH = "mailbox_app_mailsearch"
BEGINNINGS = ", prefix='1 2 3 4')"


def upgrade() -> None:
    _make_anew(SQLITE_CREATE.removesuffix(")") + BEGINNINGS)


def downgrade() -> None:
    _make_anew(SQLITE_CREATE)


def _make_anew(create: str) -> None:
    """The triggers stay: they name the table, whatever its index is like."""
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        for statement in (f"DROP TABLE {_SEARCH}", create, SQLITE_MERGE, SQLITE_FILL):
            connection.exec_driver_sql(statement)
