"""Questions of organisations about one person, and what may leave."""
