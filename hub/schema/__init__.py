"""The GraphQL edge: schema, limits, and the HTTP view. It calls flows and nothing below them but the core."""
