-- Rows that say that an adverse item of their key ended long ago, or did: refused for it, or purged. The settling of a pull
-- looks here for versions that are still shown (hub/records/settle.py).
CREATE INDEX held_row_ended ON ingest.held_row (source, source_key) WHERE reason = 13 OR purged_at IS NOT NULL;
