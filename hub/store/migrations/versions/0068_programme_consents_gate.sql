-- The gate answers about a programme on the consent for that version of it.

-- As in 0046; what stops a household's parts is another adult's no to the same programme.
CREATE OR REPLACE FUNCTION access.without_stopped(p_asked access.asked, p_basis access.held_basis, p_now timestamptz)
RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    v_own text[] := ARRAY (SELECT b.part FROM unnest(p_basis.parts) WITH ORDINALITY AS b (part, rank)
                           WHERE NOT access.is_household_part(b.part) ORDER BY b.rank);
BEGIN
    IF p_basis.kind <> 'CONSENT' OR cardinality(v_own) = cardinality(p_basis.parts) OR NOT EXISTS (
        SELECT FROM (
            SELECT m.person_id, b.status
            FROM record.person m
            JOIN consent.basis b ON b.person_id = ANY (record.same_person(m.person_id)) AND b.organisation_id = p_asked.organisation_id
                                AND b.purpose = p_asked.purpose AND b.kind = 'CONSENT' AND b.given_by = 'SELF'
                                AND b.reference IS NOT DISTINCT FROM p_basis.reference
                                AND b.status IN ('IN_FORCE', 'SUSPENDED', 'WITHDRAWN')
                                AND (b.expires_at > p_now OR b.ended_at >= p_basis.effective_from)
            WHERE m.county = p_asked.county AND m.household_id = p_asked.household_id AND m.status = 'ACTIVE'
              AND m.person_id <> p_asked.person_id
            FOR SHARE OF b) k
        GROUP BY k.person_id HAVING NOT bool_or(k.status = 'IN_FORCE')) THEN
        RETURN p_basis.parts;
    END IF;
    RETURN v_own;
END $$;

-- Those of the bases that name this version and cover all that it reads. A consent that leaves one of these parts out, or
-- lacks the notice that one needs, is none for this programme.
DROP FUNCTION benefit.covering(access.asked, access.held_basis[], text[], timestamptz);
CREATE FUNCTION benefit.covering(
    p_asked access.asked, p_held access.held_basis[], p_programme benefit.programme, p_now timestamptz
) RETURNS access.held_basis[]
LANGUAGE plpgsql AS $$
DECLARE
    v_basis    access.held_basis;
    v_covering access.held_basis[] := '{}';
BEGIN
    FOREACH v_basis IN ARRAY p_held LOOP
        IF v_basis.reference = p_programme.programme_id || '@' || p_programme.version
           AND p_programme.reads <@ access.without_stopped(p_asked, v_basis, p_now)
           AND (v_basis.heightened OR NOT 'tax.band/BAND' = ANY (p_programme.reads)) THEN
            v_covering := v_covering || v_basis;
        END IF;
    END LOOP;
    RETURN v_covering;
END $$;

-- As in 0061.
CREATE OR REPLACE FUNCTION benefit.may_know(p_decision benefit.decision, p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_today     date := (p_now AT TIME ZONE 'Asia/Shanghai')::date;
    v_programme benefit.programme;
    v_asked     access.asked;
BEGIN
    SELECT g.* INTO v_programme FROM benefit.programme g
    WHERE g.programme_id = p_decision.programme_id AND g.version = p_decision.version AND g.retired_at IS NULL
      AND g.begins_on <= v_today AND v_today < g.ends_on AND p_decision.period = benefit.period_of(g.period, v_today)
      AND EXISTS (SELECT FROM access.client c WHERE c.organisation_id = g.organisation_id AND c.status = 'ACTIVE'
                  AND 'BENEFIT_ELIGIBILITY' = ANY (c.purposes));
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    SELECT p.person_id, p.county, p.household_id INTO v_asked.person_id, v_asked.county, v_asked.household_id
    FROM record.person p
    WHERE p.person_id = record.present_person(p_decision.person_id) AND p.status = 'ACTIVE';
    v_asked.ordinal := 1;
    v_asked.organisation_id := v_programme.organisation_id;
    v_asked.purpose := 'BENEFIT_ELIGIBILITY';
    v_asked.others := false;
    RETURN EXISTS (
        SELECT FROM unnest(benefit.covering(v_asked, access.lock_bases(ARRAY[v_asked]), v_programme, p_now)) AS h
        WHERE 'eligibility/YES_NO' = ANY (h.parts)
          AND consent.lack('IN_FORCE', h.effective_from, h.expires_at, h.fit, p_now) IS NULL);
END $$;

-- As in 0044; a token that stands for a consent asks about the programme of that consent only.
CREATE OR REPLACE FUNCTION benefit.assess(p_request jsonb) RETURNS benefit.assessment
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    c_part      CONSTANT text := 'eligibility/YES_NO';
    v_today     date := (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date;
    v_now       timestamptz;
    v_wire      jsonb;
    v_digest    bytea;
    v_asked     access.asked;
    v_held      access.held_basis[];
    v_over      int[];
    v_programme benefit.programme;
    v_ruling    access.ruling;
    v_decision  benefit.decision;
    v_told      benefit.assessment;
    v_repeated  boolean := false;
BEGIN
    IF jsonb_typeof(p_request) IS DISTINCT FROM 'object' OR jsonb_typeof(p_request -> 'programme') IS DISTINCT FROM 'string' THEN
        RAISE EXCEPTION 'an incomplete request' USING ERRCODE = 'HB111';
    END IF;
    SELECT s.digest INTO v_digest FROM access.policy_set s WHERE s.retired_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no access rules are in force' USING ERRCODE = 'HB110';
    END IF;
    v_wire := jsonb_build_array(p_request || jsonb_build_object(
        'purpose', 'BENEFIT_ELIGIBILITY', 'parts', jsonb_build_array(c_part), 'others', false));
    v_asked := (access.resolve(v_wire, v_today, access.use_proofs(v_wire)))[1];
    SELECT g.* INTO v_programme FROM benefit.programme g
    WHERE g.programme_id = p_request ->> 'programme' AND g.organisation_id = v_asked.organisation_id
      AND g.approved_at IS NOT NULL AND g.retired_at IS NULL AND g.begins_on <= v_today AND v_today < g.ends_on;
    IF NOT FOUND AND v_asked.refusal IS NULL THEN
        v_asked.refusal := 'PROGRAMME_UNKNOWN';
        v_asked.barred := 'PROGRAMME_UNKNOWN';
    END IF;
    v_held := ARRAY (SELECT h FROM unnest(access.lock_bases(ARRAY[v_asked])) AS h
                     WHERE h.basis_id = coalesce((p_request ->> 'grant_id')::uuid, h.basis_id) ORDER BY h.basis_id);
    v_over := access.count_subjects(ARRAY[v_asked], v_today);
    v_now := clock_timestamp();
    v_ruling := access.rule_named(
        v_asked, benefit.covering(v_asked, v_held, v_programme, v_now), v_over, v_digest, v_now,
        CASE WHEN v_asked.retry_key IS NOT NULL THEN sha256(v_asked.operation || v_asked.subject_key || convert_to(
            'BENEFIT_ELIGIBILITY ' || (p_request ->> 'programme'), 'UTF8')) END);
    v_told.refusal := v_asked.refusal;
    v_told.organisation_id := v_asked.organisation_id;
    v_told.version := v_programme.version;
    v_told.period := benefit.period_of(v_programme.period, v_today);
    IF c_part = ANY (v_ruling.granted) THEN
        PERFORM pg_advisory_xact_lock(hashtextextended(v_asked.person_id || ' ' || v_asked.organisation_id, 54));
        SELECT d.* INTO v_decision FROM benefit.decision d
        WHERE d.person_id = ANY (record.same_person(v_asked.person_id)) AND d.programme_id = v_programme.programme_id
          AND d.version = v_programme.version AND d.period = v_told.period
        ORDER BY d.decided_at LIMIT 1;
        v_repeated := FOUND;
        IF NOT v_repeated AND benefit.is_probing(v_asked.person_id, v_programme, v_now) THEN
            v_ruling.granted := '{}';
            v_ruling.withheld := ARRAY[c_part || '=QUOTA'];
            v_ruling.cause := 'PROBING';
        ELSE
            IF NOT v_repeated THEN
                v_decision := benefit.decide(v_asked, v_programme, v_told.period, v_now);
            END IF;
            v_told.person_id := v_asked.person_id;
            v_told.answer := CASE WHEN v_decision.decision_id IS NULL THEN 'CANNOT_SAY'
                                  WHEN v_decision.overturned THEN 'YES' ELSE v_decision.answer END;
            v_told.decision_id := v_decision.decision_id;
            v_told.decided_at := v_decision.decided_at;
            v_told.valid_until := CASE WHEN v_decision.decision_id IS NOT NULL THEN
                least(benefit.period_end(v_programme.period, v_today), v_programme.ends_on) END;
        END IF;
    END IF;
    v_told.withheld := v_ruling.withheld;
    -- Nothing is returned without the record; this commit leaves the disk to the sequencer, as that of access.disclose.
    PERFORM access.record_all(ARRAY[benefit.record_of(
                v_asked, v_ruling, left(p_request ->> 'programme', 40), v_told, v_repeated, v_digest, v_now)]),
            set_config('synchronous_commit', 'off', true);
    RETURN v_told;
END $$;

-- As in 0042, with the programme (`id@version`).
DROP FUNCTION consent.consents_of(text, text, timestamptz, uuid);
CREATE FUNCTION consent.consents_of(p_account text, p_token text, p_at timestamptz, p_ward uuid DEFAULT NULL)
RETURNS TABLE (consent_id uuid, organisation_id text, name_zh text, name_en text, purpose text, parts text[],
               heightened boolean, effective_from timestamptz, expires_at timestamptz, max_uses int, uses int,
               status text, ended_at timestamptz, evidence_level smallint, programme text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT b.consent_id, b.organisation_id, o.name_zh, o.name_en, b.purpose, b.parts, b.heightened, b.effective_from,
           b.expires_at, b.max_uses, coalesce(q.uses, 0), s.standing, b.ended_at, b.evidence_level,
           b.reference
    FROM consent.party_of(p_account, p_token, p_at, p_ward) p
    JOIN consent.basis b ON b.person_id = ANY (record.same_person(p.person_id)) AND b.kind = 'CONSENT'
    CROSS JOIN LATERAL consent.standing(b.basis_id, p_at) s
    JOIN access.organisation o ON o.organisation_id = b.organisation_id
    LEFT JOIN consent.quota q ON q.basis_id = b.basis_id
    ORDER BY b.effective_from DESC, b.basis_id;
END $$;

-- As in 0027, with the programme.
DROP FUNCTION auth.grant_of(text, uuid);
CREATE FUNCTION auth.grant_of(p_client text, p_grant uuid)
    RETURNS TABLE (is_in_force boolean, status text, organisation_id text, person_id uuid, purpose text, parts text[],
                   application_ref text, effective_from timestamptz, expires_at timestamptz, max_uses int, uses int,
                   programme text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.status = 'ACTIVE' AND s.standing = 'IN_FORCE', s.standing,
           b.organisation_id, record.present_person(b.person_id), b.purpose, b.parts, r.application_ref,
           b.effective_from, b.expires_at, b.max_uses, coalesce(q.uses, 0), b.reference
      FROM consent.basis b
      JOIN consent.record k ON k.consent_id = b.consent_id
      JOIN consent.request r ON r.request_id = k.request_id AND r.client_id = p_client
      JOIN access.client c ON c.client_id = p_client AND c.organisation_id = b.organisation_id
     CROSS JOIN LATERAL consent.standing(b.basis_id, clock_timestamp()) s
      LEFT JOIN consent.quota q ON q.basis_id = b.basis_id
     WHERE b.basis_id = p_grant
$$;

-- As in 0052: the basis names the programme that the signed record names.
CREATE OR REPLACE FUNCTION consent.standing_records(p_after uuid, p_limit int)
RETURNS TABLE (consent_id uuid, person_id uuid, county char(6), organisation_id text, purpose text, terms bytea,
               signature bytea, protected text, agrees boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT r.consent_id, b.person_id, b.county, b.organisation_id, b.purpose, r.terms, r.signature, r.protected,
           r.digest = sha256(r.terms) AND k.t ->> 'consentId' = b.basis_id::text AND k.t ->> 'purpose' = b.purpose
           AND (k.t #>> '{programme,id}') || '@' || (k.t #>> '{programme,version}') IS NOT DISTINCT FROM b.reference
           AND k.t ->> 'recipient' = b.organisation_id AND k.t ->> 'subject' = b.person_id::text
           AND b.parts <@ ARRAY (SELECT jsonb_array_elements_text(k.t -> 'parts'))
           AND b.expires_at <= (k.t ->> 'expiresAt')::timestamptz
           AND (k.t -> 'indicatedBy' ->> 'kind' IS NOT DISTINCT FROM 'GUARDIAN') = (b.given_by = 'GUARDIAN')
           AND coalesce(b.max_uses <= (k.t ->> 'maxUses')::int, false)
    FROM consent.basis b JOIN consent.record r ON r.consent_id = b.consent_id
    CROSS JOIN LATERAL (SELECT convert_from(r.terms, 'UTF8')::jsonb AS t) k
    WHERE b.status IN ('IN_FORCE', 'SUSPENDED') AND (p_after IS NULL OR b.basis_id > p_after)
    ORDER BY b.basis_id LIMIT p_limit
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA consent, benefit, access FROM PUBLIC;
REVOKE ALL ON FUNCTION auth.grant_of FROM PUBLIC;
GRANT EXECUTE ON FUNCTION consent.ask, consent.requests_of, consent.requests_shown, consent.consents_of, auth.grant_of TO hub_app;
