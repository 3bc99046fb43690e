"""adverse_marks: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0020_adverse_marks.sql``."""
    run_sql("0020_adverse_marks.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
