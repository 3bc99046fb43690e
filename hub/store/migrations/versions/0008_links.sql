-- Links that a reviewer decides, and the scored candidates that help him.

-- What a reviewer decided about a row that does not name a person properly. Append-only: a later decision on the same
-- key stands beside the earlier one. It goes on to hold for new versions of the row while the hint, that is, what the
-- row says about the person, stays the same. County: of the person linked to, 000000 where the decision names nobody.
CREATE TABLE record.link_decision (
    county         char(6)     NOT NULL,
    decision_id    uuid        NOT NULL,
    source         text        NOT NULL,
    source_key     text        NOT NULL,
    number         int         NOT NULL,   -- counts the decisions on this key from 1
    row_id         uuid        NOT NULL,   -- the version of the row that the reviewer saw
    hint_index     bytea       NOT NULL,   -- keyed hash of the hint
    verdict        text        NOT NULL CHECK (verdict IN ('LINK', 'UNLINK', 'NONE')),
    person_id      uuid,                   -- LINK: the person; UNLINK: whom the row was linked to
    identity_index bytea,                  -- of the number that the person had then; leads to him after a merge
    member_no      text,
    steward        text        NOT NULL,
    sealed_reason  bytea       NOT NULL,   -- purpose decision, context = decision_id
    decided_at     timestamptz NOT NULL,
    event          uuid        NOT NULL,   -- the audit entry
    PRIMARY KEY (county, decision_id),
    CHECK ((verdict = 'NONE') = (person_id IS NULL))
);
-- Two reviewers cannot both make the decision that follows the same one.
CREATE UNIQUE INDEX link_decision_key ON record.link_decision (source, source_key, number);

-- Whom a row may mean, scored by the linkage model. Derived: each scoring writes the proposals of its rows anew.
-- `evidence` holds the level of agreement per attribute and its weight, never a value.
CREATE TABLE record.link_proposal (
    county      char(6)     NOT NULL,      -- of the person when scored
    row_id      uuid        NOT NULL,
    person_id   uuid        NOT NULL,
    member_no   text        NOT NULL,
    band        text        NOT NULL CHECK (band IN ('A', 'B', 'C', 'D')),
    score       real        NOT NULL,      -- probability that this person is meant
    evidence    jsonb       NOT NULL,
    model       text        NOT NULL,
    scored_at   timestamptz NOT NULL,
    PRIMARY KEY (county, row_id, person_id)
);
CREATE INDEX link_proposal_row ON record.link_proposal (row_id);
CREATE INDEX link_proposal_person ON record.link_proposal (person_id);

-- The review queue: current facts by the state of their link.
CREATE INDEX observation_reviewed ON record.observation (link, source)
    WHERE link IN ('PROBABLE', 'REVIEW', 'UNLINKED', 'CONFIRMED') AND recorded_to = 'infinity';

GRANT SELECT, INSERT ON record.link_decision TO hub_ingest;
GRANT SELECT, INSERT, UPDATE, DELETE ON record.link_proposal TO hub_ingest;

-- The closed list of audit events, with those of reviews.
CREATE OR REPLACE FUNCTION audit.check_pending() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_wrong text := CASE
        WHEN NEW.kind NOT IN ('query', 'write', 'consent', 'connector', 'admin', 'erasure', 'shard') THEN 'kind'
        WHEN NEW.event NOT IN (
            'account:operator:changed',
            'client:operator:changed',
            'consent:client:requested',
            'consent:hub:expired',
            'consent:resident:granted',
            'consent:resident:refused',
            'consent:resident:suspended',
            'consent:resident:withdrawn',
            'consent:steward:revoked',
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
            'quarantine:steward:exported',
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
