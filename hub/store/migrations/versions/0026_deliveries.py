"""deliveries: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0026_deliveries.sql``."""
    run_sql("0026_deliveries.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
