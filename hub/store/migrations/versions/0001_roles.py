"""roles: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0001_roles.sql``."""
    run_sql("0001_roles.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
