-- Who may ask (organisations, systems), the compiled rules, and what a person agreed to (consent, basis, quota).
-- The application may only execute the functions at the end: it reads and writes none of these tables itself.

CREATE SCHEMA access;
CREATE SCHEMA consent;

CREATE TABLE access.organisation (
    organisation_id text PRIMARY KEY CHECK (organisation_id ~ '^[A-Za-z0-9._:-]{1,64}$'),
    name_zh         text NOT NULL,
    name_en         text NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('BANK', 'AGENCY', 'INSURER', 'MUTUAL_SOCIETY', 'PROVIDER', 'GOVERNMENT'))
);

-- A system that may ask. `county_codes` is its area, `purposes` what it was registered for.
CREATE TABLE access.client (
    client_id            text PRIMARY KEY CHECK (client_id ~ '^[A-Za-z0-9._:-]{1,64}$'),
    organisation_id      text NOT NULL REFERENCES access.organisation,
    role                 text NOT NULL,
    county_codes         char(6)[] NOT NULL,
    purposes             text[] NOT NULL,
    jwks                 jsonb NOT NULL,
    status               text NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'SUSPENDED', 'CLOSED')),
    max_subjects_per_day int NOT NULL CHECK (max_subjects_per_day > 0),
    registered_at        timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- How many people an account of this role may ask about in a day; a role that is not here is not counted.
CREATE TABLE access.role_limit (
    role                 text PRIMARY KEY,
    max_subjects_per_day int NOT NULL CHECK (max_subjects_per_day > 0)
);
INSERT INTO access.role_limit VALUES
    ('COLLECTOR', 300), ('VILLAGE_REVIEWER', 300), ('TOWNSHIP', 300), ('STEWARD', 300);

-- A version of the rules: digest of rules, schema and groups; signature of the digest by the hub's key `rules`.
CREATE TABLE access.policy_set (
    digest         bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
    signature      bytea NOT NULL CHECK (octet_length(signature) = 64),
    effective_from timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at     timestamptz
);
CREATE UNIQUE INDEX policy_set_active ON access.policy_set ((true)) WHERE retired_at IS NULL;

-- One row per role, purpose and part that some rule speaks of. `closed` is the reason told where it is never open;
-- otherwise every need that is true must be met. What has no row is NEVER_DISCLOSED.
CREATE TABLE access.decision (
    digest                  bytea NOT NULL REFERENCES access.policy_set,
    role                    text NOT NULL,
    purpose                 text NOT NULL,
    part                    text NOT NULL,
    closed                  text,
    needs_basis             boolean NOT NULL,
    needs_heightened_notice boolean NOT NULL,
    needs_area              boolean NOT NULL,
    needs_second_factor     boolean NOT NULL,
    needs_adult             boolean NOT NULL,
    PRIMARY KEY (digest, role, purpose, part)
);

-- Whom an asker asked about on a day. The key is the blind index that was asked with, or that of the person found.
CREATE TABLE access.subject_day (
    asker       text NOT NULL,
    day         date NOT NULL,
    subject_key bytea NOT NULL,
    PRIMARY KEY (asker, day, subject_key)
);
CREATE TABLE access.subject_count (
    asker    text NOT NULL,
    day      date NOT NULL,
    subjects int  NOT NULL,
    PRIMARY KEY (asker, day)
) WITH (fillfactor = 50);

-- An organisation asks a person for consent. Nobody is looked up when it is made: it carries the blind indexes that
-- were asked with, and whoever they fit will find it.
CREATE TABLE consent.request (
    request_id       uuid PRIMARY KEY,
    organisation_id  text NOT NULL REFERENCES access.organisation,
    client_id        text NOT NULL REFERENCES access.client,
    actor            text NOT NULL,
    role             text NOT NULL,
    purpose          text NOT NULL,
    parts            text[] NOT NULL CHECK (cardinality(parts) > 0),
    application_ref  text,
    valid_days       int NOT NULL CHECK (valid_days > 0),
    max_uses         int NOT NULL CHECK (max_uses > 0),
    identity_indexes bytea[] NOT NULL CHECK (cardinality(identity_indexes) > 0),
    name_indexes     bytea[] NOT NULL CHECK (cardinality(name_indexes) > 0),
    asked_at         timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL CHECK (expires_at > asked_at),
    state            text NOT NULL DEFAULT 'REQUESTED' CHECK (state IN ('REQUESTED', 'GIVEN', 'REFUSED')),
    decided_at       timestamptz
);
CREATE INDEX request_subject ON consent.request USING gin (identity_indexes);

-- What a person agreed to, word for word: canonical JSON, its SHA-256 and the hub's signature. Never changed.
CREATE TABLE consent.record (
    consent_id  uuid PRIMARY KEY,
    county      char(6) NOT NULL,
    person_id   uuid NOT NULL,
    request_id  uuid NOT NULL UNIQUE REFERENCES consent.request,
    terms       bytea NOT NULL,
    digest      bytea NOT NULL UNIQUE CHECK (digest = sha256(terms)),
    signature   bytea NOT NULL CHECK (octet_length(signature) = 64),
    recorded_at timestamptz NOT NULL
);

-- What happened to a request or a consent; only ever added to. `ev` is the audit event of the same transaction.
CREATE TABLE consent.event (
    event_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request_id uuid NOT NULL REFERENCES consent.request,
    consent_id uuid REFERENCES consent.record,
    verb       text NOT NULL CHECK (verb IN ('requestConsent', 'grantConsent', 'refuseConsent', 'suspendConsent',
                                             'withdrawConsent', 'revokeConsent')),
    at         timestamptz NOT NULL,
    by_whom    text NOT NULL,
    ev         uuid NOT NULL
);
CREATE INDEX event_request ON consent.event (request_id);

-- The row that a disclosure rests on. A consent is one kind; a steward's case is another; one code path for all.
CREATE TABLE consent.basis (
    basis_id        uuid PRIMARY KEY,
    kind            text NOT NULL CHECK (kind IN ('CONSENT', 'CASE')),
    consent_id      uuid REFERENCES consent.record,
    reference       text,
    county          char(6) NOT NULL,
    organisation_id text NOT NULL,
    person_id       uuid NOT NULL,
    purpose         text NOT NULL,
    parts           text[] NOT NULL,
    heightened      boolean NOT NULL DEFAULT false,
    effective_from  timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL CHECK (expires_at > effective_from),
    max_uses        int CHECK (max_uses > 0),
    status          text NOT NULL DEFAULT 'IN_FORCE'
                    CHECK (status IN ('IN_FORCE', 'SUSPENDED', 'WITHDRAWN', 'REVOKED', 'SUPERSEDED')),
    ended_at        timestamptz,
    CHECK ((kind = 'CONSENT') = (consent_id IS NOT NULL)),
    CHECK (kind = 'CONSENT' OR reference IS NOT NULL)
);
CREATE UNIQUE INDEX basis_in_force ON consent.basis (organisation_id, person_id, purpose) WHERE status = 'IN_FORCE';
CREATE INDEX basis_person ON consent.basis (person_id);

-- Uses of a basis that has a limit; apart from the basis, so that counting does not touch the row that is locked.
CREATE TABLE consent.quota (
    basis_id uuid PRIMARY KEY REFERENCES consent.basis,
    max_uses int NOT NULL,
    uses     int NOT NULL DEFAULT 0,
    CHECK (uses BETWEEN 0 AND max_uses)
) WITH (fillfactor = 50);

-- Uses that carried an idempotency key: the same request under the same key within a day costs nothing more.
CREATE TABLE consent.use (
    basis_id   uuid NOT NULL REFERENCES consent.basis,
    asker      text NOT NULL,
    retry_key  text NOT NULL,
    fingerprint bytea NOT NULL,
    used_at    timestamptz NOT NULL,
    PRIMARY KEY (basis_id, asker, retry_key, fingerprint)
);

-- Whoever may write a consent record may still not rewrite one.
CREATE FUNCTION consent.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION 'consent records and events are never changed' USING ERRCODE = 'HB001';
END $$;
CREATE TRIGGER record_is_final BEFORE UPDATE OR DELETE OR TRUNCATE ON consent.record
    FOR EACH STATEMENT EXECUTE FUNCTION consent.refuse_change();
CREATE TRIGGER event_is_final BEFORE UPDATE OR DELETE OR TRUNCATE ON consent.event
    FOR EACH STATEMENT EXECUTE FUNCTION consent.refuse_change();

-- Refusals that a caller may be told carry one of the codes HB1xx; hub/consent/store.py maps them to sentences.

-- An organisation asks. Nothing depends on the person; `found_id`, whoever has the number, is for the audit log alone.
CREATE FUNCTION consent.ask(
    p_request uuid, p_client text, p_token text, p_actor text, p_purpose text, p_parts text[], p_application text,
    p_valid_days int, p_max_uses int, p_identity bytea[], p_name bytea[], p_at timestamptz, p_answer_by timestamptz,
    p_ev uuid
) RETURNS TABLE (organisation_id text, role text, found_id uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_client access.client;
BEGIN
    SELECT c.* INTO v_client FROM access.client c WHERE c.client_id = p_client AND c.status = 'ACTIVE';
    IF NOT FOUND OR EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = p_token) THEN
        RAISE EXCEPTION 'client may not ask' USING ERRCODE = 'HB101';
    END IF;
    IF NOT p_purpose = ANY (v_client.purposes) THEN
        RAISE EXCEPTION 'purpose not registered' USING ERRCODE = 'HB102';
    END IF;
    IF EXISTS (
        SELECT FROM unnest(p_parts) AS wanted (part) WHERE NOT EXISTS (
            SELECT FROM access.decision d JOIN access.policy_set s ON s.digest = d.digest AND s.retired_at IS NULL
            WHERE d.role = v_client.role AND d.purpose = p_purpose AND d.part = wanted.part
              AND d.closed IS NULL AND d.needs_basis)
    ) THEN
        RAISE EXCEPTION 'part not open to this role and purpose' USING ERRCODE = 'HB103';
    END IF;
    INSERT INTO consent.request (request_id, organisation_id, client_id, actor, role, purpose, parts, application_ref,
                                 valid_days, max_uses, identity_indexes, name_indexes, asked_at, expires_at)
    VALUES (p_request, v_client.organisation_id, p_client, p_actor, v_client.role, p_purpose, p_parts, p_application,
            p_valid_days, p_max_uses, p_identity, p_name, p_at, p_answer_by);
    INSERT INTO consent.event (request_id, verb, at, by_whom, ev)
    VALUES (p_request, 'requestConsent', p_at, p_client, p_ev);
    RETURN QUERY SELECT v_client.organisation_id, v_client.role,
                        (SELECT d.person_id FROM record.directory d WHERE d.blind_index = ANY (p_identity) LIMIT 1);
END $$;

-- The living adult behind a resident's account; no row otherwise.
CREATE FUNCTION consent.person_of(p_account text, p_token text, p_at timestamptz)
RETURNS TABLE (person_id uuid, county char(6), name_index bytea)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT p.person_id, p.county, p.name_index
    FROM auth.account a JOIN record.person p ON p.person_id = a.person_id
    WHERE a.account_id = p_account AND a.role = 'RESIDENT' AND a.status = 'ACTIVE' AND p.status = 'ACTIVE'
      AND p.birth_date <= ((p_at AT TIME ZONE 'Asia/Shanghai')::date - interval '18 years')::date
      AND NOT EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = p_token);
END $$;

-- The requests that fit a person by number and name, newest first. With a request id: that one, locked.
CREATE FUNCTION consent.requests_of(p_account text, p_token text, p_at timestamptz, p_request uuid DEFAULT NULL)
RETURNS TABLE (request_id uuid, organisation_id text, name_zh text, name_en text, role text, purpose text,
               parts text[], application_ref text, valid_days int, max_uses int, asked_at timestamptz,
               expires_at timestamptz, state text, person_id uuid, county char(6))
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_person record;
BEGIN
    SELECT * INTO v_person FROM consent.person_of(p_account, p_token, p_at);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no living adult' USING ERRCODE = 'HB104';
    END IF;
    IF p_request IS NOT NULL THEN
        PERFORM FROM consent.request r WHERE r.request_id = p_request FOR UPDATE;
    END IF;
    RETURN QUERY
    SELECT r.request_id, r.organisation_id, o.name_zh, o.name_en, r.role, r.purpose, r.parts, r.application_ref,
           r.valid_days, r.max_uses, r.asked_at, r.expires_at, r.state, v_person.person_id, v_person.county
    FROM consent.request r JOIN access.organisation o ON o.organisation_id = r.organisation_id
    WHERE r.identity_indexes && (SELECT coalesce(array_agg(d.blind_index), '{}') FROM record.directory d
                                 WHERE d.person_id = v_person.person_id)
      AND v_person.name_index = ANY (r.name_indexes)
      AND (p_request IS NULL OR r.request_id = p_request)
    ORDER BY r.asked_at DESC, r.request_id;
END $$;

-- A person gives the consent whose signed terms are in `p_terms`. Everything that the basis needs is read from those
-- terms, so that what was signed and what is applied cannot differ; they may narrow the request and never widen it.
CREATE FUNCTION consent.grant_request(
    p_account text, p_token text, p_request uuid, p_terms bytea, p_signature bytea, p_at timestamptz, p_ev uuid
) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_request record;
    v_terms   jsonb := convert_from(p_terms, 'UTF8')::jsonb;
    v_consent uuid := v_terms ->> 'consentId';
    v_parts   text[] := ARRAY (SELECT jsonb_array_elements_text(v_terms -> 'parts'));
    v_expires timestamptz := v_terms ->> 'expiresAt';
    v_from    timestamptz := v_terms ->> 'effectiveFrom';
    v_uses    int := v_terms ->> 'maxUses';
BEGIN
    SELECT * INTO v_request FROM consent.requests_of(p_account, p_token, p_at, p_request);
    IF NOT FOUND OR v_request.state <> 'REQUESTED' OR v_request.expires_at <= p_at THEN
        RAISE EXCEPTION 'no open request' USING ERRCODE = 'HB105';
    END IF;
    IF v_terms ->> 'requestId' IS DISTINCT FROM p_request::text
       OR v_terms ->> 'subject' IS DISTINCT FROM v_request.person_id::text
       OR v_terms ->> 'recipient' IS DISTINCT FROM v_request.organisation_id
       OR v_terms ->> 'purpose' IS DISTINCT FROM v_request.purpose
       OR cardinality(v_parts) = 0 OR NOT v_parts <@ v_request.parts
       OR v_from < p_at - interval '1 minute'
       OR v_expires > p_at + make_interval(days => v_request.valid_days)
       OR v_uses IS NULL OR v_uses > v_request.max_uses THEN
        RAISE EXCEPTION 'terms differ from the request' USING ERRCODE = 'HB106';
    END IF;
    INSERT INTO consent.record (consent_id, county, person_id, request_id, terms, digest, signature, recorded_at)
    VALUES (v_consent, v_request.county, v_request.person_id, p_request, p_terms, sha256(p_terms), p_signature, p_at);
    UPDATE consent.basis b SET status = 'SUPERSEDED', ended_at = p_at
    WHERE b.organisation_id = v_request.organisation_id AND b.person_id = v_request.person_id
      AND b.purpose = v_request.purpose AND b.status = 'IN_FORCE';
    INSERT INTO consent.basis (basis_id, kind, consent_id, county, organisation_id, person_id, purpose, parts,
                               heightened, effective_from, expires_at, max_uses)
    VALUES (v_consent, 'CONSENT', v_consent, v_request.county, v_request.organisation_id, v_request.person_id,
            v_request.purpose, v_parts, (v_terms ->> 'heightenedNotice')::boolean, v_from, v_expires, v_uses);
    INSERT INTO consent.quota (basis_id, max_uses) VALUES (v_consent, v_uses);
    UPDATE consent.request r SET state = 'GIVEN', decided_at = p_at WHERE r.request_id = p_request;
    INSERT INTO consent.event (request_id, consent_id, verb, at, by_whom, ev)
    VALUES (p_request, v_consent, 'grantConsent', p_at, p_account, p_ev);
    RETURN v_consent;
END $$;

-- A person refuses a request.
CREATE FUNCTION consent.refuse_request(p_account text, p_token text, p_request uuid, p_at timestamptz, p_ev uuid)
RETURNS TABLE (organisation_id text, purpose text, person_id uuid, county char(6))
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_request record;
BEGIN
    SELECT * INTO v_request FROM consent.requests_of(p_account, p_token, p_at, p_request);
    IF NOT FOUND OR v_request.state <> 'REQUESTED' THEN
        RAISE EXCEPTION 'no open request' USING ERRCODE = 'HB105';
    END IF;
    UPDATE consent.request r SET state = 'REFUSED', decided_at = p_at WHERE r.request_id = p_request;
    INSERT INTO consent.event (request_id, verb, at, by_whom, ev)
    VALUES (p_request, 'refuseConsent', p_at, p_account, p_ev);
    RETURN QUERY SELECT v_request.organisation_id, v_request.purpose, v_request.person_id, v_request.county;
END $$;

-- A person takes a consent back. Readers that hold the basis finish first; every later one finds it gone.
CREATE FUNCTION consent.withdraw(p_account text, p_token text, p_consent uuid, p_at timestamptz, p_ev uuid)
RETURNS TABLE (organisation_id text, purpose text, person_id uuid, county char(6))
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_person record;
    v_basis  consent.basis;
BEGIN
    SELECT * INTO v_person FROM consent.person_of(p_account, p_token, p_at);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no living adult' USING ERRCODE = 'HB104';
    END IF;
    UPDATE consent.basis b SET status = 'WITHDRAWN', ended_at = p_at
    WHERE b.basis_id = p_consent AND b.kind = 'CONSENT' AND b.person_id = v_person.person_id
      AND b.status IN ('IN_FORCE', 'SUSPENDED')
    RETURNING b.* INTO v_basis;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no consent in force' USING ERRCODE = 'HB107';
    END IF;
    INSERT INTO consent.event (request_id, consent_id, verb, at, by_whom, ev)
    SELECT r.request_id, r.consent_id, 'withdrawConsent', p_at, p_account, p_ev
    FROM consent.record r WHERE r.consent_id = p_consent;
    RETURN QUERY SELECT v_basis.organisation_id, v_basis.purpose, v_person.person_id, v_person.county;
END $$;

-- A person's own consents with their present state, newest first.
CREATE FUNCTION consent.consents_of(p_account text, p_token text, p_at timestamptz)
RETURNS TABLE (consent_id uuid, organisation_id text, name_zh text, name_en text, purpose text, parts text[],
               heightened boolean, effective_from timestamptz, expires_at timestamptz, max_uses int, uses int,
               status text, ended_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT b.consent_id, b.organisation_id, o.name_zh, o.name_en, b.purpose, b.parts, b.heightened, b.effective_from,
           b.expires_at, b.max_uses, coalesce(q.uses, 0),
           CASE WHEN b.status = 'IN_FORCE' AND b.expires_at <= p_at THEN 'EXPIRED' ELSE b.status END, b.ended_at
    FROM consent.person_of(p_account, p_token, p_at) p
    JOIN consent.basis b ON b.person_id = p.person_id AND b.kind = 'CONSENT'
    JOIN access.organisation o ON o.organisation_id = b.organisation_id
    LEFT JOIN consent.quota q ON q.basis_id = b.basis_id
    ORDER BY b.effective_from DESC, b.basis_id;
END $$;

-- How a request of this client's organisation stands: its own knowledge, nothing of anybody else's.
CREATE FUNCTION consent.request_state(p_client text, p_token text, p_request uuid, p_at timestamptz)
RETURNS TABLE (state text, consent_id uuid, expires_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT CASE WHEN r.state = 'REQUESTED' AND r.expires_at <= p_at THEN 'EXPIRED' ELSE r.state END,
           k.consent_id, coalesce(b.expires_at, r.expires_at)
    FROM access.client c
    JOIN consent.request r ON r.organisation_id = c.organisation_id AND r.request_id = p_request
    LEFT JOIN consent.record k ON k.request_id = r.request_id
    LEFT JOIN consent.basis b ON b.consent_id = k.consent_id
    WHERE c.client_id = p_client AND c.status = 'ACTIVE'
      AND NOT EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = p_token);
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA access, consent FROM PUBLIC;
GRANT USAGE ON SCHEMA access, consent TO hub_app;
GRANT EXECUTE ON FUNCTION
    consent.ask, consent.requests_of, consent.grant_request, consent.refuse_request, consent.withdraw,
    consent.consents_of, consent.request_state
TO hub_app;
