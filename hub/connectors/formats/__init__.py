"""What agencies deliver, turned into checked rows: one file per format. Pure: bytes and values in, rows out."""
