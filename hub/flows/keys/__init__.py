"""Rotation of keys, backups and the drill."""
