"""assistance: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0039_assistance.sql``."""
    run_sql("0039_assistance.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
