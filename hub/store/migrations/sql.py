"""Runs the SQL text that stands beside a migration."""

from pathlib import Path

from alembic import op

_FOLDER = Path(__file__).parent / "versions"


def run_sql(name: str) -> None:
    """Execute the whole file as one multi-statement text inside the migration's transaction."""
    op.get_bind().exec_driver_sql((_FOLDER / name).read_text())
