"""scorecards: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0017_scorecards.sql``."""
    run_sql("0017_scorecards.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
