"""no_counts: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0074"
down_revision = "0073"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0074_no_counts.sql``."""
    run_sql("0074_no_counts.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
