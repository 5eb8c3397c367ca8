"""What runs of `mozzart verify` found.

A table that the version before does not know.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0007"
branch_labels = None
depends_on = None

_REPORTS = "mailbox_app_verifyreport"
_JSON = sa.JSON().with_variant(JSONB(), "postgresql")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        _REPORTS,
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.Identity(always=False),
            primary_key=True,
        ),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME),
        sa.Column("by", sa.String(20), nullable=False),
        sa.Column("account", sa.Text()),
        sa.Column("mailbox", sa.Text()),
        sa.Column("deep", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("totals", _JSON, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("findings", _JSON, nullable=False, server_default=sa.text("'[]'")),
        sa.Column("failed", _JSON, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("error", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("position", _JSON),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    op.drop_table(_REPORTS)
