"""consent_states: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the three ``0025_*.sql``, in this order."""
    for part in ("states", "steps", "gate"):
        run_sql(f"0025_consent_{part}.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
