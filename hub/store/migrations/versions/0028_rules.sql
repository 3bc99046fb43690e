-- Access rules that can be explained, compared and approved: their words are kept with their digest, the record of a
-- decision says in which circumstances it was made, and two administrators sign before rules come into force.

-- The words of the rules, their schema, roles and parts (hub/access/rules.py); null for those published before.
ALTER TABLE access.policy_set ADD COLUMN source text;
-- As what the hub works before the law (hub/access/legal_modes.toml).
ALTER TABLE access.policy_set ADD COLUMN legal_mode text NOT NULL DEFAULT 'LICENSED_BUREAU'
    CHECK (legal_mode IN ('LICENSED_BUREAU', 'PUBLIC_PLATFORM', 'FINANCIAL_DATABASE'));

-- The kinds of basis that may be relied on under a set of rules.
CREATE TABLE access.mode_basis (
    digest bytea NOT NULL REFERENCES access.policy_set,
    kind   text  NOT NULL,
    PRIMARY KEY (digest, kind)
);

-- A set of rules that waits to come into force. `changes`: whose view changes against `previous`, as it was approved.
CREATE TABLE access.policy_proposal (
    digest         bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
    previous       bytea CHECK (octet_length(previous) = 32),
    source         text NOT NULL,
    legal_mode     text NOT NULL,
    changes        text NOT NULL,
    effective_from timestamptz NOT NULL,
    proposed_at    timestamptz NOT NULL,
    proposed_by    text NOT NULL
);

-- Keys of security administrators, for approvals only. A key that was taken back stays, for the approvals made with it.
CREATE TABLE access.approver (
    account_id    text NOT NULL REFERENCES auth.account,
    public_key    bytea NOT NULL UNIQUE CHECK (octet_length(public_key) = 32),
    registered_at timestamptz NOT NULL,
    revoked_at    timestamptz,
    PRIMARY KEY (account_id, public_key)
);
CREATE UNIQUE INDEX approver_key ON access.approver (account_id) WHERE revoked_at IS NULL;

-- An Ed25519 signature over the proposal (hub/access/approvals.py).
CREATE TABLE access.policy_approval (
    digest      bytea NOT NULL REFERENCES access.policy_proposal,
    account_id  text NOT NULL,
    public_key  bytea NOT NULL,
    signature   bytea NOT NULL CHECK (octet_length(signature) = 64),
    approved_at timestamptz NOT NULL,
    PRIMARY KEY (digest, account_id),
    FOREIGN KEY (account_id, public_key) REFERENCES access.approver
);

-- How far decisions were run again through Cedar, and what was found. One row.
CREATE TABLE access.shadow (
    one            boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq            bigint NOT NULL DEFAULT -1,  -- the last entry of the log that was looked at
    checked        bigint NOT NULL DEFAULT 0,
    differed       bigint NOT NULL DEFAULT 0,
    unacknowledged bigint NOT NULL DEFAULT 0,
    checked_at     timestamptz
);
INSERT INTO access.shadow DEFAULT VALUES;
GRANT USAGE ON SCHEMA access TO hub_ingest;
GRANT SELECT, UPDATE ON access.shadow TO hub_ingest;
GRANT SELECT ON access.shadow TO hub_auditor;

-- The words of the rules of a digest; no row where they never were in force here.
CREATE FUNCTION access.rule_source(p_digest bytea)
RETURNS TABLE (source text, effective_from timestamptz, retired_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT s.source, s.effective_from, s.retired_at FROM access.policy_set s WHERE s.digest = p_digest
$$;

-- The digest of the rules in force.
CREATE FUNCTION access.rules_in_force() RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT s.digest FROM access.policy_set s WHERE s.retired_at IS NULL
$$;

-- Whether a kind of basis may be relied on as long as the rules in force are.
CREATE FUNCTION access.basis_allowed(p_kind text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM access.policy_set s JOIN access.mode_basis b ON b.digest = s.digest
                   WHERE s.retired_at IS NULL AND b.kind = p_kind)
$$;

-- What became of a basis.
CREATE FUNCTION access.basis_now(p_basis uuid) RETURNS TABLE (status text, ended_at timestamptz, expires_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT b.status, b.ended_at, b.expires_at FROM consent.basis b WHERE b.basis_id = p_basis
$$;

-- Which link of a person's open chain an entry is; no value where it is none.
CREATE FUNCTION audit.place_in_chain(p_ev uuid, p_subject uuid) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT d.n FROM audit.entry e JOIN audit.detail d ON d.log_id = e.log_id AND d.seq = e.seq
    WHERE e.ev = p_ev AND d.subject = p_subject AND d.chain = 0
$$;

-- Differences that nobody has acknowledged yet.
CREATE FUNCTION access.shadow_differences() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT s.unacknowledged FROM access.shadow s
$$;

-- The circumstances in which the person named was decided on, by the names of the rules; what hangs on the basis is
-- read from the basis. A denial names the basis too, if there was one: what it did not cover is why.
CREATE FUNCTION access.with_circumstances(p_asked access.asked, p_answer access.answer, p_persons text) RETURNS text
LANGUAGE sql STABLE AS $$
    -- The person named stands first: a quoted id and an opening brace, 40 characters.
    SELECT left(told.persons, 40) || '"circumstances":['
           || concat_ws(',', CASE WHEN p_asked.adult THEN '"adult"' END, CASE WHEN p_asked.in_area THEN '"inArea"' END,
                        CASE WHEN p_asked.role <> 'RESIDENT' AND auth.has_second_factor(p_asked.token)
                             THEN '"secondFactor"' END)
           || '],' || CASE WHEN p_persons IS NULL AND p_answer.basis_id IS NOT NULL
                           THEN '"basis":"' || p_answer.basis_id || '",' ELSE '' END
           || substr(told.persons, 41)
    FROM (SELECT coalesce(p_persons, '"' || p_asked.found_id || '":{"named":true}') AS persons) told
$$;

-- As in 0007, with the circumstances.
CREATE OR REPLACE FUNCTION access.record_of(
    p_asked access.asked, p_answer access.answer, p_cause text, p_persons text, p_digest bytea
) RETURNS audit.pending
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ROW(
        p_asked.ev, p_answer.as_of, 'query',
        CASE p_asked.role WHEN 'RESIDENT' THEN 'household:resident:queried'
                          WHEN 'STEWARD' THEN 'household:steward:shown' ELSE 'profile:client:queried' END,
        p_asked.organisation_id, p_asked.actor, p_asked.purpose,
        CASE WHEN p_persons IS NULL THEN 'deny' WHEN cardinality(p_answer.withheld) > 0 THEN 'mask' ELSE 'allow' END,
        encode(p_digest, 'hex'), p_asked.operation, p_asked.county,
        CASE WHEN p_asked.found_id IS NULL THEN '{}' ELSE p_asked.found_id || p_answer.other_adults END,
        ('{"asOf":"' || to_char(p_answer.as_of AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD"T"HH24:MI:SS.US')
            || '+08:00","client":' || to_json(p_asked.asker)::text || ',"token":' || to_json(p_asked.token)::text
            || coalesce(',"role":"' || p_asked.role || '"', '')
            || coalesce(',"idempotencyKey":' || to_json(p_asked.retry_key)::text, '')
            || coalesce(',"reason":"' || p_cause || '"', '')
            || coalesce(',"adultsNotShown":' || p_answer.adults_not_shown, '')
            || ',"asked":' || access.as_facts(p_asked.parts) || ',"withheld":' || access.as_facts(p_answer.withheld)
            || ',"absent":' || access.as_facts(p_answer.absent)
            || coalesce(',"persons":{' || access.with_circumstances(p_asked, p_answer, p_persons) || '}', '')
            || '}')::jsonb,
        p_asked.sealed)::audit.pending;
END $$;

REVOKE ALL ON FUNCTION access.basis_allowed, access.rule_source, access.rules_in_force, access.basis_now, access.shadow_differences,
    access.with_circumstances, audit.place_in_chain FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access.rule_source, access.rules_in_force, access.basis_now, audit.place_in_chain
    TO hub_auditor;
GRANT EXECUTE ON FUNCTION access.shadow_differences TO hub_app;

INSERT INTO audit.event_name (name) VALUES
    ('approver:operator:changed'), ('decision:auditor:explained'), ('decision:resident:explained'),
    ('rules:hub:differed'), ('rules:operator:acknowledged'), ('rules:operator:proposed'), ('rules:security:approved');

-- Impact assessments of sources (个人信息保护法 art. 55, 56): that there is one, where it lies, and its digest. Kept for ever.
CREATE TABLE ingest.assessment (
    assessment_id   uuid PRIMARY KEY,
    source          text NOT NULL,
    reference       text NOT NULL CHECK (reference <> ''),
    assessed_on     date NOT NULL,
    approved_by     text NOT NULL CHECK (approved_by <> ''),
    document_digest bytea NOT NULL CHECK (octet_length(document_digest) = 32),
    recorded_at     timestamptz NOT NULL,
    recorded_by     text NOT NULL
);
CREATE INDEX assessment_source ON ingest.assessment (source);
GRANT SELECT, INSERT ON ingest.assessment TO hub_ingest;
INSERT INTO audit.event_name (name) VALUES ('assessment:operator:recorded');
