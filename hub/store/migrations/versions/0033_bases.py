"""bases: see the SQL texts beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0033_bases.sql`` and ``0033_bases_gate.sql``."""
    run_sql("0033_bases.sql")
    run_sql("0033_bases_gate.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
