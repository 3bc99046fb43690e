"""reviews_apart: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0061"
down_revision = "0060"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0061_reviews_apart.sql``."""
    run_sql("0061_reviews_apart.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
