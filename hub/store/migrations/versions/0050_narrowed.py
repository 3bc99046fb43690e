"""narrowed: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0050_narrowed.sql``."""
    run_sql("0050_narrowed.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
