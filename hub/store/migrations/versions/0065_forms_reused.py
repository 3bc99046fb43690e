"""forms_reused: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0065"
down_revision = "0064"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0065_forms_reused.sql``."""
    run_sql("0065_forms_reused.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
