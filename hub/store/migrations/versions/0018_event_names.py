"""event_names: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0018_event_names.sql``."""
    run_sql("0018_event_names.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
