"""Flags that follow those of the server.

Two columns that may be null: a consumer of the version before stores flags as they were when a message was fetched.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0009"
branch_labels = None
depends_on = None

_MAILBOXES = "mailbox_app_mailboxstate"
_MESSAGES = "mailbox_app_mailmessage"


def upgrade() -> None:
    op.add_column(_MAILBOXES, sa.Column("flags_modseq", sa.BigInteger))
    op.add_column(_MESSAGES, sa.Column("flags_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column(_MESSAGES, "flags_at")
    op.drop_column(_MAILBOXES, "flags_modseq")
