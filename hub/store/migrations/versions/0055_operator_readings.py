"""operator_readings: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0055_operator_readings.sql``."""
    run_sql("0055_operator_readings.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
