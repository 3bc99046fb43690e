-- What a steward does with a row in quarantine: repair, release, discard. Only ever added to.

-- CLOSED: was in quarantine until a steward repaired it (the repaired row is a row of its own) or discarded it. It is
-- kept so that the same row is recognised when it comes again, and never judged again.
ALTER TABLE ingest.held_row DROP CONSTRAINT held_row_state_check;
ALTER TABLE ingest.held_row ADD CONSTRAINT held_row_state_check CHECK (state IN ('VALID', 'QUARANTINED', 'CLOSED'));

ALTER TABLE ingest.source_state ADD COLUMN agreement_no text;
ALTER TABLE ingest.quarantine ADD COLUMN contract text;        -- by which it was refused, such as tax-rest/1.3
ALTER TABLE ingest.quarantine ADD COLUMN closed_at timestamptz;
CREATE INDEX quarantine_open ON ingest.quarantine (source, number) WHERE status = 'OPEN';

CREATE FUNCTION ingest.note_closing() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.closed_at := CASE WHEN NEW.status = 'CLEARED' THEN clock_timestamp() END;
    RETURN NEW;
END
$$;
CREATE TRIGGER quarantine_closed BEFORE UPDATE OF status ON ingest.quarantine
    FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION ingest.note_closing();

-- `fingerprint`: keyed hash of what was asked, so that the same act asked again is not done again. `row_id`: the row that
-- counts since. The reason and, of a repair, both values of every corrected field are sealed (context = act_id).
CREATE TABLE ingest.quarantine_act (
    act_id        uuid PRIMARY KEY,
    number        bigint NOT NULL REFERENCES ingest.quarantine,
    act           text NOT NULL CHECK (act IN ('REPAIRED', 'RELEASED', 'DISCARDED')),
    steward       text NOT NULL,
    acted_at      timestamptz NOT NULL,
    ev            uuid NOT NULL,
    contract      text NOT NULL,
    fields        text[] NOT NULL DEFAULT '{}',
    fingerprint   bytea NOT NULL,
    row_id        uuid REFERENCES ingest.held_row,
    sealed_reason bytea NOT NULL,
    sealed_values bytea,
    CHECK ((act = 'REPAIRED') = (sealed_values IS NOT NULL))
);
CREATE INDEX quarantine_act_number ON ingest.quarantine_act (number);
CREATE INDEX quarantine_act_row ON ingest.quarantine_act (row_id) WHERE row_id IS NOT NULL;

CREATE FUNCTION ingest.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION 'what a steward did is never changed' USING ERRCODE = 'HB001';
END $$;
CREATE TRIGGER quarantine_act_is_final BEFORE UPDATE OR DELETE OR TRUNCATE ON ingest.quarantine_act
    FOR EACH STATEMENT EXECUTE FUNCTION ingest.refuse_change();

GRANT SELECT, INSERT ON ingest.quarantine_act TO hub_ingest;

-- The closed list of audit events, with those of quarantine and coverage.
CREATE OR REPLACE FUNCTION audit.check_pending() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_wrong text := CASE
        WHEN NEW.kind NOT IN ('query', 'write', 'consent', 'connector', 'admin', 'erasure', 'shard') THEN 'kind'
        WHEN NEW.event NOT IN (
            'account:operator:changed',
            'answer:auditor:replayed',
            'client:operator:changed',
            'consent:client:requested',
            'consent:hub:expired',
            'consent:resident:granted',
            'consent:resident:refused',
            'consent:resident:suspended',
            'consent:resident:withdrawn',
            'consent:steward:revoked',
            'coverage:official:queried',
            'history:resident:queried',
            'household:resident:queried',
            'household:steward:shown',
            'key:operator:rotated',
            'link:hub:scored',
            'link:steward:decided',
            'link:steward:shown',
            'log:auditor:exported',
            'log:auditor:queried',
            'log:sequencer:closed',
            'log:sequencer:opened',
            'person:operator:erased',
            'profile:client:queried',
            'quarantine:steward:discarded',
            'quarantine:steward:exported',
            'quarantine:steward:listed',
            'quarantine:steward:rechecked',
            'quarantine:steward:released',
            'quarantine:steward:repaired',
            'quarantine:steward:shown',
            'record:hub:folded',
            'rules:operator:loaded',
            'schema:operator:migrated',
            'source:connector:failed',
            'source:connector:pulled',
            'subjects:sequencer:counted',
            'token:operator:issued',
            'token:operator:revoked') THEN 'event'
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
