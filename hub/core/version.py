"""The version of the code, as entries of the audit log and reports name it."""

VERSION = "0.1.0"
"""Equal to the version in pyproject.toml (kept so by a test)."""
