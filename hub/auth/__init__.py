"""Tokens: who may ask. The authorization server on Authlib's grant and token cores, and the check of access tokens.

A token is never the proof of consent and carries neither role nor organisation: those are read from the database in the
statement that judges the request.
"""
