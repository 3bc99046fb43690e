"""bases_found: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0072"
down_revision = "0071"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0072_bases_found.sql``."""
    run_sql("0072_bases_found.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
