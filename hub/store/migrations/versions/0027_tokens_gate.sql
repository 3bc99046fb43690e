-- The gate takes the proof of possession with the request and the grant that the token stands for: no round trip more.

-- Marks the proofs of all requests of a call as used, first of all locks and in the order of their digests; gives the
-- ordinals of those whose proof had been used before.
CREATE FUNCTION access.use_proofs(p_requests jsonb) RETURNS int[]
LANGUAGE plpgsql AS $$
DECLARE
    v_spent int[];
BEGIN
    IF NOT p_requests @? '$[*].proof' THEN
        RETURN '{}';
    END IF;
    PERFORM auth.clear_proofs();
    WITH given AS MATERIALIZED (
        SELECT r.ordinal, decode(r.proof, 'hex') AS digest, r.proof_until
        FROM ROWS FROM (jsonb_to_recordset(p_requests) AS (proof text, proof_until timestamptz)) WITH ORDINALITY
        AS r (proof, proof_until, ordinal)
        WHERE r.proof IS NOT NULL
    ), kept AS (
        INSERT INTO auth.used_proof (digest, expires_at)
        SELECT g.digest, max(g.proof_until) FROM given g GROUP BY g.digest ORDER BY g.digest
        ON CONFLICT DO NOTHING
        RETURNING digest
    )
    SELECT coalesce(array_agg(g.ordinal), '{}') INTO v_spent
    FROM given g
    WHERE g.ordinal NOT IN (SELECT min(f.ordinal) FROM given f JOIN kept k ON k.digest = f.digest GROUP BY f.digest);
    RETURN v_spent;
END $$;

-- As in 0009, but for the proof and the grant of a request.
DROP FUNCTION access.resolve(jsonb, date);
CREATE FUNCTION access.resolve(p_requests jsonb, p_today date, p_spent int[]) RETURNS access.asked[]
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
        v_asker := access.find_asker(v_wire.asker);
        v_refusal := CASE WHEN v_asker.role IS NULL THEN 'ASKER_UNKNOWN'
            WHEN EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = v_wire.token) THEN 'TOKEN_REVOKED'
            WHEN v_asker.status <> 'ACTIVE' THEN 'ASKER_SUSPENDED'
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

-- As in 0007; a request may also carry proof (hex), proof_until, and grant_id.
CREATE OR REPLACE FUNCTION access.disclose(requests jsonb) RETURNS SETOF access.answer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s'
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off
    SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_today   date := (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date;
    v_asked   access.asked[];
    v_held    access.held_basis[];
    v_for     int[] := '{}';  -- the request that each of them is held for
    v_basis   access.held_basis;
    v_mine    access.held_basis[];
    v_at      int;
    v_over    int[];
    v_digest  bytea;
    v_now     timestamptz;
    v_one     access.asked;
    v_done    access.recorded_answer;
    v_records audit.pending[] := '{}';
BEGIN
    IF jsonb_typeof(requests) <> 'array' OR jsonb_array_length(requests) NOT BETWEEN 1 AND 32 THEN
        RAISE EXCEPTION 'from 1 to 32 requests in one call' USING ERRCODE = 'HB111';
    END IF;
    SELECT s.digest INTO v_digest FROM access.policy_set s WHERE s.retired_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no access rules are in force' USING ERRCODE = 'HB110';
    END IF;
    v_asked := access.resolve(requests, v_today, access.use_proofs(requests));
    v_held := access.lock_bases(v_asked);
    v_over := access.count_subjects(v_asked, v_today);
    v_now := clock_timestamp();  -- after the locks: what has run out while waiting is not in force
    FOREACH v_basis IN ARRAY v_held LOOP
        v_for := v_for || v_basis.ordinal;
    END LOOP;
    FOREACH v_one IN ARRAY v_asked LOOP
        v_mine := '{}';
        FOREACH v_at IN ARRAY array_positions(v_for, v_one.ordinal) LOOP
            v_mine := v_mine || v_held[v_at];
        END LOOP;
        v_done := access.answer_one(v_one, v_mine, v_over, v_digest, v_now);
        v_records := v_records || v_done.record;
        RETURN NEXT v_done.answer;
    END LOOP;
    -- Rows are handed over when the function ends: without the record nothing is returned. This commit need not reach
    -- the disk by itself: the answer leaves after the commit of the sequencer, later in the same write-ahead log.
    PERFORM access.record_all(v_records), set_config('synchronous_commit', 'off', true);
END $$;

REVOKE ALL ON FUNCTION access.use_proofs, access.resolve FROM PUBLIC;
