"""alerts: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0035_alerts.sql``."""
    run_sql("0035_alerts.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
