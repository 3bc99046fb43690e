"""Runs the SQL text that stands beside a migration."""

from pathlib import Path

from alembic import op

_FOLDER = Path(__file__).parent / "versions"


def run_sql(name: str) -> None:
    """Execute the whole file as one multi-statement text inside the migration's transaction."""
    # The leading statement keeps notices out and makes a text of comments alone a valid one.
    sql = "SET LOCAL client_min_messages = warning;\n" + (_FOLDER / name).read_text(encoding="utf-8")
    # SQLAlchemy prepares what it sends, and only single statements can be prepared: the text goes to the driver itself.
    connection = op.get_bind().connection.dbapi_connection
    assert connection is not None, "a bound connection has its driver"
    connection.run_async(lambda driver: driver.execute(sql))
