"""alarms_again: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0048_alarms_again.sql``."""
    run_sql("0048_alarms_again.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
