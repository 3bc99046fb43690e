"""evidence_by_two: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0071"
down_revision = "0070"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0071_evidence_by_two.sql``."""
    run_sql("0071_evidence_by_two.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
