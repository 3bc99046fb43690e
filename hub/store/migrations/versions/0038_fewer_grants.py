"""fewer_grants: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0038_fewer_grants.sql``."""
    run_sql("0038_fewer_grants.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
