"""What the hub holds: the ledger of delivered rows, quarantine, observations, persons, households, sections."""
