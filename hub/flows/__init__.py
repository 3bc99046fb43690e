"""Flows: one file for each use case. A flow owns the transaction and is the only place where capabilities meet."""
