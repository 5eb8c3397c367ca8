"""Messages by Message-ID.

An index, which the version before need not know. A Message-ID may be longer than a B-tree of PostgreSQL takes: a hash
there.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0008"
branch_labels = None
depends_on = None

_MESSAGES = "mailbox_app_mailmessage"
_INDEX = f"{_MESSAGES}_message_id_idx"


def upgrade() -> None:
    kept = sa.text("pruned_at IS NULL")
    op.create_index(
        _INDEX, _MESSAGES, ["message_id"], postgresql_using="hash", sqlite_where=kept, postgresql_where=kept
    )


def downgrade() -> None:
    op.drop_index(_INDEX, _MESSAGES)
