"""Who may see what: the rules as Cedar text, compiled by full enumeration into the table that the database applies."""
