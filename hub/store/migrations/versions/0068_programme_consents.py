"""programme_consents: see the SQL texts beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0068"
down_revision = "0067"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0068_programme_consents.sql`` and ``0068_programme_consents_gate.sql``."""
    run_sql("0068_programme_consents.sql")
    run_sql("0068_programme_consents_gate.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
