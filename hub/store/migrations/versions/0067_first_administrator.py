"""first_administrator: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0067"
down_revision = "0066"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0067_first_administrator.sql``."""
    run_sql("0067_first_administrator.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
