"""Statements become one household record, and its ready-made sections."""
