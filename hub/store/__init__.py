"""PostgreSQL and keys: where the hub keeps things."""
