"""Pages. So far one: an explorer to try queries with."""
