"""eligibility_reviews: see the SQL text beside this file."""

from hub.store.migrations.sql import run_sql

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply ``0053_eligibility_reviews.sql``."""
    run_sql("0053_eligibility_reviews.sql")


def downgrade() -> None:
    """Migrations go forward only: history is never rewritten."""
    raise RuntimeError("restore a backup instead of downgrading")
