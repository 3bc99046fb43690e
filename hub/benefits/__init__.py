"""Benefit programmes: what one asks of a record, as data, and the answer that comes of it (docs/BENEFITS.md)."""
