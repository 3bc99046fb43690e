"""captures_kept_open: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0070"
down_revision = "0069"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0070_captures_kept_open.sql``."""
    run_sql("0070_captures_kept_open.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
