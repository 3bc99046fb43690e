"""reader_view: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0032_reader_view.sql``."""
    run_sql("0032_reader_view.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
