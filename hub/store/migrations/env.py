"""Alembic's entry: runs the migrations on the connection that hub/store/migrate.py hands over, in its transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], target_metadata=None)
context.run_migrations()
