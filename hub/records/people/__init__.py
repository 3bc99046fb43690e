"""People and households: ids behind numbers, life events, membership, guardianship."""
