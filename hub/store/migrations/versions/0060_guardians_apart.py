"""guardians apart: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0060"
down_revision = "0059"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0060_guardians_apart.sql``."""
    run_sql("0060_guardians_apart.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
