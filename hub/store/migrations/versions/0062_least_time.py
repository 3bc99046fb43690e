"""least time: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0062"
down_revision = "0061"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0062_least_time.sql``."""
    run_sql("0062_least_time.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
