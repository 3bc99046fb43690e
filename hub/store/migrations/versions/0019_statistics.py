"""statistics: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0019_statistics.sql``."""
    run_sql("0019_statistics.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
