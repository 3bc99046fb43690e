"""guardians kept: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0052_guardians_kept.sql``."""
    run_sql("0052_guardians_kept.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
