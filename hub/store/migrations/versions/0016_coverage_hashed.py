"""coverage hashed: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0016_coverage_hashed.sql``."""
    run_sql("0016_coverage_hashed.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
