"""benefits: see the SQL texts beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0044_benefits.sql`` and ``0044_benefits_gate.sql``."""
    run_sql("0044_benefits.sql")
    run_sql("0044_benefits_gate.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
