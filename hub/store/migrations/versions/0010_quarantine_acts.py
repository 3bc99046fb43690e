"""quarantine acts: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0010_quarantine_acts.sql``."""
    run_sql("0010_quarantine_acts.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
