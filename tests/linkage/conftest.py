"""A small prefecture over a real database, as the tests of records have it."""

from tests.records.conftest import world

__all__ = ["world"]
