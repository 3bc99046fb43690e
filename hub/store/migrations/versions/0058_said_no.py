"""said_no: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0058"
down_revision = "0057"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0058_said_no.sql``."""
    run_sql("0058_said_no.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
