"""own_accounts: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0036_own_accounts.sql``."""
    run_sql("0036_own_accounts.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
