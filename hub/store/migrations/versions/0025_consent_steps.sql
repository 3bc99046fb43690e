-- The steps of a consent, by whom each may be taken, and what time and death end.

-- Steps. --------------------------------------------------------------------------------------------------------------

-- Write down what happened and tell the organisation. `p_state`: the state it led to.
CREATE FUNCTION consent.note(
    p_request uuid, p_consent uuid, p_verb text, p_state text, p_at timestamptz, p_by text, p_ev uuid, p_cause text
) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO consent.event (request_id, consent_id, verb, at, by_whom, ev, cause)
    VALUES (p_request, p_consent, p_verb, p_at, p_by, p_ev, p_cause);
    PERFORM consent.tell(r.organisation_id, 'CONSENT', json_build_object(
        'requestId', r.request_id, 'consentId', p_consent, 'purpose', r.purpose, 'state', p_state, 'at', p_at))
    FROM consent.request r WHERE r.request_id = p_request;
END $$;

-- One step of a consent that was given. No row where the machine has no such step.
CREATE FUNCTION consent.step(
    p_consent uuid, p_verb text, p_at timestamptz, p_by text, p_ev uuid, p_cause text DEFAULT NULL
) RETURNS SETOF consent.basis
LANGUAGE plpgsql AS $$
DECLARE
    v_basis consent.basis;
BEGIN
    UPDATE consent.basis b
    SET status = t.to_state, ended_at = CASE WHEN t.to_state IN ('IN_FORCE', 'SUSPENDED') THEN NULL ELSE p_at END
    FROM consent.transition t
    WHERE b.basis_id = p_consent AND b.kind = 'CONSENT' AND t.from_state = b.status AND t.verb = p_verb
    RETURNING b.* INTO v_basis;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM consent.note(r.request_id, r.consent_id, p_verb, v_basis.status, p_at, p_by, p_ev, p_cause)
    FROM consent.record r WHERE r.consent_id = p_consent;
    RETURN NEXT v_basis;
END $$;

-- How far the terms prove that the person agreed, 0 to 4. Decided here, whatever the terms say of themselves.
--   4: his own authenticator, and a person of the hub had him before him    3: his own authenticator
--   2: paper, two witnesses of whom one is not the collector, a photo of the form, the device's signature
--   1: paper and one witness who is not the collector                       0: a claim
CREATE FUNCTION consent.evidence_of(p_terms jsonb, p_by_himself boolean) RETURNS smallint
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN p_by_himself THEN CASE WHEN p_terms ->> 'medium' = 'DIGITAL' THEN 3 ELSE 0 END
        WHEN p_terms ->> 'medium' IS DISTINCT FROM 'PAPER' OR k.independent = 0 THEN 0
        WHEN k.witnesses >= 2 AND k.photos > 0 AND p_terms -> 'capturedBy' ->> 'device' IS NOT NULL THEN 2
        ELSE 1 END::smallint
    FROM (SELECT
        (SELECT count(DISTINCT w ->> 'id') FROM jsonb_array_elements(p_terms -> 'witnessedBy') w) AS witnesses,
        (SELECT count(DISTINCT w ->> 'id') FROM jsonb_array_elements(p_terms -> 'witnessedBy') w
         WHERE w ->> 'id' IS DISTINCT FROM p_terms -> 'capturedBy' ->> 'account') AS independent,
        (SELECT count(*) FROM jsonb_array_elements(p_terms -> 'evidenceItems') e
         WHERE e ->> 'kind' = 'MASKED_FORM_PHOTO') AS photos) k
$$;

-- The most that a consent for a purpose may allow; no row where nobody can be asked for it.
CREATE FUNCTION consent.cap_of(p_purpose text)
RETURNS TABLE (days int, uses int, fetch_type text, data_life_days int, version int)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT p.max_days, p.max_uses, p.fetch_type, p.data_life_days, p.version
    FROM consent.purpose p WHERE p.purpose = p_purpose AND p.retired_at IS NULL
$$;

-- No request goes beyond the cap in force when it is made; the application's own check only words the refusal.
CREATE FUNCTION consent.check_cap() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM consent.purpose p WHERE p.purpose = NEW.purpose AND p.retired_at IS NULL
                   AND NEW.valid_days <= p.max_days AND NEW.max_uses <= p.max_uses) THEN
        RAISE EXCEPTION 'beyond the cap of the purpose' USING ERRCODE = 'HB108';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER request_within_cap BEFORE INSERT ON consent.request FOR EACH ROW EXECUTE FUNCTION consent.check_cap();

-- The terms of a request and of what was agreed to are settled with it; only its state moves, along the machine.
CREATE FUNCTION consent.keep_terms() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'consents are never deleted' USING ERRCODE = 'HB001';
    END IF;
    IF TG_TABLE_NAME = 'request' THEN
        IF (to_jsonb(NEW) - 'state' - 'decided_at') <> (to_jsonb(OLD) - 'state' - 'decided_at')
           OR NEW.state <> OLD.state AND NOT EXISTS (
               SELECT FROM consent.transition t WHERE t.from_state = OLD.state
               AND t.to_state = CASE NEW.state WHEN 'GIVEN' THEN 'IN_FORCE' ELSE NEW.state END) THEN
            RAISE EXCEPTION 'the terms of a request are never changed' USING ERRCODE = 'HB001';
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER request_is_settled BEFORE UPDATE OR DELETE ON consent.request
    FOR EACH ROW EXECUTE FUNCTION consent.keep_terms();

-- Requests of a person, with the consent that a new one would take the place of.
DROP FUNCTION consent.requests_of(text, text, timestamptz, uuid);
CREATE FUNCTION consent.requests_of(p_account text, p_token text, p_at timestamptz, p_request uuid DEFAULT NULL)
RETURNS TABLE (request_id uuid, organisation_id text, name_zh text, name_en text, role text, purpose text,
               parts text[], application_ref text, valid_days int, max_uses int, asked_at timestamptz,
               expires_at timestamptz, state text, person_id uuid, county char(6), supersedes uuid)
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
           r.valid_days, r.max_uses, r.asked_at, r.expires_at, r.state, v_person.person_id, v_person.county,
           (SELECT b.basis_id FROM consent.basis b
            WHERE b.person_id = ANY (record.same_person(v_person.person_id)) AND b.organisation_id = r.organisation_id
              AND b.purpose = r.purpose AND b.kind = 'CONSENT' AND b.status IN ('IN_FORCE', 'SUSPENDED')
            ORDER BY b.effective_from DESC, b.basis_id LIMIT 1)
    FROM consent.request r JOIN access.organisation o ON o.organisation_id = r.organisation_id
    WHERE r.identity_indexes && (SELECT coalesce(array_agg(d.blind_index), '{}') FROM record.directory d
                                 WHERE d.person_id = v_person.person_id)
      AND v_person.name_index = ANY (r.name_indexes)
      AND (p_request IS NULL OR r.request_id = p_request)
    ORDER BY r.asked_at DESC, r.request_id;
END $$;

-- Put terms that were checked against their request in force. Everything that the basis needs is read from the signed
-- terms, so that what was signed and what is applied cannot differ; they may narrow the request and never widen it.
CREATE FUNCTION consent.put_in_force(
    p_request consent.request, p_person uuid, p_county char(6), p_terms bytea, p_signature bytea, p_protected text,
    p_by_himself boolean, p_at timestamptz, p_by text, p_ev uuid
) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    v_terms   jsonb := convert_from(p_terms, 'UTF8')::jsonb;
    v_consent uuid := v_terms ->> 'consentId';
    v_parts   text[] := ARRAY (SELECT jsonb_array_elements_text(v_terms -> 'parts'));
    v_expires timestamptz := v_terms ->> 'expiresAt';
    v_from    timestamptz := v_terms ->> 'effectiveFrom';
    v_uses    int := v_terms ->> 'maxUses';
    v_level   smallint := consent.evidence_of(v_terms, p_by_himself);
    v_old     uuid;
BEGIN
    IF v_terms ->> 'requestId' IS DISTINCT FROM p_request.request_id::text
       OR v_terms ->> 'subject' IS DISTINCT FROM p_person::text
       OR v_terms ->> 'recipient' IS DISTINCT FROM p_request.organisation_id
       OR v_terms ->> 'purpose' IS DISTINCT FROM p_request.purpose
       OR cardinality(v_parts) = 0 OR NOT v_parts <@ p_request.parts
       OR v_from < p_at - interval '1 minute'
       OR v_expires > p_at + make_interval(days => p_request.valid_days)
       OR v_uses IS NULL OR v_uses > p_request.max_uses
       OR v_terms ->> 'evidenceLevel' IS DISTINCT FROM 'L' || v_level THEN
        RAISE EXCEPTION 'terms differ from the request' USING ERRCODE = 'HB106';
    END IF;
    IF NOT EXISTS (SELECT FROM consent.purpose p WHERE p.purpose = p_request.purpose AND p.retired_at IS NULL
                   AND p.min_evidence <= v_level) THEN
        RAISE EXCEPTION 'the evidence is too weak for the purpose' USING ERRCODE = 'HB109';
    END IF;
    INSERT INTO consent.record (consent_id, county, person_id, request_id, terms, digest, signature, protected, recorded_at)
    VALUES (v_consent, p_county, p_person, p_request.request_id, p_terms, sha256(p_terms), p_signature, p_protected, p_at);
    FOR v_old IN SELECT b.basis_id FROM consent.basis b
                 WHERE b.organisation_id = p_request.organisation_id
                   AND b.person_id = ANY (record.same_person(p_person)) AND b.purpose = p_request.purpose
                   AND b.kind = 'CONSENT' AND b.status IN ('IN_FORCE', 'SUSPENDED')
                 ORDER BY b.basis_id FOR UPDATE LOOP
        PERFORM consent.step(v_old, 'supersedeConsent', p_at, p_by, p_ev);
    END LOOP;
    INSERT INTO consent.basis (basis_id, kind, consent_id, county, organisation_id, person_id, purpose, parts,
                               heightened, effective_from, expires_at, max_uses, evidence_level)
    VALUES (v_consent, 'CONSENT', v_consent, p_county, p_request.organisation_id, p_person, p_request.purpose, v_parts,
            (v_terms ->> 'heightenedNotice')::boolean, v_from, v_expires, v_uses, v_level);
    INSERT INTO consent.quota (basis_id, max_uses) VALUES (v_consent, v_uses);
    UPDATE consent.request r SET state = 'GIVEN', decided_at = p_at WHERE r.request_id = p_request.request_id;
    PERFORM consent.note(p_request.request_id, v_consent, 'grantConsent', 'IN_FORCE', p_at, p_by, p_ev, NULL);
    RETURN v_consent;
END $$;

-- A person gives the consent whose signed terms are in `p_terms`.
DROP FUNCTION consent.grant_request(text, text, uuid, bytea, bytea, timestamptz, uuid);
CREATE FUNCTION consent.grant_request(
    p_account text, p_token text, p_request uuid, p_terms bytea, p_signature bytea, p_at timestamptz, p_ev uuid,
    p_protected text DEFAULT NULL
) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_shown   record;
    v_request consent.request;
BEGIN
    SELECT * INTO v_shown FROM consent.requests_of(p_account, p_token, p_at, p_request);
    IF NOT FOUND OR v_shown.state <> 'REQUESTED' OR v_shown.expires_at <= p_at THEN
        RAISE EXCEPTION 'no open request' USING ERRCODE = 'HB105';
    END IF;
    SELECT r.* INTO v_request FROM consent.request r WHERE r.request_id = p_request;
    RETURN consent.put_in_force(v_request, v_shown.person_id, v_shown.county, p_terms, p_signature, p_protected, true,
                                p_at, p_account, p_ev);
END $$;

CREATE OR REPLACE FUNCTION consent.refuse_request(
    p_account text, p_token text, p_request uuid, p_at timestamptz, p_ev uuid
) RETURNS TABLE (organisation_id text, purpose text, person_id uuid, county char(6))
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_request record;
BEGIN
    SELECT * INTO v_request FROM consent.requests_of(p_account, p_token, p_at, p_request);
    IF NOT FOUND OR v_request.state NOT IN ('REQUESTED', 'CAPTURED') THEN
        RAISE EXCEPTION 'no open request' USING ERRCODE = 'HB105';
    END IF;
    UPDATE consent.request r SET state = 'REFUSED', decided_at = p_at WHERE r.request_id = p_request;
    PERFORM consent.note(p_request, NULL, 'refuseConsent', 'REFUSED', p_at, p_account, p_ev, NULL);
    RETURN QUERY SELECT v_request.organisation_id, v_request.purpose, v_request.person_id, v_request.county;
END $$;

-- A step that the person himself takes: suspendConsent, resumeConsent, withdrawConsent. Readers that hold the basis finish
-- first; every later one finds it changed.
CREATE FUNCTION consent.change(
    p_account text, p_token text, p_consent uuid, p_verb text, p_at timestamptz, p_ev uuid
) RETURNS TABLE (organisation_id text, purpose text, person_id uuid, county char(6))
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_person record;
    v_basis  consent.basis;
BEGIN
    SELECT * INTO v_person FROM consent.person_of(p_account, p_token, p_at);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no living adult' USING ERRCODE = 'HB104';
    END IF;
    IF p_verb NOT IN ('suspendConsent', 'resumeConsent', 'withdrawConsent') OR NOT EXISTS (
        SELECT FROM consent.basis b
        WHERE b.basis_id = p_consent AND b.person_id = ANY (record.same_person(v_person.person_id))) THEN
        RAISE EXCEPTION 'no consent in force' USING ERRCODE = 'HB107';
    END IF;
    SELECT s.* INTO v_basis FROM consent.step(p_consent, p_verb, p_at, p_account, p_ev) s;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no consent in force' USING ERRCODE = 'HB107';
    END IF;
    RETURN QUERY SELECT v_basis.organisation_id, v_basis.purpose, v_person.person_id, v_person.county;
END $$;
DROP FUNCTION consent.withdraw(text, text, uuid, timestamptz, uuid);

-- Another than the person ends a consent with cause: a system of the recipient one of its own, or a data steward or
-- operator of the hub one of a person of his counties. `by_role` says as what he acted.
CREATE FUNCTION consent.revoke(
    p_asker text, p_token text, p_consent uuid, p_cause text, p_at timestamptz, p_ev uuid
) RETURNS TABLE (organisation_id text, purpose text, person_id uuid, county char(6), by_role text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_role  text;
    v_basis consent.basis;
BEGIN
    IF NOT EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = p_token) THEN
        SELECT c.role INTO v_role FROM access.client c JOIN consent.basis b ON b.organisation_id = c.organisation_id
        WHERE c.client_id = p_asker AND c.status = 'ACTIVE' AND b.basis_id = p_consent AND b.kind = 'CONSENT';
        IF v_role IS NULL THEN
            SELECT a.role INTO v_role FROM auth.account a JOIN consent.basis b ON b.county = ANY (a.county_codes)
            WHERE a.account_id = p_asker AND a.status = 'ACTIVE' AND a.role IN ('STEWARD', 'OPERATOR')
              AND b.basis_id = p_consent AND b.kind = 'CONSENT';
        END IF;
    END IF;
    IF v_role IS NOT NULL THEN
        SELECT s.* INTO v_basis FROM consent.step(p_consent, 'revokeConsent', p_at, p_asker, p_ev, p_cause) s;
    END IF;
    IF v_basis.basis_id IS NULL THEN
        RAISE EXCEPTION 'no consent in force' USING ERRCODE = 'HB107';
    END IF;
    RETURN QUERY SELECT v_basis.organisation_id, v_basis.purpose, v_basis.person_id, v_basis.county, v_role;
END $$;

DROP FUNCTION consent.consents_of(text, text, timestamptz);
CREATE FUNCTION consent.consents_of(p_account text, p_token text, p_at timestamptz)
RETURNS TABLE (consent_id uuid, organisation_id text, name_zh text, name_en text, purpose text, parts text[],
               heightened boolean, effective_from timestamptz, expires_at timestamptz, max_uses int, uses int,
               status text, ended_at timestamptz, evidence_level smallint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT b.consent_id, b.organisation_id, o.name_zh, o.name_en, b.purpose, b.parts, b.heightened, b.effective_from,
           b.expires_at, b.max_uses, coalesce(q.uses, 0), s.standing, b.ended_at, b.evidence_level
    FROM consent.person_of(p_account, p_token, p_at) p
    JOIN consent.basis b ON b.person_id = ANY (record.same_person(p.person_id)) AND b.kind = 'CONSENT'
    CROSS JOIN LATERAL consent.standing(b.basis_id, p_at) s
    JOIN access.organisation o ON o.organisation_id = b.organisation_id
    LEFT JOIN consent.quota q ON q.basis_id = b.basis_id
    ORDER BY b.effective_from DESC, b.basis_id;
END $$;

-- The record of one's own consent, once for each of its steps, oldest first.
CREATE FUNCTION consent.record_of(p_account text, p_token text, p_consent uuid, p_at timestamptz)
RETURNS TABLE (terms bytea, signature bytea, protected text, person_id uuid, county char(6), standing text, verb text,
               at timestamptz, cause text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT r.terms, r.signature, r.protected, p.person_id, p.county, s.standing, e.verb, e.at, e.cause
    FROM consent.person_of(p_account, p_token, p_at) p
    JOIN consent.record r ON r.person_id = ANY (record.same_person(p.person_id)) AND r.consent_id = p_consent
    CROSS JOIN LATERAL consent.standing(r.consent_id, p_at) s
    JOIN consent.event e ON e.request_id = r.request_id
    ORDER BY e.event_id;
END $$;

CREATE OR REPLACE FUNCTION consent.request_state(p_client text, p_token text, p_request uuid, p_at timestamptz)
RETURNS TABLE (state text, consent_id uuid, expires_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT CASE WHEN r.state IN ('REQUESTED', 'CAPTURED', 'INVALIDATED') AND r.expires_at <= p_at THEN 'EXPIRED'
                ELSE r.state END,
           k.consent_id, coalesce(b.expires_at, r.expires_at)
    FROM access.client c
    JOIN consent.request r ON r.organisation_id = c.organisation_id AND r.request_id = p_request
    LEFT JOIN consent.record k ON k.request_id = r.request_id
    LEFT JOIN consent.basis b ON b.consent_id = k.consent_id
    WHERE c.client_id = p_client AND c.status = 'ACTIVE'
      AND NOT EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = p_token);
END $$;

-- What time ended: the worker writes it down. Each consent or request that was still open, with what its entry in the log
-- needs; the person of a request is whoever its number belongs to.
CREATE FUNCTION consent.expire_due(p_at timestamptz, p_limit int)
RETURNS TABLE (ev uuid, consent_id uuid, organisation_id text, purpose text, person_id uuid, county char(6))
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_one record;
    v_ev  uuid;
BEGIN
    FOR v_one IN SELECT b.* FROM consent.basis b
                 WHERE b.status IN ('IN_FORCE', 'SUSPENDED') AND b.expires_at <= p_at AND b.kind = 'CONSENT'
                 ORDER BY b.basis_id LIMIT p_limit FOR UPDATE SKIP LOCKED LOOP
        v_ev := uuidv7();
        PERFORM consent.step(v_one.basis_id, 'expireConsent', p_at, 'hub', v_ev);
        RETURN QUERY SELECT v_ev, v_one.basis_id, v_one.organisation_id, v_one.purpose, v_one.person_id, v_one.county;
    END LOOP;
    FOR v_one IN SELECT r.* FROM consent.request r WHERE r.state IN ('REQUESTED', 'CAPTURED') AND r.expires_at <= p_at
                 ORDER BY r.request_id LIMIT p_limit FOR UPDATE SKIP LOCKED LOOP
        v_ev := uuidv7();
        UPDATE consent.request r SET state = 'INVALIDATED', decided_at = p_at WHERE r.request_id = v_one.request_id;
        PERFORM consent.note(v_one.request_id, NULL, 'invalidateConsent', 'INVALIDATED', p_at, 'hub', v_ev, 'TIMEOUT');
        RETURN QUERY SELECT v_ev, v_one.request_id, v_one.organisation_id, v_one.purpose, d.person_id, d.county
                     FROM (SELECT) AS nothing LEFT JOIN LATERAL (
                         SELECT d.person_id, d.county FROM record.directory d
                         WHERE d.blind_index = ANY (v_one.identity_indexes) LIMIT 1) d ON true;
    END LOOP;
END $$;

-- Death. --------------------------------------------------------------------------------------------------------------

-- All consents of a person end in the transaction that records his death, each with an entry of its own.
CREATE FUNCTION consent.end_by_death() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_one consent.basis;
    v_ev  uuid;
BEGIN
    FOR v_one IN SELECT b.* FROM consent.basis b
                 WHERE b.person_id = ANY (record.same_person(NEW.person_id)) AND b.kind = 'CONSENT'
                   AND b.status IN ('IN_FORCE', 'SUSPENDED')
                 ORDER BY b.basis_id FOR UPDATE LOOP
        v_ev := uuidv7();
        PERFORM consent.step(v_one.basis_id, 'invalidateConsent', clock_timestamp(), 'hub', v_ev, 'DEATH');
        INSERT INTO audit.pending (ev, kind, event, organisation, actor, purpose, decision, policy, county, subjects, facts)
        VALUES (v_ev, 'consent', 'consent:hub:ended', 'hub', 'hub', v_one.purpose, 'allow', 'consent-terms-2',
                v_one.county, ARRAY[v_one.person_id],
                jsonb_build_object('consent', v_one.basis_id, 'reason', 'DEATH', 'persons', jsonb_build_object(
                    v_one.person_id, jsonb_build_object('recipient', v_one.organisation_id))));
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER person_died AFTER UPDATE OF status ON record.person
    FOR EACH ROW WHEN (NEW.status = 'DECEASED' AND OLD.status <> 'DECEASED') EXECUTE FUNCTION consent.end_by_death();
