"""Access rules and rules of precedence on their way into force, checked, and explained."""
