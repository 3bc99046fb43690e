-- Reading, recording and the gate itself; the decisions before it stand in 0007_rulings.sql.

-- Sections about the household as a whole carry the zero id and belong to the person named (hub/access/parts.py).
CREATE FUNCTION access.is_household_part(p_part text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT split_part(p_part, '/', 1) IN ('roster', 'civil.relief')
$$;

-- Other lenders' totals of one person as one: numbers only, no lender's name.
CREATE FUNCTION access.sum_totals(p_category text, p_bodies text[]) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_category
        WHEN 'bank.loan' THEN format('{"lenders":%s,"loans":%s,"totalBalance":"%s","worstClass":%s}', count(*),
                                     sum((t.body ->> 'loans')::int), sum((t.body ->> 'balance')::numeric),
                                     coalesce(to_json(max(t.body ->> 'worstClass'))::text, 'null'))
        WHEN 'bank.line' THEN format('{"lenders":%s,"totalAmount":"%s"}', count(*),
                                     sum((t.body ->> 'amount')::numeric))
        END
    FROM (SELECT b.text::jsonb AS body FROM unnest(p_bodies) AS b (text)) t
$$;

-- Read what was granted, and nothing else. Own contracts in detail, all others' as totals; a resident and a steward
-- see every owner's detail. `trail` says per person which sections left, for the audit log.
CREATE FUNCTION access.read_sections(
    p_asked access.asked, p_rulings access.ruling[],
    OUT persons uuid[], OUT parts text[], OUT owners text[], OUT bodies text[], OUT trail jsonb
)
LANGUAGE sql STABLE AS $$
    WITH found AS MATERIALIZED (
        SELECT r.person_id, r.place, g.part, g.rank, s.person_id AS about, s.category, s.form, s.owner, s.body,
               s.fold_version, s.digest
        FROM unnest(p_rulings) WITH ORDINALITY AS r (person_id, basis_id, granted, withheld, place)
        CROSS JOIN LATERAL unnest(r.granted) WITH ORDINALITY AS g (part, rank)
        JOIN record.section s
          ON s.county = p_asked.county
         AND s.household_id = coalesce(p_asked.household_id, '00000000-0000-0000-0000-000000000000')
         AND s.person_id = CASE WHEN access.is_household_part(g.part) THEN '00000000-0000-0000-0000-000000000000'
                                ELSE r.person_id END
         AND s.category = split_part(g.part, '/', 1) AND s.form = split_part(g.part, '/', 2)
        WHERE (r.place > 1 OR g.part = ANY (p_asked.own_parts))
          AND (s.owner = ''
               OR CASE WHEN s.form = 'TOTAL' THEN s.owner <> p_asked.organisation_id
                       ELSE s.owner = p_asked.organisation_id OR p_asked.role IN ('RESIDENT', 'STEWARD') END)
    ), shown AS (
        SELECT f.place, f.rank, f.about, f.part, f.owner, f.body FROM found f WHERE f.form <> 'TOTAL'
        UNION ALL
        SELECT f.place, f.rank, f.about, f.part, '', access.sum_totals(f.category, array_agg(f.body))
        FROM found f WHERE f.form = 'TOTAL' GROUP BY f.place, f.rank, f.about, f.part, f.category
    ), told AS (
        SELECT f.person_id, json_agg(json_build_array(f.category, f.form, f.owner, f.fold_version,
                                                      encode(f.digest, 'hex'))) AS sections
        FROM (SELECT * FROM found ORDER BY rank, owner) f GROUP BY f.person_id
    )
    SELECT array_agg(s.about), array_agg(s.part), array_agg(s.owner), array_agg(s.body),
           (SELECT jsonb_object_agg(t.person_id::text, t.sections) FROM told t)
    FROM (SELECT * FROM shown ORDER BY place, rank, owner) s
$$;

-- Why a granted part of an agency's category has no value: per kind of source, the worst of its sources.
CREATE FUNCTION access.source_reasons(p_now timestamptz) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_object_agg(k.kind, k.reason), '{}')
    FROM (SELECT s.kind, CASE WHEN bool_or(s.last_status = 'FAILED') THEN 'SOURCE_DOWN'
                              WHEN bool_or(s.last_ok_at < p_now - interval '45 days') THEN 'STALE'
                              ELSE 'NOT_REPORTED' END AS reason
          FROM ingest.source_state s GROUP BY s.kind) k
$$;

-- The granted parts of the person named that have no section, each with its reason.
CREATE FUNCTION access.absences(p_granted text[], p_found text[], p_reasons jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY (
        SELECT g.part || '=' || coalesce(p_reasons ->> CASE split_part(split_part(g.part, '/', 1), '.', 1)
            WHEN 'tax' THEN 'tax-rest' WHEN 'social' THEN 'social-view' WHEN 'clinic' THEN 'clinic-sftp'
            WHEN 'bank' THEN 'bank-files' WHEN 'civil' THEN 'civil-soap' WHEN 'roster' THEN 'civil-soap'
            WHEN 'identity' THEN 'civil-soap' END, 'NOT_REPORTED')
        FROM unnest(p_granted) WITH ORDINALITY AS g (part, rank)
        WHERE p_found IS NULL OR NOT g.part = ANY (p_found)
        ORDER BY g.rank)
$$;

-- `a.b/VALUE=REASON` -> ["a.b", "VALUE", "REASON"], as the audit log writes it. By text: access.disclose lets no part
-- through that holds anything but letters, dots and underscores.
CREATE FUNCTION access.as_facts(p_lines text[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN cardinality(p_lines) = 0 THEN '[]'::jsonb
                ELSE ('[["' || replace(replace(array_to_string(p_lines, '"],["'), '/', '","'), '=', '","') || '"]]')::jsonb
                END
$$;

-- The record of one request, as it goes into the outbox.
CREATE FUNCTION access.record_of(
    p_asked access.asked, p_rulings access.ruling[], p_withheld text[], p_absent text[], p_trail jsonb,
    p_not_shown int, p_cause text, p_now timestamptz, p_digest bytea
) RETURNS audit.pending
LANGUAGE plpgsql AS $$
DECLARE
    v_granted  boolean := cardinality(p_rulings) > 0 AND cardinality(p_rulings[1].granted) > 0;
    v_subjects uuid[] := ARRAY (SELECT r.person_id FROM unnest(p_rulings) AS r);
    v_persons  jsonb;
    v_record   audit.pending;
BEGIN
    IF cardinality(v_subjects) = 0 AND p_asked.found_id IS NOT NULL THEN
        v_subjects := ARRAY [p_asked.found_id];
    END IF;
    IF v_granted THEN
        SELECT jsonb_object_agg(r.person_id::text, jsonb_strip_nulls(jsonb_build_object(
                   'household', p_asked.household_id, 'basis', r.basis_id, 'named', r.place = 1,
                   'sections', coalesce(p_trail -> r.person_id::text, '[]'))))
        INTO v_persons
        FROM unnest(p_rulings) WITH ORDINALITY AS r (person_id, basis_id, granted, withheld, place);
    ELSIF cardinality(v_subjects) > 0 THEN
        v_persons := jsonb_build_object(v_subjects[1]::text, jsonb_build_object('named', true));
    END IF;
    v_record.ev := p_asked.ev;
    v_record.queued_at := p_now;
    v_record.kind := 'query';
    v_record.event := CASE p_asked.role WHEN 'RESIDENT' THEN 'household:resident:queried'
                                        WHEN 'STEWARD' THEN 'household:steward:shown'
                                        ELSE 'profile:client:queried' END;
    v_record.organisation := p_asked.organisation_id;
    v_record.actor := p_asked.actor;
    v_record.purpose := p_asked.purpose;
    v_record.decision := CASE WHEN NOT v_granted THEN 'deny' WHEN cardinality(p_withheld) > 0 THEN 'mask'
                              ELSE 'allow' END;
    v_record.policy := encode(p_digest, 'hex');
    v_record.operation := p_asked.operation;
    v_record.county := p_asked.county;
    v_record.subjects := v_subjects;
    v_record.sealed := p_asked.sealed;
    v_record.facts := jsonb_strip_nulls(jsonb_build_object(
        'asOf', to_char(p_now AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD"T"HH24:MI:SS.US"+08:00"'),
        'client', p_asked.asker, 'role', p_asked.role, 'token', p_asked.token,
        'asked', access.as_facts(p_asked.parts), 'withheld', access.as_facts(p_withheld),
        'absent', access.as_facts(p_absent), 'idempotencyKey', p_asked.retry_key, 'reason', p_cause,
        'adultsNotShown', p_not_shown, 'persons', v_persons));
    RETURN v_record;
END $$;

-- The other adults of the household, where they are asked for: of each his identity and nothing else. For a lender:
-- those who granted it to the same organisation for the same purpose, each by his own basis. For field work and repair:
-- all, since it needs no basis there. A resident sees none of them.
CREATE FUNCTION access.rule_others(
    p_asked access.asked, p_adults uuid[], p_held access.held_basis[], p_digest bytea, p_now timestamptz, p_print bytea
) RETURNS access.ruling[]
LANGUAGE plpgsql AS $$
DECLARE
    v_asked   access.asked := p_asked;
    v_rulings access.ruling[] := '{}';
    v_basis   access.held_basis;
    v_ruled   record;
    v_person  uuid;
BEGIN
    v_asked.parts := '{identity/VALUE}';
    FOREACH v_person IN ARRAY p_adults LOOP
        v_basis := access.basis_for(p_held, p_asked.organisation_id, v_person, p_asked.purpose, p_now);
        SELECT * INTO v_ruled FROM access.rule(v_asked, v_basis, p_digest);
        CONTINUE WHEN cardinality(v_ruled.granted) = 0;
        CONTINUE WHEN v_basis.basis_id IS NOT NULL AND NOT access.use_basis(
            v_basis.basis_id, v_basis.limited, p_asked.asker, p_asked.retry_key, p_print);
        v_rulings := v_rulings || ROW(v_person, v_basis.basis_id, v_ruled.granted, '{}'::text[])::access.ruling;
    END LOOP;
    RETURN v_rulings;
END $$;

-- The locked basis of one person that is in force at this instant; null if there is none.
CREATE FUNCTION access.basis_for(
    p_held access.held_basis[], p_organisation text, p_person uuid, p_purpose text, p_now timestamptz
) RETURNS access.held_basis
LANGUAGE sql IMMUTABLE AS $$
    SELECT h FROM unnest(p_held) AS h
    WHERE h.person_id = p_person AND h.organisation_id = p_organisation AND h.purpose = p_purpose
      AND h.effective_from <= p_now AND p_now < h.expires_at
    LIMIT 1
$$;

-- Why nothing may be said about anybody, decided without looking at the person; null if it goes on.
CREATE FUNCTION access.refused_at_once(p_asked access.asked, p_over int[]) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN NOT p_asked.purpose_open THEN 'PURPOSE_MISMATCH'
                WHEN p_asked.role <> 'RESIDENT' AND NOT p_asked.has_area THEN 'OUT_OF_AREA'
                WHEN p_asked.ordinal = ANY (p_over) THEN 'QUOTA' END
$$;

-- A bank watches its own live loans only (PBoC order 2005-3 art. 12(4)): without one there is nothing to watch.
CREATE FUNCTION access.has_own_loan(p_asked access.asked) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM record.section s
                   WHERE s.county = p_asked.county
                     AND s.household_id = coalesce(p_asked.household_id, '00000000-0000-0000-0000-000000000000')
                     AND s.person_id = p_asked.person_id AND s.category = 'bank.loan' AND s.form = 'VALUE'
                     AND s.owner = p_asked.organisation_id)
$$;

-- Rule on the person named. No row of a ruling means: as if nobody had been found; `cause` says why, to the log alone.
CREATE FUNCTION access.rule_named(
    p_asked access.asked, p_held access.held_basis[], p_digest bytea, p_now timestamptz, p_print bytea,
    OUT ruling access.ruling, OUT cause text
)
LANGUAGE plpgsql AS $$
DECLARE
    v_basis access.held_basis;
    v_ruled record;
BEGIN
    IF p_asked.person_id IS NULL THEN
        cause := CASE WHEN p_asked.found_id IS NULL THEN 'UNKNOWN' ELSE 'NOT_THE_PERSON' END;
        RETURN;
    ELSIF p_asked.role <> 'RESIDENT' AND p_asked.in_area IS NOT TRUE THEN
        cause := 'OTHER_AREA';
        RETURN;
    END IF;
    v_basis := access.basis_for(p_held, p_asked.organisation_id, p_asked.person_id, p_asked.purpose, p_now);
    IF p_asked.purpose = 'POST_LOAN_REVIEW' AND v_basis.basis_id IS NOT NULL AND NOT access.has_own_loan(p_asked) THEN
        v_basis := NULL;
        cause := 'NO_LIVE_LOAN';
    END IF;
    SELECT * INTO v_ruled FROM access.rule(p_asked, v_basis, p_digest);
    IF v_basis.basis_id IS NULL AND NOT v_ruled.knows THEN
        cause := coalesce(cause, 'NO_BASIS');
        RETURN;
    END IF;
    IF v_basis.basis_id IS NOT NULL AND cardinality(v_ruled.granted) > 0 AND NOT access.use_basis(
        v_basis.basis_id, v_basis.limited, p_asked.asker, p_asked.retry_key, p_print)
    THEN
        v_ruled.withheld := v_ruled.withheld || access.withhold_all(v_ruled.granted, 'QUOTA');
        v_ruled.granted := '{}'::text[];
        cause := 'USED_UP';
    END IF;
    ruling := ROW(p_asked.person_id, v_basis.basis_id, v_ruled.granted, v_ruled.withheld)::access.ruling;
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

-- Decide, record and read one resolved request whose bases are locked.
CREATE FUNCTION access.answer_one(
    p_asked access.asked, p_held access.held_basis[], p_over int[], p_digest bytea, p_now timestamptz, p_today date,
    p_reasons jsonb
) RETURNS access.recorded_answer
LANGUAGE plpgsql AS $$
DECLARE
    v_answer  access.answer;
    v_cause   text := coalesce(p_asked.refusal, access.refused_at_once(p_asked, p_over));
    v_named   record;
    v_rulings access.ruling[] := '{}';
    v_adults  uuid[];
    v_read    record;
    v_trail   jsonb;
    v_print   bytea;
BEGIN
    v_answer.ordinal := p_asked.ordinal;
    v_answer.as_of := p_now;
    v_answer.refusal := p_asked.refusal;
    v_answer.organisation_id := p_asked.organisation_id;
    v_answer.other_adults := '{}';
    v_answer.absent := '{}';
    v_answer.withheld := access.withhold_all(p_asked.parts, coalesce(v_cause, 'NO_BASIS'));
    IF p_asked.refusal IS NOT NULL THEN
        v_answer.withheld := '{}';
    ELSIF v_cause IS NULL THEN
        v_print := sha256(p_asked.operation || p_asked.subject_key || convert_to(p_asked.purpose, 'UTF8'));
        SELECT * INTO v_named FROM access.rule_named(p_asked, p_held, p_digest, p_now, v_print);
        v_cause := v_named.cause;
        IF (v_named.ruling).person_id IS NOT NULL THEN
            v_rulings := ARRAY [v_named.ruling];
            v_answer.person_id := p_asked.person_id;
            v_answer.basis_id := (v_named.ruling).basis_id;
            v_answer.withheld := (v_named.ruling).withheld;
        END IF;
    END IF;
    IF cardinality(v_rulings) > 0 AND cardinality(v_rulings[1].granted) > 0 THEN
        v_adults := ARRAY (SELECT m.person_id FROM record.person m
                           WHERE m.county = p_asked.county AND m.household_id = p_asked.household_id
                             AND m.status = 'ACTIVE' AND m.person_id <> p_asked.person_id
                             AND m.birth_date <= (p_today - interval '18 years')::date
                           ORDER BY m.person_id);
        IF p_asked.others AND p_asked.role <> 'RESIDENT' AND 'identity/VALUE' = ANY (v_rulings[1].granted) THEN
            v_rulings := v_rulings || access.rule_others(p_asked, v_adults, p_held, p_digest, p_now, v_print);
        END IF;
        IF 'roster/VALUE' = ANY (v_rulings[1].granted) THEN
            v_answer.adults_not_shown := cardinality(v_adults) - (cardinality(v_rulings) - 1);
        END IF;
        v_answer.other_adults := ARRAY (SELECT r.person_id FROM unnest(v_rulings[2:]) AS r);
        SELECT * INTO v_read FROM access.read_sections(p_asked, v_rulings);
        v_answer.section_persons := v_read.persons;
        v_answer.section_parts := v_read.parts;
        v_answer.section_owners := v_read.owners;
        v_answer.section_bodies := v_read.bodies;
        v_trail := v_read.trail;
        v_answer.absent := access.absences(
            ARRAY (SELECT g.part FROM unnest(v_rulings[1].granted) WITH ORDINALITY AS g (part, place)
                   WHERE g.part = ANY (p_asked.own_parts) ORDER BY g.place),
            ARRAY (SELECT p.part FROM unnest(v_read.parts, v_read.persons) AS p (part, person)
                   WHERE p.person IN (p_asked.person_id, '00000000-0000-0000-0000-000000000000')),
            p_reasons);
    END IF;
    RETURN ROW(v_answer, access.record_of(p_asked, v_rulings, v_answer.withheld, v_answer.absent, v_trail,
                                          v_answer.adults_not_shown, v_cause, p_now, p_digest));
END $$;

-- Put the records into the outbox, all at once.
CREATE FUNCTION access.record_all(p_records audit.pending[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit.pending SELECT * FROM unnest(p_records);
END $$;

-- The gate. `requests`: 1 to 32 objects {asker, token, actor, purpose, parts, others, operation (hex), ev, sealed
-- (base64), retry_key, and person | identity + names (hex)}; see hub/flows/disclose.py. One row per request, in order.
CREATE FUNCTION access.disclose(requests jsonb) RETURNS SETOF access.answer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s'
    SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_today   date := (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date;
    v_asked   access.asked[];
    v_held    access.held_basis[];
    v_over    int[];
    v_digest  bytea;
    v_now     timestamptz;
    v_reasons jsonb;
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
    v_held := access.lock_bases(v_asked, v_today);
    v_over := access.count_subjects(v_asked, v_today);
    v_now := clock_timestamp();  -- after the locks: what has run out while waiting is not in force
    v_reasons := access.source_reasons(v_now);
    FOREACH v_one IN ARRAY v_asked LOOP
        IF v_one.own_parts IS NULL OR cardinality(v_one.parts) NOT BETWEEN 1 AND 64 OR v_one.sealed IS NULL
           OR array_to_string(v_one.parts, ' ') !~ '^[A-Za-z_./ ]+$' OR v_one.ev IS NULL OR v_one.operation IS NULL OR v_one.actor IS NULL OR v_one.token IS NULL THEN
            RAISE EXCEPTION 'an incomplete request' USING ERRCODE = 'HB111';
        END IF;
        v_done := access.answer_one(v_one, v_held, v_over, v_digest, v_now, v_today, v_reasons);
        v_records := v_records || v_done.record;
        RETURN NEXT v_done.answer;
    END LOOP;
    -- Rows are handed over when the function ends: without the record nothing is returned.
    PERFORM access.record_all(v_records);
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA access FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access.disclose(jsonb) TO hub_app;
