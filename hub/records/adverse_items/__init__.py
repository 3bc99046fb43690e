"""Adverse items: regimes, ends, statements, repairs."""
