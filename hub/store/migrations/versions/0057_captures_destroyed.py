"""captures_destroyed: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0057_captures_destroyed.sql``."""
    run_sql("0057_captures_destroyed.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
