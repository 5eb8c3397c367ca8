"""The way of a message, the orders in which messages are read, full text.

Only additions, each nullable or kept by the database itself: consumers of the version before go on meanwhile and after.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_MESSAGES = "mailbox_app_mailmessage"
_SEARCH = "mailbox_app_mailsearch"
_TIME = sa.DateTime(timezone=True)
_INDEXES = {
    f"{_MESSAGES}_recent_idx": ["received_at", "id"],
    f"{_MESSAGES}_mailbox_idx": ["mailbox_id", "received_at", "id"],
    f"{_MESSAGES}_stored_idx": ["stored_at", "pushed_at", "kind", "size"],
}
_NEW: dict[str, sa.types.TypeEngine[Any]] = {
    "pushed_at": _TIME,
    "published_at": _TIME,
    "stream_seq": sa.BigInteger(),
    "kind": sa.String(20),
    "found_by": sa.String(20),
    "search_text": sa.Text(),
}

_WATCHED = (
    "received_at, subject, from_name, from_email, to_emails, cc_emails, body_text, body_html, search_text,"
    " mailbox_id, has_attachments"
)
# Without text the HTML is better than nothing: rows that consumers of the version before write have no search_text.
_BODY = "coalesce({row}.search_text, CASE {row}.body_text WHEN '' THEN {row}.body_html ELSE {row}.body_text END)"

_SQLITE_KEY = (
    "max(-17179869184, min(17179869183, coalesce(CAST(strftime('%s', {row}.received_at) AS INTEGER), 0))) * 536870912"
    " + {row}.id"
)
_SQLITE_COLUMNS = "rowid, subject, sender, recipients, body, facets"
_SQLITE_VALUES = (
    f"{_SQLITE_KEY},"
    " substr({row}.subject, 1, 10000),"
    " substr({row}.from_name || ' ' || {row}.from_email, 1, 10000),"
    " substr({row}.to_emails || ' ' || {row}.cc_emails, 1, 50000),"
    f" substr({_BODY}, 1, 100000),"
    " 'mailbox' || {row}.mailbox_id || CASE {row}.has_attachments WHEN 0 THEN ' plain' ELSE ' attachments' END"
)
# S608: what is put into these statements is written in this file.
_SQLITE_ADD = f"INSERT INTO {_SEARCH}({_SQLITE_COLUMNS}) VALUES ({_SQLITE_VALUES.format(row='new')});"  # noqa: S608  # see above
_SQLITE_REMOVE = (
    f"INSERT INTO {_SEARCH}({_SEARCH}, {_SQLITE_COLUMNS}) VALUES ('delete', {_SQLITE_VALUES.format(row='old')});"  # noqa: S608  # see above
)
_SQLITE = (
    # No copy of the text (content=''), no lengths (columnsize=0): nothing is ranked, the newest come first.
    f"CREATE VIRTUAL TABLE {_SEARCH} USING fts5(subject, sender, recipients, body, facets,"
    " content='', columnsize=0, tokenize='unicode61 remove_diacritics 2')",
    # Merge seldom: a batch costs a quarter less, and a search hardly more.
    f"INSERT INTO {_SEARCH}({_SEARCH}, rank) VALUES ('automerge', 16), ('crisismerge', 32)",  # noqa: S608  # see above
    f"CREATE TRIGGER {_SEARCH}_insert AFTER INSERT ON {_MESSAGES} BEGIN {_SQLITE_ADD} END",
    f"CREATE TRIGGER {_SEARCH}_delete AFTER DELETE ON {_MESSAGES} BEGIN {_SQLITE_REMOVE} END",
    f"CREATE TRIGGER {_SEARCH}_update AFTER UPDATE OF {_WATCHED} ON {_MESSAGES}"
    f" BEGIN {_SQLITE_REMOVE} {_SQLITE_ADD} END",
    # All that is stored already.
    f"INSERT INTO {_SEARCH}({_SQLITE_COLUMNS})"  # noqa: S608  # see above
    f" SELECT {_SQLITE_VALUES.format(row='message')} FROM {_MESSAGES} message ORDER BY received_at, id",
)
SQLITE_CREATE, SQLITE_MERGE, *SQLITE_TRIGGERS, SQLITE_FILL = _SQLITE

# A tsvector holds 1 MB at most: so much text, even of four bytes a character and one character a word, stays below it.
_POSTGRES_SENDER = "to_tsvector('simple', left(mailbox_app_fold({row}.from_name || ' ' || {row}.from_email), 10000))"
_POSTGRES_DOCUMENT = (
    "to_tsvector('simple',"
    " left(mailbox_app_fold(left({row}.subject, 10000)), 10000)"
    " || ' ' || left(mailbox_app_fold(left({row}.from_name || ' ' || {row}.from_email, 10000)), 10000)"
    " || ' ' || left(mailbox_app_fold(left({row}.to_emails::text || ' ' || {row}.cc_emails::text, 50000)), 50000)"
    f" || ' ' || left(mailbox_app_fold(left({_BODY}, 100000)), 100000))"
)
_POSTGRES = (
    # Accents go, and whatever would make PostgreSQL's parser see more than words (addresses, hosts, tags, numbers).
    r"""CREATE FUNCTION mailbox_app_fold(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT lower((regexp_replace(
        regexp_replace(normalize(value, NFD), '[\u0300-\u036f]+', '', 'g'),
        '[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00a9\u00ab-\u00b1\u00b6-\u00b8\u00bb\u00bf\u00d7\u00f7'
        '\u2000-\u206f\u3000-\u3004\u3008-\u3020\u3030]+', ' ', 'g')){collation})
    $$""",
    f"CREATE TABLE {_SEARCH} ("
    f" message_id bigint PRIMARY KEY REFERENCES {_MESSAGES}(id) ON DELETE CASCADE,"
    " document tsvector NOT NULL, sender tsvector NOT NULL)",
    f"""CREATE FUNCTION {_SEARCH}_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO {_SEARCH}(message_id, document, sender)
    VALUES (new.id, {_POSTGRES_DOCUMENT.format(row="new")}, {_POSTGRES_SENDER.format(row="new")})
    ON CONFLICT (message_id) DO UPDATE SET document = excluded.document, sender = excluded.sender;
    RETURN NULL;
    END $$""",  # noqa: S608  # see above
    f"CREATE TRIGGER {_SEARCH}_keep AFTER INSERT OR UPDATE OF {_WATCHED} ON {_MESSAGES}"
    f" FOR EACH ROW EXECUTE FUNCTION {_SEARCH}_keep()",
    f"INSERT INTO {_SEARCH}(message_id, document, sender)"  # noqa: S608  # see above
    f" SELECT id, {_POSTGRES_DOCUMENT.format(row='message')}, {_POSTGRES_SENDER.format(row='message')}"
    f" FROM {_MESSAGES} message",
    f"CREATE INDEX {_SEARCH}_document_idx ON {_SEARCH} USING gin (document)",
    f"CREATE INDEX {_SEARCH}_sender_idx ON {_SEARCH} USING gin (sender)",
)
_, _, *POSTGRES_KEEP = _POSTGRES[:4]


def upgrade() -> None:
    for name, kind in _NEW.items():
        op.add_column(_MESSAGES, sa.Column(name, kind))
    for name, columns in _INDEXES.items():
        op.create_index(name, _MESSAGES, columns)
    expunged = sa.text("expunged_at IS NOT NULL")
    op.create_index(
        f"{_MESSAGES}_expunged_idx",
        _MESSAGES,
        ["received_at", "id"],
        sqlite_where=expunged,
        postgresql_where=expunged,
    )
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        for statement in _SQLITE:
            connection.exec_driver_sql(statement)
        return
    # A database in the locale C knows no lower case but of ASCII; ICU does, where it was built in.
    icu = connection.exec_driver_sql("SELECT count(*) FROM pg_collation WHERE collname = 'und-x-icu'").scalar()
    collation = ' COLLATE "und-x-icu"' if icu else ""
    for statement in _POSTGRES:
        connection.exec_driver_sql(statement.replace("{collation}", collation))


def downgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        for event in ("insert", "delete", "update"):
            op.execute(f"DROP TRIGGER {_SEARCH}_{event}")
    else:
        op.execute(f"DROP FUNCTION {_SEARCH}_keep() CASCADE")
    op.execute(f"DROP TABLE {_SEARCH}")
    if connection.dialect.name != "sqlite":
        op.execute("DROP FUNCTION mailbox_app_fold(text)")
    for name in (*_INDEXES, f"{_MESSAGES}_expunged_idx"):
        op.drop_index(name, _MESSAGES)
    for name in _NEW:
        op.drop_column(_MESSAGES, name)
