"""The identity that had the bytes of a copy first.

One column that may be null: a consumer of the version before goes on, and stores copies as what they are to it, mail.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_MESSAGES = "mailbox_app_mailmessage"


def upgrade() -> None:
    op.add_column(_MESSAGES, sa.Column("origin", sa.Text()))


def downgrade() -> None:
    op.drop_column(_MESSAGES, "origin")
