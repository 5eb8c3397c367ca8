"""Which rows may never have been told of by `stored`.

A table that the version before does not know.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_UNTOLD = "mailbox_app_untold"


def upgrade() -> None:
    op.create_table(
        _UNTOLD,
        sa.Column(
            "message_id",
            sa.BigInteger(),
            sa.ForeignKey("mailbox_app_mailmessage.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
    )


def downgrade() -> None:
    op.drop_table(_UNTOLD)
