"""What a mailbox's server lists and does not give.

One column with a default: a syncer of the version before goes on, and tells of nothing that is refused.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_MAILBOXES = "mailbox_app_mailboxstate"
_JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column(_MAILBOXES, sa.Column("refused", _JSON, nullable=False, server_default=sa.text("'[]'")))


def downgrade() -> None:
    op.drop_column(_MAILBOXES, "refused")
