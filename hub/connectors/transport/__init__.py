"""How to talk to agencies: one file per kind of wire, used by the agencies above it."""
