"""refused_ends: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0021_refused_ends.sql``."""
    run_sql("0021_refused_ends.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
