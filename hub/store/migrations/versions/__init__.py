"""The SQL texts and the few lines that run each."""
