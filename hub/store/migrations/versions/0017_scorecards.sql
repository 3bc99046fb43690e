-- Scorecards of sources: what the readers of statistics may count, and the audit event of reading them.

GRANT USAGE ON SCHEMA record TO hub_auditor;
GRANT SELECT (source, cause, opened_at) ON record.challenge TO hub_auditor;

-- The list of audit events with one more.
CREATE OR REPLACE FUNCTION audit.check_pending() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_wrong text := CASE
        WHEN NEW.kind NOT IN ('query', 'write', 'consent', 'connector', 'admin', 'erasure', 'shard') THEN 'kind'
        WHEN NEW.event NOT IN (
            'account:operator:changed',
            'adverse:hub:purged',
            'answer:auditor:replayed',
            'challenge:hub:closed',
            'challenge:hub:opened',
            'challenge:steward:closed',
            'challenge:steward:exported',
            'challenge:steward:listed',
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
            'precedence:operator:loaded',
            'profile:client:queried',
            'quarantine:steward:discarded',
            'quarantine:steward:exported',
            'quarantine:steward:listed',
            'quarantine:steward:rechecked',
            'quarantine:steward:released',
            'quarantine:steward:repaired',
            'quarantine:steward:shown',
            'record:hub:folded',
            'record:resident:annotated',
            'record:steward:amended',
            'rules:operator:loaded',
            'schema:operator:migrated',
            'scorecard:official:queried',
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
