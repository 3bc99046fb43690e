"""sign_in: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0024_sign_in.sql``."""
    run_sql("0024_sign_in.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
