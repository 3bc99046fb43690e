-- Reading, recording and the gate itself; the decisions before it stand in 0007_rulings.sql.

-- Sections about the household as a whole carry the zero id and belong to the person named (hub/access/parts.py).
CREATE FUNCTION access.is_household_part(p_part text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT split_part(p_part, '/', 1) IN ('roster', 'civil.relief')
$$;

-- One section as the audit log writes it: ["tax.grade", "VALUE", "", 3, "<digest>"].
CREATE FUNCTION access.log_line(p_category text, p_form text, p_owner text, p_version int, p_digest bytea) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT '["' || p_category || '","' || p_form || '",'
           || CASE p_owner WHEN '' THEN '""' ELSE to_json(p_owner)::text END || ',' || p_version
           || ',"' || encode(p_digest, 'hex') || '"]'
$$;

-- What was read about the person named: sections in four arrays of one length, and what the audit log says of them.
CREATE TYPE access.reading AS (
    persons uuid[],
    parts   text[],
    owners  text[],
    bodies  text[],
    lines   text
);

-- Read what the person named granted, and nothing else. Every look-up names person, category and form, as a range from
-- one key to the same key: only the primary key can serve that, whereas single columns tempt the planner to look up the
-- whole household and sort out afterwards. OFFSET 0 keeps it from doing so by way of a join. Own contracts in detail,
-- all others' as totals without a lender's name; a resident and a steward see every owner's detail.
CREATE FUNCTION access.read_sections(p_asked access.asked, p_parts text[]) RETURNS access.reading
LANGUAGE plpgsql STABLE AS $$
DECLARE
    c_household CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    v_reading   access.reading;
BEGIN
    SELECT array_agg(k.about), array_agg(k.part), array_agg(k.owner), array_agg(k.body), string_agg(k.lines, ',')
    INTO v_reading
    FROM (
        SELECT g.rank, s.owner, s.person_id AS about, g.part, s.body, s.lines
        FROM unnest(p_parts) WITH ORDINALITY AS g (part, rank)
        CROSS JOIN LATERAL (
            SELECT split_part(g.part, '/', 1) AS category, split_part(g.part, '/', 2) AS form,
                   CASE WHEN access.is_household_part(g.part) THEN c_household ELSE p_asked.person_id END AS about
        ) key
        CROSS JOIN LATERAL (
            SELECT s.owner, s.person_id, s.body,
                   access.log_line(s.category, s.form, s.owner, s.fold_version, s.digest) AS lines
            FROM record.section s
            WHERE (s.county, s.household_id, s.person_id, s.category, s.form)
                  BETWEEN (p_asked.county, p_asked.household_id, key.about, key.category, key.form)
                  AND (p_asked.county, p_asked.household_id, key.about, key.category, key.form)
              AND (s.owner IN ('', p_asked.organisation_id) OR p_asked.role IN ('RESIDENT', 'STEWARD'))
            OFFSET 0
        ) s
        WHERE g.part NOT LIKE '%/TOTAL'
        UNION ALL
        SELECT g.rank, '', p_asked.person_id, g.part, t.body, t.lines
        FROM unnest(p_parts) WITH ORDINALITY AS g (part, rank)
        CROSS JOIN LATERAL (
            SELECT CASE g.part
                       WHEN 'bank.loan/TOTAL' THEN
                           '{"lenders":' || count(*) || ',"loans":' || sum((b.body ->> 'loans')::int)
                           || ',"totalBalance":"' || sum((b.body ->> 'balance')::numeric) || '","worstClass":'
                           || coalesce('"' || max(b.body ->> 'worstClass') || '"', 'null') || '}'
                       WHEN 'bank.line/TOTAL' THEN
                           '{"lenders":' || count(*) || ',"totalAmount":"'
                           || sum((b.body ->> 'amount')::numeric) || '"}'
                   END AS body,
                   string_agg(access.log_line(s.category, s.form, s.owner, s.fold_version, s.digest), ','
                              ORDER BY s.owner) AS lines
            FROM record.section s
            CROSS JOIN LATERAL (SELECT s.body::jsonb AS body OFFSET 0) b
            WHERE (s.county, s.household_id, s.person_id, s.category, s.form)
                  BETWEEN (p_asked.county, p_asked.household_id, p_asked.person_id, split_part(g.part, '/', 1), 'TOTAL')
                  AND (p_asked.county, p_asked.household_id, p_asked.person_id, split_part(g.part, '/', 1), 'TOTAL')
              AND s.owner <> p_asked.organisation_id
            HAVING count(*) > 0
        ) t
        WHERE g.part LIKE '%/TOTAL'
        ORDER BY 1, 2
    ) k;
    RETURN v_reading;
END $$;

-- The kind of source that delivers a part, as ingest.source_state names it; null for what is derived.
CREATE FUNCTION access.source_of(p_part text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE split_part(split_part(p_part, '/', 1), '.', 1)
        WHEN 'tax' THEN 'tax-rest' WHEN 'social' THEN 'social-view' WHEN 'clinic' THEN 'clinic-sftp'
        WHEN 'bank' THEN 'bank-files' WHEN 'civil' THEN 'civil-soap' WHEN 'roster' THEN 'civil-soap'
        WHEN 'identity' THEN 'civil-soap' END
$$;

-- The granted parts that have no section, each with its reason: the worst that is known of the sources of its kind.
CREATE FUNCTION access.absences(p_granted text[], p_found text[], p_now timestamptz) RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY (
        SELECT g.part || '=' || (
            SELECT CASE WHEN bool_or(s.last_status = 'FAILED') THEN 'SOURCE_DOWN'
                        WHEN bool_or(s.last_ok_at < p_now - interval '45 days') THEN 'STALE' ELSE 'NOT_REPORTED' END
            FROM ingest.source_state s WHERE s.kind = access.source_of(g.part))
        FROM unnest(p_granted) WITH ORDINALITY AS g (part, rank)
        WHERE p_found IS NULL OR NOT g.part = ANY (p_found)
        ORDER BY g.rank);
END $$;

-- What one request of access.disclose gives back. Sections stand in four arrays of one length.
CREATE TYPE access.answer AS (
    ordinal          int,
    refusal          text,
    as_of            timestamptz,
    organisation_id  text,
    person_id        uuid,
    basis_id         uuid,
    other_adults     uuid[],
    adults_not_shown int,
    section_persons  uuid[],
    section_parts    text[],
    section_owners   text[],
    section_bodies   text[],
    withheld         text[],
    absent           text[]
);

-- The same together with the record of it, on the way inside the function.
CREATE TYPE access.recorded_answer AS (answer access.answer, record audit.pending);

-- `a.b/VALUE=REASON` -> ["a.b", "VALUE", "REASON"], as the audit log writes it. By text: access.disclose lets no part
-- through that holds anything but letters, dots and underscores.
CREATE FUNCTION access.as_facts(p_lines text[]) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN cardinality(p_lines) = 0 THEN '[]' ELSE
        '[["' || replace(replace(array_to_string(p_lines, '"],["'), '/', '","'), '=', '","') || '"]]' END
$$;

-- What the audit log says of one person.
CREATE FUNCTION access.person_facts(
    p_person uuid, p_named boolean, p_household uuid, p_basis uuid, p_lines text
) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT '"' || p_person || '":{"named":' || p_named || ',"household":"' || p_household
           || coalesce('","basis":"' || p_basis, '') || '","sections":[' || coalesce(p_lines, '') || ']}'
$$;

-- The record of one request, as it goes into the outbox; `persons` says what left about each of them and is null where
-- nothing did. Facts are put together as text, which is parsed once: whatever a caller chose is quoted by to_json,
-- everything else is an id, a number or a word of the hub's own.
CREATE FUNCTION access.record_of(
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
            || coalesce(',"persons":{' || coalesce(p_persons, '"' || p_asked.found_id || '":{"named":true}') || '}', '')
            || '}')::jsonb,
        p_asked.sealed)::audit.pending;
END $$;

-- Decide, read and record one resolved request. `p_held`: the bases locked for it.
CREATE FUNCTION access.answer_one(
    p_asked access.asked, p_held access.held_basis[], p_over int[], p_digest bytea, p_now timestamptz
) RETURNS access.recorded_answer
LANGUAGE plpgsql AS $$
DECLARE
    v_print   bytea;
    v_ruling  access.ruling;
    v_answer  access.answer;
    v_own     text[];
    v_reading access.reading;
    v_persons text;
    v_other   access.other_adult;
    v_others  access.other_adult[] := '{}';
    v_body    text;
    v_line    text;
BEGIN
    IF p_asked.retry_key IS NOT NULL THEN
        v_print := sha256(p_asked.operation || p_asked.subject_key || convert_to(p_asked.purpose, 'UTF8')
                          || convert_to(array_to_string(p_asked.parts, ','), 'UTF8'));
    END IF;
    v_ruling := access.rule_named(p_asked, p_held, p_over, p_digest, p_now, v_print);
    v_answer := ROW(
        p_asked.ordinal, p_asked.refusal, p_now, p_asked.organisation_id, v_ruling.person_id, v_ruling.basis_id, '{}',
        NULL, NULL, NULL, NULL, NULL, v_ruling.withheld, '{}');
    IF cardinality(v_ruling.granted) > 0 THEN
        IF p_asked.others AND 'identity/VALUE' = ANY (v_ruling.granted) THEN
            v_others := access.rule_others(p_asked, p_held, p_digest, p_now, v_print);
        END IF;
        IF 'roster/VALUE' = ANY (v_ruling.granted) THEN
            v_answer.adults_not_shown := cardinality(p_asked.adults) - cardinality(v_others);
        END IF;
        v_own := CASE WHEN 'identity/VALUE' = ANY (p_asked.own_parts) THEN v_ruling.granted
                      ELSE array_remove(v_ruling.granted, 'identity/VALUE') END;
        v_reading := access.read_sections(p_asked, v_own);
        v_persons := access.person_facts(
            p_asked.person_id, true, p_asked.household_id, v_ruling.basis_id, v_reading.lines);
        v_answer.section_persons := v_reading.persons;
        v_answer.section_parts := v_reading.parts;
        v_answer.section_owners := v_reading.owners;
        v_answer.section_bodies := v_reading.bodies;
        IF v_reading.parts IS NULL OR NOT v_own <@ v_reading.parts THEN
            v_answer.absent := access.absences(v_own, v_reading.parts, p_now);
        END IF;
        FOREACH v_other IN ARRAY v_others LOOP
            SELECT s.body, access.log_line(s.category, s.form, s.owner, s.fold_version, s.digest)
            INTO v_body, v_line FROM record.section s
            WHERE (s.county, s.household_id, s.person_id, s.category, s.form, s.owner)
                  BETWEEN (p_asked.county, p_asked.household_id, v_other.person_id, 'identity', 'VALUE', '')
                  AND (p_asked.county, p_asked.household_id, v_other.person_id, 'identity', 'VALUE', '');
            IF FOUND THEN
                v_answer.section_persons := v_answer.section_persons || v_other.person_id;
                v_answer.section_parts := v_answer.section_parts || 'identity/VALUE'::text;
                v_answer.section_owners := v_answer.section_owners || ''::text;
                v_answer.section_bodies := v_answer.section_bodies || v_body;
            END IF;
            v_answer.other_adults := v_answer.other_adults || v_other.person_id;
            v_persons := v_persons || ',' || access.person_facts(
                v_other.person_id, false, p_asked.household_id, v_other.basis_id, v_line);
        END LOOP;
    END IF;
    RETURN ROW(v_answer, access.record_of(p_asked, v_answer, v_ruling.cause, v_persons, p_digest));
END $$;

-- Put the records into the outbox, all at once.
CREATE FUNCTION access.record_all(p_records audit.pending[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit.pending SELECT * FROM unnest(p_records);
END $$;

-- The gate. `requests`: 1 to 32 objects {asker, token, actor, purpose, parts, others, operation (hex), ev, sealed
-- (base64), retry_key, and person | identity + names (hex)}; see hub/flows/disclose.py. One row per request, in order.
--
-- The planner is kept to look-ups by key: neither its guesses about arrays nor tables that were empty when a connection
-- was new may make it read more than was granted.
CREATE FUNCTION access.disclose(requests jsonb) RETURNS SETOF access.answer
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
    v_asked := access.resolve(requests, v_today);
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

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA access FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access.disclose(jsonb), access.organisation_of(text) TO hub_app;
