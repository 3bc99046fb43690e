"""two_people: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0040_two_people.sql``."""
    run_sql("0040_two_people.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
