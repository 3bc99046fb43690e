-- The gate knows guardians and what those who gave a basis can give.

-- As in 0033, between the instants at which those who gave it can.
CREATE OR REPLACE FUNCTION access.lock_bases(p_asked access.asked[]) RETURNS access.held_basis[]
LANGUAGE plpgsql AS $$
DECLARE
    v_held access.held_basis[];
BEGIN
    v_held := ARRAY (
        SELECT ROW(a.ordinal, b.basis_id, who.person_id, b.parts, b.heightened, greatest(b.effective_from, c.can_from),
                   least(b.expires_at, c.can_until), b.max_uses IS NOT NULL, who.person_id = a.person_id, b.kind,
                   b.reference, f.fit)::access.held_basis
        FROM unnest(p_asked) AS a
        CROSS JOIN LATERAL unnest(a.person_id || CASE WHEN a.others THEN a.adults END) AS who (person_id)
        CROSS JOIN LATERAL (SELECT who.person_id AS giver
                            UNION ALL
                            SELECT p.person_id FROM record.person p WHERE p.merged_into = who.person_id) g
        JOIN consent.basis b ON b.organisation_id = a.organisation_id AND b.person_id = g.giver
                            AND b.purpose = a.purpose AND b.status = 'IN_FORCE'
                            AND (b.holder IS NULL OR b.holder = a.asker)
        CROSS JOIN LATERAL consent.fitness_of(b.kind, b.purpose, b.organisation_id, b.evidence_level, b.frozen_cause) f
        CROSS JOIN LATERAL consent.capacity_of(b.kind, b.given_by, b.basis_id, who.person_id, clock_timestamp()) c
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

-- A resident who names a ward of his asks as guardian: about the ward alone, whose place is his area. Anybody else, and he
-- himself once the ward is of age, is who he was.
CREATE FUNCTION access.as_guardian(p_asker access.asker, p_person uuid) RETURNS access.asker
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_asker access.asker := p_asker;
    v_ward  record;
BEGIN
    IF p_person IS NULL OR p_asker.role IS DISTINCT FROM 'RESIDENT' OR p_person = p_asker.own_person THEN
        RETURN p_asker;
    END IF;
    SELECT w.ward_id, w.county INTO v_ward FROM record.wards_of(p_asker.own_person, clock_timestamp()) w
    WHERE w.ward_id = record.present_person(p_person);
    IF FOUND AND EXISTS (SELECT FROM record.person p WHERE p.person_id = p_asker.own_person AND p.status = 'ACTIVE') THEN
        v_asker.role := 'GUARDIAN';
        v_asker.own_person := v_ward.ward_id;
        v_asker.county_codes := ARRAY[v_ward.county];
        v_asker.village_codes := '{}';
    END IF;
    RETURN v_asker;
END $$;

-- As in 0025; what is about the whole household belongs to its adults, and is theirs alone to stop.
CREATE OR REPLACE FUNCTION access.without_stopped(p_asked access.asked, p_basis access.held_basis, p_now timestamptz)
RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    v_own text[] := ARRAY (SELECT b.part FROM unnest(p_basis.parts) WITH ORDINALITY AS b (part, rank)
                           WHERE NOT access.is_household_part(b.part) ORDER BY b.rank);
BEGIN
    IF p_basis.kind <> 'CONSENT' OR cardinality(v_own) = cardinality(p_basis.parts) OR NOT EXISTS (
        SELECT FROM (
            SELECT b.person_id, b.status
            FROM record.person m
            JOIN consent.basis b ON b.person_id = m.person_id AND b.organisation_id = p_asked.organisation_id
                                AND b.purpose = p_asked.purpose AND b.kind = 'CONSENT' AND b.given_by = 'SELF'
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

-- As in 0025; a guardian is shown the ward and nobody else.
CREATE OR REPLACE FUNCTION access.rule_others(
    p_asked access.asked, p_held access.held_basis[], p_digest bytea, p_now timestamptz, p_print bytea
) RETURNS access.other_adult[]
LANGUAGE plpgsql AS $$
DECLARE
    v_others access.other_adult[] := '{}';
    v_one    record;
BEGIN
    FOR v_one IN
        SELECT DISTINCT ON (m.place) m.person_id, h.basis_id, h.limited
        FROM access.decision d
        CROSS JOIN unnest(p_asked.adults) WITH ORDINALITY AS m (person_id, place)
        LEFT JOIN unnest(p_held) AS h
               ON h.person_id = m.person_id
              AND consent.lack('IN_FORCE', h.effective_from, h.expires_at, h.fit, p_now) IS NULL
        -- The rule by which the person named was granted it: only what hangs on the basis is left to decide.
        WHERE d.digest = p_digest AND d.role = p_asked.role AND d.purpose = p_asked.purpose
          AND d.part = 'identity/VALUE' AND p_asked.role <> 'GUARDIAN'
          AND (NOT d.needs_basis OR 'identity/VALUE' = ANY (h.parts))
          AND (NOT d.needs_heightened_notice OR h.heightened)
        ORDER BY m.place, h.basis_id
    LOOP
        IF v_one.limited IS NOT TRUE
           OR access.use_basis(v_one.basis_id, p_asked.asker, p_asked.retry_key, p_print) THEN
            v_others := v_others || ROW(v_one.person_id, v_one.basis_id)::access.other_adult;
        END IF;
    END LOOP;
    RETURN v_others;
END $$;

-- As in 0031, and a resident may ask as guardian.
CREATE OR REPLACE FUNCTION access.resolve(p_requests jsonb, p_today date, p_spent int[]) RETURNS access.asked[]
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
    v_outside  boolean;
BEGIN
    FOR v_wire IN
        SELECT r.* FROM ROWS FROM (jsonb_to_recordset(p_requests) AS (
            asker text, token text, actor text, purpose text, parts text[], others boolean, operation text, ev uuid,
            sealed text, retry_key text, person uuid, identity text[], names text[], grant_id uuid)) WITH ORDINALITY
        AS r (asker, token, actor, purpose, parts, others, operation, ev, sealed, retry_key, person, identity, names,
              grant_id, ordinal)
    LOOP
        v_parts := v_wire.parts || CASE WHEN v_wire.others AND NOT 'identity/VALUE' = ANY (v_wire.parts)
                                        THEN '{identity/VALUE}' ELSE '{}' END::text[];
        IF cardinality(v_parts) NOT BETWEEN 1 AND 64
           OR array_to_string(v_parts, ' ', '?') !~ '^[A-Za-z_./]+( [A-Za-z_./]+)*$'
           OR num_nulls(v_wire.parts, v_wire.sealed, v_wire.ev, v_wire.operation, v_wire.actor, v_wire.asker,
                        v_wire.token) > 0 THEN
            RAISE EXCEPTION 'an incomplete request' USING ERRCODE = 'HB111';
        END IF;
        v_asker := access.as_guardian(access.find_asker(v_wire.asker), v_wire.person);
        v_refusal := CASE WHEN v_asker.role IS NULL THEN 'ASKER_UNKNOWN'
            WHEN EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = v_wire.token) THEN 'TOKEN_REVOKED'
            WHEN v_asker.status <> 'ACTIVE' THEN 'ASKER_SUSPENDED'
            WHEN access.is_unknown_officer(v_wire.asker, v_wire.actor) THEN 'OFFICER_UNKNOWN'
            WHEN v_wire.ordinal = ANY (p_spent) THEN 'PROOF_USED' END;
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
        -- A token that stands for a consent asks about that person and purpose only, while the consent is in force.
        v_outside := v_wire.grant_id IS NOT NULL AND v_person.person_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM consent.basis b
            WHERE b.basis_id = v_wire.grant_id AND b.organisation_id = v_asker.organisation_id
              AND b.purpose = v_wire.purpose AND b.status = 'IN_FORCE'
              AND record.present_person(b.person_id) = v_person.person_id);
        v_fits := v_fits AND NOT v_outside;
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
                 WHEN v_outside THEN 'OUTSIDE_GRANT'
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

-- As in 0039, with the guardian's event.
CREATE OR REPLACE FUNCTION access.record_of(
    p_asked access.asked, p_answer access.answer, p_cause text, p_persons text, p_digest bytea
) RETURNS audit.pending
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ROW(
        p_asked.ev, p_answer.as_of, 'query',
        CASE p_asked.role WHEN 'RESIDENT' THEN 'household:resident:queried'
                          WHEN 'GUARDIAN' THEN 'household:guardian:queried'
                          WHEN 'STEWARD' THEN 'household:steward:shown' ELSE 'profile:client:queried' END,
        p_asked.organisation_id, p_asked.actor, p_asked.purpose,
        CASE WHEN p_persons IS NULL THEN 'deny' WHEN cardinality(p_answer.withheld) > 0 THEN 'mask' ELSE 'allow' END,
        encode(p_digest, 'hex'), p_asked.operation, p_asked.county,
        CASE WHEN p_asked.found_id IS NULL THEN '{}' ELSE p_asked.found_id || p_answer.other_adults END,
        ('{"asOf":"' || to_char(p_answer.as_of AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD"T"HH24:MI:SS.US')
            || '+08:00","client":' || to_json(p_asked.asker)::text || ',"token":' || to_json(p_asked.token)::text
            || coalesce(',"role":"' || p_asked.role || '"', '')
            || CASE WHEN p_asked.role = 'RESIDENT' THEN coalesce((
                   SELECT ',"assistant":' || to_json(a.assistant)::text || ',"assistanceReason":"' || a.reason || '"'
                   FROM auth.assistance_of(p_asked.token) a), '') ELSE '' END
            || coalesce(',"idempotencyKey":' || to_json(p_asked.retry_key)::text, '')
            || coalesce(',"reason":"' || p_cause || '"', '')
            || coalesce(',"adultsNotShown":' || p_answer.adults_not_shown, '')
            || ',"asked":' || access.as_facts(p_asked.parts) || ',"withheld":' || access.as_facts(p_answer.withheld)
            || ',"absent":' || access.as_facts(p_answer.absent)
            || coalesce(',"persons":{' || access.with_circumstances(p_asked, p_answer, p_persons) || '}', '')
            || '}')::jsonb,
        p_asked.sealed)::audit.pending;
END $$;

INSERT INTO audit.event_name (name) VALUES
    ('consent:guardian:agreed'), ('consent:guardian:granted'), ('consent:guardian:refused'), ('consent:guardian:withdrawn'),
    ('consent:resident:agreed'), ('guardianship:hub:ended'), ('guardianship:steward:decided'), ('guardianship:steward:ended'),
    ('guardianship:steward:proposed'), ('history:guardian:queried'), ('household:guardian:queried'),
    ('wards:guardian:listed');
REVOKE ALL ON consent.agreement FROM PUBLIC;
REVOKE ALL ON FUNCTION record.end_guardianship FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA access, consent FROM PUBLIC;
GRANT EXECUTE ON FUNCTION record.end_guardianship TO hub_ingest;
GRANT EXECUTE ON FUNCTION
    consent.requests_of, consent.refuse_request, consent.change, consent.consents_of, consent.agree_for_minor,
    consent.wards_of
TO hub_app;
