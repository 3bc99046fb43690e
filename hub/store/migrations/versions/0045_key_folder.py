"""key_folder: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0045_key_folder.sql``."""
    run_sql("0045_key_folder.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
