"""key_folder: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0044_key_folder.sql``."""
    run_sql("0044_key_folder.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
