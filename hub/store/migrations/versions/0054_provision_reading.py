"""provision_reading: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0054_provision_reading.sql``."""
    run_sql("0054_provision_reading.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
