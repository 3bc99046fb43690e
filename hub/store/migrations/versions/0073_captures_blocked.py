"""captures_blocked: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0073"
down_revision = "0072"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0073_captures_blocked.sql``."""
    run_sql("0073_captures_blocked.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
