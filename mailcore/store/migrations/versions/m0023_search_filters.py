"""What few messages have is found at once: flags that lists are filtered by, and on PostgreSQL words of the subject.

Indexes, which the version before need not know.
"""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_MESSAGES = "mailbox_app_mailmessage"
# As in mailcore/store/search.py and mailcore/store/schema.py, letter by letter: else no query uses the index.
_SUBJECT = "to_tsvector('simple'::regconfig, mailbox_app_fold(\"left\"(subject, 10000)))"
_HAS = {"sqlite": "instr(flags, '\"\\\\{name}\"') > 0", "postgresql": "flags ? '\\{name}'"}
_FLAGS = {"flagged": ("Flagged", ""), "unread": ("Seen", "NOT "), "answered": ("Answered", "")}


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    for index, (name, unless) in _FLAGS.items():
        kept = f"{unless}({_HAS[dialect].format(name=name)})"
        op.execute(f"CREATE INDEX {_MESSAGES}_{index}_idx ON {_MESSAGES} (received_at, id) WHERE {kept}")
    if dialect == "postgresql":
        op.execute(f"CREATE INDEX {_MESSAGES}_subject_idx ON {_MESSAGES} USING gin (({_SUBJECT}))")


def downgrade() -> None:
    for index in _FLAGS:
        op.execute(f"DROP INDEX {_MESSAGES}_{index}_idx")
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"DROP INDEX {_MESSAGES}_subject_idx")
