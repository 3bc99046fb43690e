"""Accounts, sign-in, officers and the systems of organisations."""
