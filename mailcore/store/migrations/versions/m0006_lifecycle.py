"""What tells a mailbox that was renamed from one that is new, and when a mailbox was found to be no more.

Two columns, one with a default and one that may be null: a syncer of the version before goes on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_MAILBOXES = "mailbox_app_mailboxstate"


def upgrade() -> None:
    op.add_column(_MAILBOXES, sa.Column("objectid", sa.Text, nullable=False, server_default=sa.text("''")))
    op.add_column(_MAILBOXES, sa.Column("deleted_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column(_MAILBOXES, "deleted_at")
    op.drop_column(_MAILBOXES, "objectid")
