-- What merging a million rows need not pay for.

-- The run is written before its rows, by the same code; a look-up for each row would prove it three million times.
ALTER TABLE ingest.held_row DROP CONSTRAINT held_row_first_run_fkey;

-- The rows of a run lie together, so the range of each stretch of the table finds them; only the report asks.
DROP INDEX ingest.held_row_run;
CREATE INDEX held_row_run ON ingest.held_row USING brin (first_run) WITH (pages_per_range = 32, autosummarize = on);

-- Rows are looked up by their key in the ledger alone.
DROP INDEX record.observation_key;

-- Nobody asks by row.
DROP INDEX record.touched_row;

-- Consents are noted set by set, like observations.
DROP TRIGGER consent_changed ON record.furnishing_consent;
CREATE OR REPLACE FUNCTION record.touch_consent() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO record.touched (row_id, kind, source, source_key)
    SELECT row_id, 'FURNISHING', source, consent_id FROM changed;
    RETURN NULL;
END
$$;
CREATE TRIGGER consent_added AFTER INSERT ON record.furnishing_consent
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION record.touch_consent();
CREATE TRIGGER consent_changed AFTER UPDATE ON record.furnishing_consent
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION record.touch_consent();
