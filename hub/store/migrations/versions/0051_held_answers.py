"""held_answers: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0051_held_answers.sql``."""
    run_sql("0051_held_answers.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
