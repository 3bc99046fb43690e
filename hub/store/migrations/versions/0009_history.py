"""history: see the SQL texts beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0009_history.sql``, ``0009_merged.sql`` and ``0009_replay.sql``."""
    run_sql("0009_history.sql")
    run_sql("0009_merged.sql")
    run_sql("0009_replay.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
