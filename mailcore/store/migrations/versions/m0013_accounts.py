"""Accounts that are added by page, api and command.

A table that the version before does not know.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0013"
down_revision = "0011"
branch_labels = None
depends_on = None

_ACCOUNTS = "mailbox_app_account"
_JSON = sa.JSON().with_variant(JSONB(), "postgresql")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        _ACCOUNTS,
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.Identity(always=False),
            primary_key=True,
        ),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("settings", _JSON, nullable=False),
        sa.Column("secrets", sa.Text(), nullable=False),
        sa.Column("added_at", _TIME, nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
        sa.Column("paused_at", _TIME),
        sa.Column("removed_at", _TIME),
        sa.UniqueConstraint("name", name="mailbox_app_account_name_uniq"),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    op.drop_table(_ACCOUNTS)
