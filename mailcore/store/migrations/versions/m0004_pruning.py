"""When a message's content was removed because of its age; and the index by age leaves those rows out.

A process of the version before goes on: it writes rows that were not pruned. Its page of latencies reads the table for
lack of the index that it knew, until it is replaced.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_MESSAGES = "mailbox_app_mailmessage"
_INDEX = f"{_MESSAGES}_stored_idx"
_COLUMNS = ["stored_at", "pushed_at", "kind", "size"]


def upgrade() -> None:
    op.add_column(_MESSAGES, sa.Column("pruned_at", sa.DateTime(timezone=True)))
    op.drop_index(_INDEX, _MESSAGES)
    kept = sa.text("pruned_at IS NULL")
    op.create_index(_INDEX, _MESSAGES, _COLUMNS, sqlite_where=kept, postgresql_where=kept)


def downgrade() -> None:
    op.drop_index(_INDEX, _MESSAGES)
    op.create_index(_INDEX, _MESSAGES, _COLUMNS)
    op.drop_column(_MESSAGES, "pruned_at")
