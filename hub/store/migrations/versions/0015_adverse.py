"""adverse: see the SQL texts beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0015_adverse.sql`` and ``0015_expiry.sql``."""
    run_sql("0015_adverse.sql")
    run_sql("0015_expiry.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
