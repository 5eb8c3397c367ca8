"""Tokens for programs that use the api, of which the hash alone is kept.

A table that the version before does not know.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0017"
down_revision = "0012"
branch_labels = None
depends_on = None

_TOKENS = "mailbox_app_apitoken"
_JSON = sa.JSON().with_variant(JSONB(), "postgresql")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        _TOKENS,
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.Identity(always=False),
            primary_key=True,
        ),
        sa.Column("key", sa.String(8), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", _JSON, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("made_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME),
        sa.Column("last_used_at", _TIME),
        sa.Column("revoked_at", _TIME),
        sa.UniqueConstraint("key", name="mailbox_app_apitoken_key_uniq"),
        sqlite_autoincrement=True,
    )
    not_revoked = sa.text("revoked_at IS NULL")
    op.create_index(
        "mailbox_app_apitoken_name_uniq",
        _TOKENS,
        ["name"],
        unique=True,
        sqlite_where=not_revoked,
        postgresql_where=not_revoked,
    )


def downgrade() -> None:
    op.drop_table(_TOKENS)
