"""guardians: see the SQL texts beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0042_guardians.sql``, ``0042_minors.sql`` and ``0042_minors_gate.sql``."""
    run_sql("0042_guardians.sql")
    run_sql("0042_minors.sql")
    run_sql("0042_minors_gate.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
