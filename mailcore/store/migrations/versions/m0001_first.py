"""Mailbox states, messages, attachments, former identities."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_TIME = sa.DateTime(timezone=True)


def _id() -> "sa.Column[int]":
    return sa.Column("id", _BIG_ID, sa.Identity(always=False), primary_key=True)


def upgrade() -> None:
    op.create_table(
        "mailbox_app_mailboxstate",
        _id(),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("mailbox", sa.Text, nullable=False),
        sa.Column("uidvalidity", sa.BigInteger),
        sa.Column("uidnext", sa.BigInteger),
        sa.Column("highestmodseq", sa.BigInteger),
        sa.Column("last_uid", sa.BigInteger),
        sa.Column("message_count", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("stored_count", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("sweep_found_missed", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("first_seen_at", _TIME),
        sa.Column("first_uidvalidity", sa.BigInteger),
        sa.Column("first_uidnext", sa.BigInteger),
        sa.Column("last_push_at", _TIME),
        sa.Column("last_sync_at", _TIME),
        sa.Column("last_sync_status", sa.String(20), nullable=False, server_default=sa.text("''")),
        sa.Column("last_error", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.Column("last_error_at", _TIME),
        sa.UniqueConstraint("account", "mailbox", name="mailbox_app_mailboxstate_account_mailbox_uniq"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "mailbox_app_mailmessage",
        _id(),
        sa.Column("mailbox_id", sa.BigInteger, sa.ForeignKey("mailbox_app_mailboxstate.id"), nullable=False),
        sa.Column("uidvalidity", sa.BigInteger, nullable=False),
        sa.Column("uid", sa.BigInteger, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("has_attachments", sa.Boolean, nullable=False),
        sa.Column("received_at", _TIME, nullable=False),
        sa.Column("sent_at", _TIME),
        sa.Column("stored_at", _TIME, nullable=False),
        sa.Column("expunged_at", _TIME),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("from_name", sa.Text, nullable=False),
        sa.Column("from_email", sa.Text, nullable=False),
        sa.Column("to_emails", _JSON, nullable=False),
        sa.Column("cc_emails", _JSON, nullable=False),
        sa.Column("reply_to", _JSON, nullable=False),
        sa.Column("in_reply_to", sa.Text, nullable=False),
        sa.Column("references_ids", _JSON, nullable=False),
        sa.Column("flags", _JSON, nullable=False),
        sa.Column("defects", _JSON, nullable=False),
        sa.Column("headers", _JSON, nullable=False),
        sa.Column("body_text", sa.Text, nullable=False),
        sa.Column("body_html", sa.Text, nullable=False),
        sa.UniqueConstraint("mailbox_id", "uidvalidity", "uid", name="mailbox_app_mailmessage_identity_uniq"),
        sqlite_autoincrement=True,
    )
    present = sa.text("expunged_at IS NULL")
    op.create_index(
        "mailbox_app_mailmessage_present_idx",
        "mailbox_app_mailmessage",
        ["mailbox_id", "uidvalidity", "uid"],
        sqlite_where=present,
        postgresql_where=present,
    )
    op.create_table(
        "mailbox_app_mailattachment",
        _id(),
        sa.Column(
            "message_id",
            sa.BigInteger,
            sa.ForeignKey("mailbox_app_mailmessage.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("part_id", sa.Text, nullable=False),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("content_type", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("content_id", sa.Text, nullable=False),
        sa.Column("inline", sa.Boolean, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.UniqueConstraint("message_id", "part_id", name="mailbox_app_mailattachment_part_uniq"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "mailbox_app_mailformeridentity",
        _id(),
        sa.Column("mailbox_id", sa.BigInteger, sa.ForeignKey("mailbox_app_mailboxstate.id"), nullable=False),
        sa.Column("uidvalidity", sa.BigInteger, nullable=False),
        sa.Column("uid", sa.BigInteger, nullable=False),
        sa.Column(
            "message_id",
            sa.BigInteger,
            sa.ForeignKey("mailbox_app_mailmessage.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.UniqueConstraint("mailbox_id", "uidvalidity", "uid", name="mailbox_app_mailformeridentity_uniq"),
        sqlite_autoincrement=True,
    )
    op.create_index("mailbox_app_mailformeridentity_message_idx", "mailbox_app_mailformeridentity", ["message_id"])


def downgrade() -> None:
    for table in ("formeridentity", "attachment", "message", "boxstate"):
        op.drop_table(f"mailbox_app_mail{table}")
