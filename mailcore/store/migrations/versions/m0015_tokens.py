"""The tokens of accounts that log in by OAuth, encrypted.

A table that the version before does not know.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_TOKENS = "mailbox_app_token"
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        _TOKENS,
        sa.Column("account", sa.Text(), primary_key=True),
        sa.Column("configuration", sa.String(64), nullable=False),
        sa.Column("refresh_token", sa.Text(), nullable=False),
        sa.Column("access_token", sa.Text(), nullable=False),
        sa.Column("replaced_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
    )


def downgrade() -> None:
    op.drop_table(_TOKENS)
