"""withdrawals_settled: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0063"
down_revision = "0062"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0063_withdrawals_settled.sql``."""
    run_sql("0063_withdrawals_settled.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
