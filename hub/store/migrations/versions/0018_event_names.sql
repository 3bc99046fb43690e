-- The list of audit events becomes a table: a later event is one INSERT. hub/audit/events.py says what each one means.

CREATE TABLE audit.event_name (
    name text PRIMARY KEY CHECK (name ~ '^[a-z_]+:[a-z_]+:[a-z_]+$')
);

-- Whether a name is on the list. A lookup in the table would cost the outbox's trigger a query for every row that is
-- written; so the list also stands as a constant in a function that is made anew whenever the table gets a name. The
-- planner puts its body into the caller's expression, and plans anew when the function has changed.
CREATE FUNCTION audit.write_is_event() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format(
        'CREATE OR REPLACE FUNCTION audit.is_event(p_name text) RETURNS boolean LANGUAGE sql IMMUTABLE '
        'RETURN p_name = ANY (%L::text[])',
        (SELECT array_agg(e.name ORDER BY e.name) FROM audit.event_name e));
    RETURN NULL;
END $$;
CREATE TRIGGER write_is_event AFTER INSERT ON audit.event_name
    FOR EACH STATEMENT EXECUTE FUNCTION audit.write_is_event();

-- A name is never reused with another meaning, so none is ever taken off.
CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.event_name
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();

INSERT INTO audit.event_name (name) VALUES
    ('account:operator:changed'),
    ('adverse:hub:purged'),
    ('answer:auditor:replayed'),
    ('challenge:hub:closed'),
    ('challenge:hub:opened'),
    ('challenge:steward:closed'),
    ('challenge:steward:exported'),
    ('challenge:steward:listed'),
    ('client:operator:changed'),
    ('consent:client:requested'),
    ('consent:hub:expired'),
    ('consent:resident:granted'),
    ('consent:resident:refused'),
    ('consent:resident:suspended'),
    ('consent:resident:withdrawn'),
    ('consent:steward:revoked'),
    ('coverage:official:queried'),
    ('history:resident:queried'),
    ('household:resident:queried'),
    ('household:steward:shown'),
    ('key:operator:rotated'),
    ('link:hub:scored'),
    ('link:steward:decided'),
    ('link:steward:listed'),
    ('link:steward:shown'),
    ('log:auditor:exported'),
    ('log:auditor:queried'),
    ('log:sequencer:closed'),
    ('log:sequencer:opened'),
    ('person:operator:erased'),
    ('precedence:operator:loaded'),
    ('profile:client:queried'),
    ('quarantine:steward:discarded'),
    ('quarantine:steward:exported'),
    ('quarantine:steward:listed'),
    ('quarantine:steward:rechecked'),
    ('quarantine:steward:released'),
    ('quarantine:steward:repaired'),
    ('quarantine:steward:shown'),
    ('record:hub:folded'),
    ('record:resident:annotated'),
    ('record:steward:amended'),
    ('rules:operator:loaded'),
    ('schema:operator:migrated'),
    ('scorecard:official:queried'),
    ('source:connector:failed'),
    ('source:connector:pulled'),
    ('subjects:sequencer:counted'),
    ('token:operator:issued'),
    ('token:operator:revoked');

-- What a row of the outbox must look like. It runs as the owner, so those who write rows need no right to the list.
CREATE OR REPLACE FUNCTION audit.check_pending() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_wrong text := CASE
        WHEN NEW.kind NOT IN ('query', 'write', 'consent', 'connector', 'admin', 'erasure', 'shard') THEN 'kind'
        WHEN NOT audit.is_event(NEW.event) THEN 'event'
        WHEN octet_length(NEW.organisation) > 64 OR NEW.organisation ~ '[^A-Za-z0-9._:-]' THEN 'organisation'
        WHEN octet_length(NEW.purpose) NOT BETWEEN 1 AND 40 OR NEW.purpose ~ '[^A-Z_]' THEN 'purpose'
        WHEN NEW.decision NOT IN ('allow', 'deny', 'mask') THEN 'decision'
        WHEN octet_length(NEW.policy) NOT BETWEEN 1 AND 80 OR NEW.policy ~ '[^A-Za-z0-9._:+-]' THEN 'policy'
        WHEN octet_length(NEW.operation) <> 32 THEN 'operation'
        WHEN cardinality(NEW.subjects) > 1000 THEN 'subjects'
        WHEN jsonb_typeof(NEW.facts) <> 'object' THEN 'facts'
    END;
BEGIN
    IF v_wrong IS NOT NULL THEN
        RAISE EXCEPTION 'the % of a row for audit.pending is not in order', v_wrong USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

REVOKE ALL ON FUNCTION audit.write_is_event, audit.is_event FROM PUBLIC;
