-- Two people who turned out to be one: whoever asks about the one who was merged, by an old pseudonym or from an account
-- opened for him, is led to the person he is; the bases that he gave rest with that person. Nothing is rewritten, so all
-- of it is his again when the correction is revoked.

-- The person that this one is now.
CREATE FUNCTION record.present_person(p_person uuid) RETURNS uuid
LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT p.merged_into FROM record.person p WHERE p.person_id = p_person), p_person)
$$;

-- Everybody who this person turned out to be, himself first.
CREATE FUNCTION record.same_person(p_person uuid) RETURNS uuid[]
LANGUAGE sql STABLE AS $$
    SELECT p_person || ARRAY (SELECT p.person_id FROM record.person p WHERE p.merged_into = p_person ORDER BY 1)
$$;

CREATE OR REPLACE FUNCTION access.find_asker(p_asker text) RETURNS access.asker
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_asker access.asker;
BEGIN
    SELECT c.role, c.organisation_id, c.status, c.purposes, c.county_codes, '{}', NULL, c.max_subjects_per_day
    INTO v_asker FROM access.client c WHERE c.client_id = p_asker;
    IF NOT FOUND THEN
        SELECT a.role, CASE WHEN a.role = 'RESIDENT' THEN '' ELSE coalesce(a.organisation_id, 'hub') END, a.status,
               NULL, a.county_codes, a.village_codes, CASE WHEN a.role = 'RESIDENT' THEN record.present_person(a.person_id) END,
               (SELECT l.max_subjects_per_day FROM access.role_limit l WHERE l.role = a.role)
        INTO v_asker FROM auth.account a WHERE a.account_id = p_asker;
    END IF;
    RETURN v_asker;
END $$;

CREATE OR REPLACE FUNCTION access.resolve(p_requests jsonb, p_today date) RETURNS access.asked[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    c_nowhere  CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    v_grown_up date := p_today - interval '18 years';
    v_resolved access.asked[] := '{}';
    v_wire     record;
    v_parts    text[];
    v_asker    access.asker;
    v_refusal  text;
    v_found    uuid;
    v_county   char(6);
    v_person   record;
    v_fits     boolean;
    v_in_area  boolean;
    v_adults   uuid[];
BEGIN
    FOR v_wire IN
        SELECT r.* FROM ROWS FROM (jsonb_to_recordset(p_requests) AS (
            asker text, token text, actor text, purpose text, parts text[], others boolean, operation text, ev uuid,
            sealed text, retry_key text, person uuid, identity text[], names text[])) WITH ORDINALITY
        AS r (asker, token, actor, purpose, parts, others, operation, ev, sealed, retry_key, person, identity, names,
              ordinal)
    LOOP
        v_parts := v_wire.parts || CASE WHEN v_wire.others AND NOT 'identity/VALUE' = ANY (v_wire.parts)
                                        THEN '{identity/VALUE}' ELSE '{}' END::text[];
        IF cardinality(v_parts) NOT BETWEEN 1 AND 64
           OR array_to_string(v_parts, ' ', '?') !~ '^[A-Za-z_./]+( [A-Za-z_./]+)*$'
           OR num_nulls(v_wire.parts, v_wire.sealed, v_wire.ev, v_wire.operation, v_wire.actor, v_wire.asker,
                        v_wire.token) > 0 THEN
            RAISE EXCEPTION 'an incomplete request' USING ERRCODE = 'HB111';
        END IF;
        v_asker := access.find_asker(v_wire.asker);
        v_refusal := CASE WHEN v_asker.role IS NULL THEN 'ASKER_UNKNOWN'
            WHEN EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = v_wire.token) THEN 'TOKEN_REVOKED'
            WHEN v_asker.status <> 'ACTIVE' THEN 'ASKER_SUSPENDED' END;
        v_found := coalesce(v_asker.own_person, record.present_person(v_wire.person));
        v_county := NULL;
        IF v_found IS NULL THEN
            SELECT d.person_id, d.county INTO v_found, v_county FROM record.directory d
            WHERE d.blind_index = ANY (ARRAY (SELECT decode(i.hex, 'hex') FROM unnest(v_wire.identity) AS i (hex)))
            LIMIT 1;
        END IF;
        SELECT p.person_id, p.county, p.household_id, p.identity_index, p.name_index, p.birth_date, p.status
        INTO v_person FROM record.person p
        WHERE p.person_id = v_found AND (v_county IS NULL OR p.county = v_county) LIMIT 1;
        -- A resident who names a number is answered only if the number is his own.
        v_fits := v_person.status = 'ACTIVE' AND CASE
            WHEN v_asker.own_person IS NOT NULL AND v_wire.identity IS NOT NULL THEN EXISTS (
                SELECT FROM record.directory o
                WHERE o.person_id = v_asker.own_person AND encode(o.blind_index, 'hex') = ANY (v_wire.identity))
            WHEN v_asker.own_person IS NOT NULL THEN v_wire.person IS NULL OR v_found = record.present_person(v_wire.person)
            WHEN v_wire.person IS NOT NULL THEN true
            ELSE encode(v_person.name_index, 'hex') = ANY (v_wire.names) END;
        v_in_area := v_person.county = ANY (v_asker.county_codes)
                     AND v_asker.role NOT IN ('COLLECTOR', 'VILLAGE_REVIEWER');
        IF cardinality(v_asker.village_codes) > 0 THEN
            v_in_area := EXISTS (
                SELECT FROM record.household h CROSS JOIN unnest(v_asker.village_codes) AS v (code)
                WHERE h.county = v_person.county AND h.household_id = v_person.household_id
                  AND starts_with(h.village_code, v.code));
        END IF;
        v_adults := NULL;
        IF v_fits AND (v_wire.others OR 'roster/VALUE' = ANY (v_parts)) THEN
            v_adults := ARRAY (
                SELECT m.person_id FROM record.person m
                WHERE m.county = v_person.county AND m.household_id = v_person.household_id AND m.status = 'ACTIVE'
                  AND m.birth_date <= v_grown_up AND m.person_id <> v_person.person_id
                ORDER BY m.person_id);
        END IF;
        v_resolved := v_resolved || ROW(
            v_wire.ordinal, v_wire.asker, v_wire.token, v_wire.actor, v_wire.purpose, v_parts, v_wire.parts,
            v_wire.others AND v_asker.role <> 'RESIDENT', decode(v_wire.operation, 'hex'), v_wire.ev,
            decode(v_wire.sealed, 'base64'), v_wire.retry_key, v_asker.role,
            coalesce(v_asker.organisation_id, 'unknown'), v_refusal,
            CASE WHEN v_refusal IS NOT NULL THEN v_refusal
                 WHEN NOT v_wire.purpose = ANY (v_asker.purposes) THEN 'PURPOSE_MISMATCH'
                 WHEN v_asker.role <> 'RESIDENT'
                      AND cardinality(v_asker.county_codes) + cardinality(v_asker.village_codes) = 0
                     THEN 'OUT_OF_AREA' END,
            CASE WHEN v_person.person_id IS NULL THEN 'UNKNOWN'
                 WHEN v_fits IS NOT TRUE THEN 'NOT_THE_PERSON'
                 WHEN v_asker.role <> 'RESIDENT' AND v_in_area IS NOT TRUE THEN 'OTHER_AREA' END,
            v_asker.day_limit,
            coalesce(decode(v_wire.identity[1], 'hex'), v_person.identity_index, uuid_send(v_found)),
            v_person.person_id, CASE WHEN v_fits THEN v_person.person_id END, v_person.county,
            coalesce(v_person.household_id, c_nowhere), v_adults, v_person.birth_date <= v_grown_up, v_in_area
        )::access.asked;
    END LOOP;
    RETURN v_resolved;
END $$;

CREATE OR REPLACE FUNCTION access.lock_bases(p_asked access.asked[]) RETURNS access.held_basis[]
LANGUAGE plpgsql AS $$
DECLARE
    v_held access.held_basis[];
BEGIN
    v_held := ARRAY (
        SELECT ROW(a.ordinal, b.basis_id, who.person_id, b.parts, b.heightened, b.effective_from, b.expires_at,
                   b.max_uses IS NOT NULL, who.person_id = a.person_id)::access.held_basis
        FROM unnest(p_asked) AS a
        CROSS JOIN LATERAL unnest(a.person_id || CASE WHEN a.others THEN a.adults END) AS who (person_id)
        CROSS JOIN LATERAL (SELECT who.person_id AS giver
                            UNION ALL
                            SELECT p.person_id FROM record.person p WHERE p.merged_into = who.person_id) g
        JOIN consent.basis b ON b.organisation_id = a.organisation_id AND b.person_id = g.giver
                            AND b.purpose = a.purpose AND b.status = 'IN_FORCE'
        WHERE a.refusal IS NULL AND a.person_id IS NOT NULL
        ORDER BY b.basis_id
        FOR SHARE OF b);
    IF cardinality(v_held) > 0 THEN
        PERFORM FROM consent.quota q
        WHERE q.basis_id = ANY (ARRAY (SELECT h.basis_id FROM unnest(v_held) AS h WHERE h.limited))
        ORDER BY q.basis_id
        FOR UPDATE;
    END IF;
    RETURN v_held;
END $$;

CREATE OR REPLACE FUNCTION auth.bearer_state(token text, bearer text)
    RETURNS TABLE (found_role text, person_id uuid, organisation_id text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT b.role, record.present_person(b.person_id), b.organisation_id
      FROM (SELECT c.role, NULL::uuid AS person_id, c.organisation_id
              FROM access.client c WHERE c.client_id = bearer AND c.status = 'ACTIVE'
            UNION ALL
            SELECT a.role, a.person_id, a.organisation_id
              FROM auth.account a WHERE a.account_id = bearer AND a.status = 'ACTIVE') b
     WHERE NOT EXISTS (SELECT FROM auth.revoked_token r WHERE r.jti = token)
$$;

CREATE OR REPLACE FUNCTION consent.person_of(p_account text, p_token text, p_at timestamptz)
RETURNS TABLE (person_id uuid, county char(6), name_index bytea)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT p.person_id, p.county, p.name_index
    FROM auth.account a JOIN record.person p ON p.person_id = record.present_person(a.person_id)
    WHERE a.account_id = p_account AND a.role = 'RESIDENT' AND a.status = 'ACTIVE' AND p.status = 'ACTIVE'
      AND p.birth_date <= ((p_at AT TIME ZONE 'Asia/Shanghai')::date - interval '18 years')::date
      AND NOT EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = p_token);
END $$;

CREATE OR REPLACE FUNCTION consent.grant_request(
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
    WHERE b.organisation_id = v_request.organisation_id AND b.person_id = ANY (record.same_person(v_request.person_id))
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

CREATE OR REPLACE FUNCTION consent.withdraw(p_account text, p_token text, p_consent uuid, p_at timestamptz, p_ev uuid)
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
    WHERE b.basis_id = p_consent AND b.kind = 'CONSENT' AND b.person_id = ANY (record.same_person(v_person.person_id))
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

CREATE OR REPLACE FUNCTION consent.consents_of(p_account text, p_token text, p_at timestamptz)
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
    JOIN consent.basis b ON b.person_id = ANY (record.same_person(p.person_id)) AND b.kind = 'CONSENT'
    JOIN access.organisation o ON o.organisation_id = b.organisation_id
    LEFT JOIN consent.quota q ON q.basis_id = b.basis_id
    ORDER BY b.effective_from DESC, b.basis_id;
END $$;

-- For the list of accesses, which lies under the ids that a person had when each was made.
CREATE FUNCTION auth.known_as(p_person uuid) RETURNS uuid[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT record.same_person(p_person)
$$;

REVOKE ALL ON FUNCTION record.present_person, record.same_person, auth.known_as FROM PUBLIC;
GRANT EXECUTE ON FUNCTION record.present_person, record.same_person TO hub_ingest;
GRANT EXECUTE ON FUNCTION auth.known_as TO hub_app;
