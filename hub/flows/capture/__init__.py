"""Consent on paper, delivered by a collector's device and verified by a reviewer."""
