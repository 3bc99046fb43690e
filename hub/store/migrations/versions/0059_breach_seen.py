"""breach seen: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0059"
down_revision = "0058"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0059_breach_seen.sql``."""
    run_sql("0059_breach_seen.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
