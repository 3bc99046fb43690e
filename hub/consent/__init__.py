"""Consent: what a person agreed to, word for word and signed, and the basis that a disclosure rests on."""
