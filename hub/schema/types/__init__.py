"""The types of the schema; their field names are the keys of the record's sections."""
