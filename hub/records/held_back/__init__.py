"""Rows in quarantine: listed, opened, let out, aged."""
