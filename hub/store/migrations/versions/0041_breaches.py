"""breaches: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0041_breaches.sql``."""
    run_sql("0041_breaches.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
