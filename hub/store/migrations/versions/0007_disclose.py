"""disclose: see the SQL texts beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0007_rulings.sql`` and ``0007_disclose.sql``."""
    run_sql("0007_rulings.sql")
    run_sql("0007_disclose.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
