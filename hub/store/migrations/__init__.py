"""Schema migrations: one SQL text each, applied in order, forward only."""
