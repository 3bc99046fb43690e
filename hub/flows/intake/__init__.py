"""Agencies are read, and the record is brought up to date."""
