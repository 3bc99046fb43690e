"""two_for_readers: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0069"
down_revision = "0068"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0069_two_for_readers.sql``."""
    run_sql("0069_two_for_readers.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
