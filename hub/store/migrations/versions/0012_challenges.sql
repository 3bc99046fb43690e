-- Precedence between sources: the written rules, and what the sources are asked because of them.

-- Every version of a rule that was ever in force (docs/PRECEDENCE.md). Insert-only: sections and past answers name a
-- rule by attribute and version, so neither may ever mean something else.
CREATE TABLE record.precedence_rule (
    attribute    text        NOT NULL,
    version      int         NOT NULL CHECK (version > 0),
    digest       bytea       NOT NULL,     -- SHA-256 of the body
    body         text        NOT NULL,     -- canonical JSON of the rule
    signature    bytea       NOT NULL,     -- by the hub's key for rules
    published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (attribute, version),
    CHECK (digest = sha256(convert_to(body, 'UTF8')))
);
CREATE FUNCTION record.refuse_rule_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION 'a rule of precedence is never changed once it is published' USING ERRCODE = 'HB001';
END $$;
CREATE TRIGGER precedence_rule_is_final BEFORE UPDATE OR DELETE OR TRUNCATE ON record.precedence_rule
    FOR EACH STATEMENT EXECUTE FUNCTION record.refuse_rule_change();

-- A source is asked to look again at one of its rows, which lost against another statement or went stale. `stated` is a
-- keyed hash of what the row says: a new version that says the same goes on under the same challenge, and what a steward
-- found right or undecidable is not asked again. County: of the household when it was opened; it follows the person.
CREATE TABLE record.challenge (
    county       char(6)     NOT NULL,
    challenge_id uuid        NOT NULL,
    person_id    uuid        NOT NULL,
    household_id uuid        NOT NULL,     -- in whose record it was found
    source       text        NOT NULL,
    source_key   text        NOT NULL,
    attribute    text        NOT NULL,
    version      text        NOT NULL,     -- of the row when it was opened
    cause        text        NOT NULL CHECK (cause IN ('LOST', 'STALE')),
    rule_version int         NOT NULL,
    stated       bytea       NOT NULL,
    opened_at    timestamptz NOT NULL,
    due_on       date        NOT NULL,
    outcome      text CHECK (outcome IN ('CORRECTED', 'UPHELD', 'INCONCLUSIVE', 'DISSOLVED')),
    closed_at    timestamptz,
    closed_by    text,                     -- `hub`, or the steward's account
    PRIMARY KEY (county, challenge_id),
    CHECK ((outcome IS NULL) = (closed_at IS NULL) AND (outcome IS NULL) = (closed_by IS NULL))
);
CREATE UNIQUE INDEX challenge_open ON record.challenge (county, source, source_key, attribute) WHERE closed_at IS NULL;
CREATE INDEX challenge_person ON record.challenge (person_id);
CREATE INDEX challenge_household ON record.challenge (household_id) WHERE closed_at IS NULL;
CREATE INDEX challenge_source ON record.challenge (source, challenge_id);
CREATE INDEX challenge_only ON record.challenge (challenge_id);

GRANT SELECT ON record.precedence_rule TO hub_ingest, hub_app;
GRANT SELECT, INSERT, UPDATE (county, outcome, closed_at, closed_by) ON record.challenge TO hub_ingest;

-- Further events of the audit log.
CREATE OR REPLACE FUNCTION audit.check_pending() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_wrong text := CASE
        WHEN NEW.kind NOT IN ('query', 'write', 'consent', 'connector', 'admin', 'erasure', 'shard') THEN 'kind'
        WHEN NEW.event NOT IN (
            'account:operator:changed',
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
