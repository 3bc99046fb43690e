"""Delivered rows: judged, stored, counted."""
