"""one_person: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0046_one_person.sql``."""
    run_sql("0046_one_person.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
