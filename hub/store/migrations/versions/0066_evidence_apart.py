"""evidence_apart: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0066"
down_revision = "0065"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0066_evidence_apart.sql``."""
    run_sql("0066_evidence_apart.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
