"""Whether the mail of an account that was removed goes, too.

A column with a default, which the version before need not know: its accounts are removed without their mail.
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_ACCOUNTS = "mailbox_app_account"


def upgrade() -> None:
    op.add_column(_ACCOUNTS, sa.Column("deletes_mail", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column(_ACCOUNTS, "deletes_mail")
