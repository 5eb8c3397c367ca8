"""Names of recipients, and messages by the thread that they belong to.

Columns that may be null and an index, which the version before need not know. A Message-ID may be longer than a B-tree
of PostgreSQL takes: a hash there.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_MESSAGES = "mailbox_app_mailmessage"
_INDEX = f"{_MESSAGES}_thread_idx"
_NAMES = sa.JSON().with_variant(JSONB(), "postgresql")
# As in mailcore/store/threads.py, letter by letter: else no query uses the index.
_ROOT = {
    "sqlite": "coalesce(json_extract(references_ids, '$[0]'), nullif(in_reply_to, ''))",
    "postgresql": "coalesce(references_ids ->> 0, nullif(in_reply_to, ''))",
}
_KIND = {"sqlite": "", "postgresql": "USING hash "}


def upgrade() -> None:
    for name in ("to_names", "cc_names"):
        op.add_column(_MESSAGES, sa.Column(name, _NAMES, nullable=True))
    dialect = op.get_bind().dialect.name
    root = _ROOT[dialect]
    op.execute(f"CREATE INDEX {_INDEX} ON {_MESSAGES} {_KIND[dialect]}(({root})) WHERE ({root}) IS NOT NULL")


def downgrade() -> None:
    op.execute(f"DROP INDEX {_INDEX}")
    for name in ("to_names", "cc_names"):
        op.drop_column(_MESSAGES, name)
