"""captures: see the SQL texts beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the three parts in order."""
    run_sql("0043_captures.sql")
    run_sql("0043_captures_taken.sql")
    run_sql("0043_captures_review.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
