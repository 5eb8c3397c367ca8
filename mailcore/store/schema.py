"""The tables. Their names and column kinds are those of the Django application that they replace, so that it can read
them.

`alembic` migrations make them; a test holds the migrations to this module.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from mailcore.imap.flag import ANSWERED, FLAGGED, SEEN


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in Python; naive UTC text on SQLite and `timestamptz` on PostgreSQL, as Django keeps them with
    USE_TZ."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone: {value!r}")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_ESCAPE: Final = "\ufffd"
_TO_ESCAPE: Final = re.compile("[\x00\ud800-\udfff\ufffd]")
_ESCAPED: Final = re.compile("\ufffd([0-9a-f]{4})")


class NameText(TypeDecorator[str]):
    """Any name at all, also one with NUL or lone surrogates (a mailbox name that is no modified UTF-7), reversibly:
    such a character becomes U+FFFD and four hexadecimal digits, and so does U+FFFD."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return _TO_ESCAPE.sub(lambda found: f"{_ESCAPE}{ord(found[0]):04x}", value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), value)


# Django's BigAutoField. SQLite autoincrements nothing but INTEGER PRIMARY KEY.
BigId: Final[TypeEngine[int]] = BigInteger().with_variant(Integer(), "sqlite")
Json: Final[TypeEngine[Any]] = JSON().with_variant(JSONB(), "postgresql")
# Where null is "nobody knows", None is no JSON.
JsonOrNull: Final[TypeEngine[Any]] = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

metadata = MetaData()


def _id() -> Column[int]:
    return Column("id", BigId, Identity(always=False), primary_key=True)


# Written by the syncer alone (I6). A row is one mailbox; its generation is its UIDVALIDITY.
mailboxes: Final = Table(
    "mailbox_app_mailboxstate",
    metadata,
    _id(),
    Column("account", NameText, nullable=False),
    Column("mailbox", NameText, nullable=False),
    Column("uidvalidity", BigInteger),
    Column("uidnext", BigInteger),
    Column("highestmodseq", BigInteger),
    Column("last_uid", BigInteger),
    Column("message_count", BigInteger, nullable=False, server_default=text("0")),
    Column("stored_count", BigInteger, nullable=False, server_default=text("0")),
    Column("sweep_found_missed", BigInteger, nullable=False, server_default=text("0")),
    Column("first_seen_at", UtcDateTime),
    Column("first_uidvalidity", BigInteger),
    Column("first_uidnext", BigInteger),
    Column("last_push_at", UtcDateTime),
    Column("last_sync_at", UtcDateTime),
    Column("last_sync_status", String(20), nullable=False, server_default=text("''")),
    Column("last_error", Text, nullable=False, server_default=text("''")),
    Column("last_error_at", UtcDateTime),
    # What the server lists and does not give: `row.Refused`, in the order of the UIDs.
    Column("refused", Json, nullable=False, server_default=text("'[]'")),
    # RFC 8474, MAILBOXID, where the server tells one; when the mailbox was found to be no more.
    Column("objectid", Text, nullable=False, server_default=text("''")),
    Column("deleted_at", UtcDateTime),
    # Up to here the rows follow the changes of flags; null: nobody knows.
    Column("flags_modseq", BigInteger),
    UniqueConstraint("account", "mailbox", name="mailbox_app_mailboxstate_account_mailbox_uniq"),
    sqlite_autoincrement=True,
)

# Written by the consumers alone (I6). The small columns stand first: SQLite walks the overflow pages of a long row to
# reach what stands behind its text. Whatever a sender can make long is Text, so that no length is an error.
messages: Final = Table(
    "mailbox_app_mailmessage",
    metadata,
    _id(),
    Column("mailbox_id", BigInteger, ForeignKey(mailboxes.c.id), nullable=False),
    Column("uidvalidity", BigInteger, nullable=False),
    Column("uid", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("has_attachments", Boolean, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("stored_at", UtcDateTime, nullable=False),
    Column("expunged_at", UtcDateTime),
    Column("message_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("from_name", Text, nullable=False),
    Column("from_email", Text, nullable=False),
    Column("to_emails", Json, nullable=False),
    Column("cc_emails", Json, nullable=False),
    Column("reply_to", Json, nullable=False),
    Column("in_reply_to", Text, nullable=False),
    Column("references_ids", Json, nullable=False),
    Column("flags", Json, nullable=False),
    Column("defects", Json, nullable=False),
    Column("headers", Json, nullable=False),
    Column("body_text", Text, nullable=False),
    Column("body_html", Text, nullable=False),
    # The way here; null in rows of before, and of messages that came otherwise. Text to search in where the message has
    # HTML alone.
    Column("pushed_at", UtcDateTime),
    Column("published_at", UtcDateTime),
    Column("stream_seq", BigInteger),
    Column("kind", String(20)),
    Column("found_by", String(20)),
    Column("search_text", Text),
    # When retention took the content away: whatever a sender wrote is empty since, and nobody is shown the row.
    Column("pruned_at", UtcDateTime),
    # The identity, as in the events, that had the same bytes first; null unless the message is a copy.
    Column("origin", Text),
    # When `flags` became others than those that it was stored with.
    Column("flags_at", UtcDateTime),
    # The display names of `to_emails` and `cc_emails`, one for each address; null in rows of before.
    Column("to_names", JsonOrNull),
    Column("cc_names", JsonOrNull),
    # What more there is to search in (mailcore/store/parts.py); null: a version before did not know of it.
    Column("search_parts", Text),
    # What the server calls the bytes and their thread in all mailboxes (RFC 8474, Gmail), and Gmail's labels as they
    # were when the message was fetched; null where it does not tell.
    Column("email_id", String(255)),
    Column("thread_id", String(255)),
    Column("labels", JsonOrNull),
    # I1, I4: the identity is the key; this constraint, not the stream's duplicate window, is what makes "once".
    UniqueConstraint("mailbox_id", "uidvalidity", "uid", name="mailbox_app_mailmessage_identity_uniq"),
    sqlite_autoincrement=True,
)
# What a sweep reads: 200,000 UIDs come from this index alone, without touching the rows.
Index(
    "mailbox_app_mailmessage_present_idx",
    messages.c.mailbox_id,
    messages.c.uidvalidity,
    messages.c.uid,
    sqlite_where=messages.c.expunged_at.is_(None),
    postgresql_where=messages.c.expunged_at.is_(None),
)

# The orders in which messages are read: the newest of all, of a mailbox, of what is gone; how long each took, and which
# is the oldest that holds anything.
Index("mailbox_app_mailmessage_recent_idx", messages.c.received_at, messages.c.id)
Index("mailbox_app_mailmessage_mailbox_idx", messages.c.mailbox_id, messages.c.received_at, messages.c.id)
Index(
    "mailbox_app_mailmessage_expunged_idx",
    messages.c.received_at,
    messages.c.id,
    sqlite_where=messages.c.expunged_at.is_not(None),
    postgresql_where=messages.c.expunged_at.is_not(None),
)
Index(
    "mailbox_app_mailmessage_stored_idx",
    messages.c.stored_at,
    messages.c.pushed_at,
    messages.c.kind,
    messages.c.size,
    sqlite_where=messages.c.pruned_at.is_(None),
    postgresql_where=messages.c.pruned_at.is_(None),
)
# A hash, as a B-tree of PostgreSQL refuses what is longer than a third of its page.
Index(
    "mailbox_app_mailmessage_message_id_idx",
    messages.c.message_id,
    postgresql_using="hash",
    sqlite_where=messages.c.pruned_at.is_(None),
    postgresql_where=messages.c.pruned_at.is_(None),
)
# Which rows still lack their `search_parts`.
Index(
    "mailbox_app_mailmessage_unsearched_idx",
    messages.c.id,
    sqlite_where=messages.c.search_parts.is_(None) & messages.c.pruned_at.is_(None),
    postgresql_where=messages.c.search_parts.is_(None) & messages.c.pruned_at.is_(None),
)


def has_flag(name: str, dialect: str) -> str:
    """SQL: whether a message has the system flag. Letter by letter as in migration 0023: else no query uses these."""
    return f"(instr(flags, '{json.dumps(name)}') > 0)" if dialect == "sqlite" else f"(flags ? '{name}')"


def _index_by_flag(name: str, flag: str, *, without: bool = False) -> None:
    where = ("NOT " if without else "") + "{}"
    Index(
        f"mailbox_app_mailmessage_{name}_idx",
        messages.c.received_at,
        messages.c.id,
        sqlite_where=text(where.format(has_flag(flag, "sqlite"))),
        postgresql_where=text(where.format(has_flag(flag, "postgresql"))),
    )


_index_by_flag("flagged", FLAGGED)
_index_by_flag("unread", SEEN, without=True)
_index_by_flag("answered", ANSWERED)

attachments: Final = Table(
    "mailbox_app_mailattachment",
    metadata,
    _id(),
    Column("message_id", BigInteger, ForeignKey(messages.c.id, ondelete="CASCADE"), nullable=False),
    Column("part_id", Text, nullable=False),
    Column("filename", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("content_id", Text, nullable=False),
    Column("inline", Boolean, nullable=False),
    Column("file", Text, nullable=False),
    UniqueConstraint("message_id", "part_id", name="mailbox_app_mailattachment_part_uniq"),
    sqlite_autoincrement=True,
)

# Rows of events whose `stored` may never have been told: NATS may lose the event of a backfill that was taken from it
# (MAIL_BACKFILL is synced later), and the consumer end in between. Empty but for the last second.
untold: Final = Table(
    "mailbox_app_untold",
    metadata,
    Column(
        "message_id", BigInteger, ForeignKey(messages.c.id, ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
)

# The identities that a row had before UIDVALIDITY changed (I7). A late redelivery under a former identity finds its row
# here and does not become a second one.
formers: Final = Table(
    "mailbox_app_mailformeridentity",
    metadata,
    _id(),
    Column("mailbox_id", BigInteger, ForeignKey(mailboxes.c.id), nullable=False),
    Column("uidvalidity", BigInteger, nullable=False),
    Column("uid", BigInteger, nullable=False),
    Column("message_id", BigInteger, ForeignKey(messages.c.id, ondelete="CASCADE"), nullable=False),
    UniqueConstraint("mailbox_id", "uidvalidity", "uid", name="mailbox_app_mailformeridentity_uniq"),
    Index("mailbox_app_mailformeridentity_message_idx", "message_id"),
    sqlite_autoincrement=True,
)

# Written by whoever people tell about accounts: the api and `mozzart accounts` (I6). `settings` are those of an account
# that nobody need hide, `secrets` are encrypted. The row of a removed one stays, as whoever has a part of it must hear.
accounts: Final = Table(
    "mailbox_app_account",
    metadata,
    _id(),
    Column("name", NameText, nullable=False),
    Column("settings", Json, nullable=False),
    Column("secrets", Text, nullable=False),
    Column("added_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("paused_at", UtcDateTime),
    Column("removed_at", UtcDateTime),
    # Its mail goes, too: the messages by the consumers, then the mailboxes by the syncer.
    Column("deletes_mail", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("name", name="mailbox_app_account_name_uniq"),
    sqlite_autoincrement=True,
)

# Written by `mozzart verify` and `mozzart verifier` alone, which are one program (I6): a row is one run. `account` and
# `mailbox` are null where nothing was left out; `position` is where a deep run was when it last told.
verify_reports: Final = Table(
    "mailbox_app_verifyreport",
    metadata,
    _id(),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("by", String(20), nullable=False),
    Column("account", NameText),
    Column("mailbox", NameText),
    Column("deep", Boolean, nullable=False),
    Column("status", String(20), nullable=False),
    Column("totals", Json, nullable=False, server_default=text("'{}'")),
    Column("findings", Json, nullable=False, server_default=text("'[]'")),
    Column("failed", Json, nullable=False, server_default=text("'{}'")),
    Column("error", Text, nullable=False, server_default=text("''")),
    Column("position", Json),
    sqlite_autoincrement=True,
)

# Written by mailcore.oauth alone, whichever process it runs in, under the account's lock (I6). The tokens are encrypted
# (mailcore/secrets.py); `configuration` is a hash of what they belong to, `refresh_token` "" where there is none.
tokens: Final = Table(
    "mailbox_app_token",
    metadata,
    Column("account", NameText, primary_key=True),
    Column("configuration", String(64), nullable=False),
    Column("refresh_token", Text, nullable=False),
    Column("access_token", Text, nullable=False),
    Column("replaced_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

# Written by whoever makes and revokes them, the api and `mozzart tokens`; the api notes when each was last used (I6).
# `key` is the part of the token that names it, `digest` the SHA-256 of the whole, which is kept nowhere.
api_tokens: Final = Table(
    "mailbox_app_apitoken",
    metadata,
    _id(),
    Column("key", String(8), nullable=False),
    Column("name", Text, nullable=False),
    Column("scopes", Json, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    UniqueConstraint("key", name="mailbox_app_apitoken_key_uniq"),
    sqlite_autoincrement=True,
)
Index(
    "mailbox_app_apitoken_name_uniq",
    api_tokens.c.name,
    unique=True,
    sqlite_where=api_tokens.c.revoked_at.is_(None),
    postgresql_where=api_tokens.c.revoked_at.is_(None),
)

# Written by the syncer alone (I6): what each account with a budget has fetched. `hours` are pairs of an hour since 1970
# and bytes; `messages` of older mail have `octets` together.
budgets: Final = Table(
    "mailbox_app_budget",
    metadata,
    Column("account", NameText, primary_key=True),
    Column("hours", Json, nullable=False),
    Column("messages", BigInteger, nullable=False),
    Column("octets", BigInteger, nullable=False),
)

# Written by whoever lets people do something, the api and the commands (I6): nothing in it is changed, the oldest go
# (AUDIT_MAX_AGE). `who` and `object` may be what a stranger wrote.
audit_entries: Final = Table(
    "mailbox_app_auditentry",
    metadata,
    _id(),
    Column("at", UtcDateTime, nullable=False),
    Column("action", String(30), nullable=False),
    Column("by", String(20), nullable=False),
    Column("who", NameText, nullable=False),
    Column("address", Text, nullable=False),
    Column("object", NameText, nullable=False),
    Column("count", BigInteger, nullable=False),
    Index("mailbox_app_auditentry_at_idx", "at"),
    sqlite_autoincrement=True,
)
