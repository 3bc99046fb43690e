"""unfolded: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0022_unfolded.sql``."""
    run_sql("0022_unfolded.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
