"""The peer: the same question answered by plain tables, Strawberry and DataLoader, as a careful developer would."""
