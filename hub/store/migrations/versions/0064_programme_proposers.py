"""programme_proposers: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0064"
down_revision = "0063"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0064_programme_proposers.sql``."""
    run_sql("0064_programme_proposers.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
