"""What a server calls a message, its thread and its labels.

Columns that may be null, which the version before does not know.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_MESSAGES = "mailbox_app_mailmessage"


def upgrade() -> None:
    op.add_column(_MESSAGES, sa.Column("email_id", sa.String(255), nullable=True))
    op.add_column(_MESSAGES, sa.Column("thread_id", sa.String(255), nullable=True))
    op.add_column(_MESSAGES, sa.Column("labels", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=True))


def downgrade() -> None:
    for name in ("labels", "thread_id", "email_id"):
        op.drop_column(_MESSAGES, name)
