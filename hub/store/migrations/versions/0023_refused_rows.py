"""refused_rows: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0023_refused_rows.sql``."""
    run_sql("0023_refused_rows.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
