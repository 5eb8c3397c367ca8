"""What accounts have fetched of their budgets.

A table that the version before does not know.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_BUDGETS = "mailbox_app_budget"


def upgrade() -> None:
    op.create_table(
        _BUDGETS,
        sa.Column("account", sa.Text(), primary_key=True),
        sa.Column("hours", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("octets", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table(_BUDGETS)
