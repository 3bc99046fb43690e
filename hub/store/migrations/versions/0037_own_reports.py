"""own_reports: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0037_own_reports.sql``."""
    run_sql("0037_own_reports.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
