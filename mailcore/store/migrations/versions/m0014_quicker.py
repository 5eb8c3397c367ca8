r"""PostgreSQL stores a message in less time.

Text is folded as before, up to blanks: those between words stay as they are, where each was a match to replace, and
what is ASCII has no accents to take off. Long values are compressed by LZ4 where the server has it, which takes a
fraction of pglz's time for a little more room. What is stored stays as it is. SQLite needs none of this.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_COLUMNS = {
    "mailbox_app_mailmessage": ("headers", "body_text", "body_html", "search_text"),
    "mailbox_app_mailsearch": ("document", "sender"),
}
_FOLD = r"""CREATE OR REPLACE FUNCTION mailbox_app_fold(value text)
    RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT lower((regexp_replace(
        {bare},
        '[{controls}\u003a-\u0040\u005b-\u0060\u007b-\u00a9\u00ab-\u00b1\u00b6-\u00b8\u00bb\u00bf\u00d7\u00f7'
        '\u2000-\u206f\u3000-\u3004\u3008-\u3020\u3030]+', ' ', 'g')){collation})
    $$"""
_BARE = r"regexp_replace(normalize(value, NFD), '[\u0300-\u036f]+', '', 'g')"
_CONTROLS = r"\u0001-\u002f"
_HAS_LZ4 = "SELECT 'lz4' = ANY(enumvals) FROM pg_settings WHERE name = 'default_toast_compression'"


def upgrade() -> None:
    _change(
        f"CASE WHEN octet_length(value) = length(value) THEN value ELSE {_BARE} END",
        r"\u0001-\u0008\u000e-\u001f\u0021-\u002f",
        "lz4",
    )


def downgrade() -> None:
    _change(_BARE, _CONTROLS, "default")


def _change(bare: str, controls: str, compression: str) -> None:
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        return
    icu = connection.exec_driver_sql("SELECT count(*) FROM pg_collation WHERE collname = 'und-x-icu'").scalar()
    statement = _FOLD.replace("{bare}", bare).replace("{controls}", controls)
    connection.exec_driver_sql(statement.replace("{collation}", ' COLLATE "und-x-icu"' if icu else ""))
    # PostgreSQL 13 has no such setting, and a server may be built without LZ4.
    if connection.exec_driver_sql(_HAS_LZ4).scalar():
        for table, columns in _COLUMNS.items():
            for column in columns:
                connection.exec_driver_sql(f"ALTER TABLE {table} ALTER COLUMN {column} SET COMPRESSION {compression}")
