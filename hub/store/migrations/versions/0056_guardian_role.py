"""guardian role: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0056"
down_revision = "0055"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0056_guardian_role.sql``."""
    run_sql("0056_guardian_role.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
