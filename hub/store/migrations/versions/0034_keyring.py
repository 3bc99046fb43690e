"""keyring: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0034_keyring.sql``."""
    run_sql("0034_keyring.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
