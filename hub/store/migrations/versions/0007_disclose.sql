-- The one gate through which a value of a record leaves: access.disclose. The application may execute it and nothing
-- else; it decides from tables, records what it decided, and only then reads what it granted.
--
-- Order of locks, the same in every call: bases by id (shared), quotas by id, the day's subjects by key, the day's
-- counts by asker. A withdrawal that commits first is seen; one that comes later waits until this answer is recorded.

-- The helper functions have no search_path of their own, so that the planner can inline them: they run inside
-- access.disclose, which fixes it, nobody else may execute them, and every name in them is qualified.

-- One request, resolved: who asks as the tables say, whom it is about, and what it may rest on.
CREATE TYPE access.asked AS (
    ordinal         int,
    asker           text,
    token           text,
    actor           text,
    purpose         text,
    parts           text[],
    operation       bytea,
    ev              uuid,
    sealed          bytea,
    retry_key       text,
    role            text,
    organisation_id text,      -- '' for a resident acting for himself
    refusal         text,      -- set where the asker may not ask at all
    purpose_open    boolean,   -- the system is registered for the purpose
    has_area        boolean,   -- some area is assigned to the asker
    second_factor   boolean,
    day_limit       int,
    subject_key     bytea,
    found_id        uuid,      -- the person behind the number, whatever else is wrong
    person_id       uuid,      -- the same, where number and name fit and he lives
    county          char(6),
    household_id    uuid,
    adult           boolean,
    in_area         boolean
);

-- One basis that was locked, and the quota that it may still have.
CREATE TYPE access.held_basis AS (
    basis_id        uuid,
    organisation_id text,
    person_id       uuid,
    purpose         text,
    parts           text[],
    heightened      boolean,
    effective_from  timestamptz,
    expires_at      timestamptz,
    limited         boolean
);

-- What is decided about one person for one request. `withheld`: part=REASON, for the person named only.
CREATE TYPE access.ruling AS (
    person_id uuid,
    basis_id  uuid,
    granted   text[],
    withheld  text[]
);

-- Whom a request is about. A resident is always about himself; everybody else names a number and a name, or a person
-- id that was decoded from his own organisation's pseudonym. `found_id` is kept for the record of a refused try.
CREATE FUNCTION access.resolve_subject(p_own uuid, p_person uuid, p_identity bytea[], p_names bytea[], p_today date)
RETURNS TABLE (found_id uuid, person_id uuid, county char(6), household_id uuid, adult boolean, village_code text,
               subject_key bytea)
LANGUAGE sql STABLE AS $$
    SELECT p.person_id, CASE WHEN p.status = 'ACTIVE' AND s.fits THEN p.person_id END, p.county, p.household_id,
           p.birth_date <= (p_today - interval '18 years')::date, h.village_code,
           coalesce(p_identity[1], p.identity_index, uuid_send(coalesce(p_own, p_person)))
    FROM (VALUES (1)) AS one (row)
    LEFT JOIN LATERAL (
        SELECT d.county, d.person_id FROM record.directory d
        WHERE p_own IS NULL AND p_person IS NULL AND d.blind_index = ANY (p_identity)
        LIMIT 1
    ) d ON true
    LEFT JOIN record.person p
           ON p.person_id = coalesce(p_own, p_person, d.person_id) AND (d.county IS NULL OR p.county = d.county)
    LEFT JOIN record.household h ON h.county = p.county AND h.household_id = p.household_id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN p_own IS NOT NULL THEN p_person IS NULL OR p_person = p_own
                    WHEN p_person IS NOT NULL THEN true
                    ELSE coalesce(p.name_index = ANY (p_names), false) END AS fits
    ) s
    LIMIT 1
$$;

-- All requests of a call, resolved.
CREATE FUNCTION access.resolve(p_requests jsonb, p_today date) RETURNS access.asked[]
LANGUAGE sql STABLE AS $$
    SELECT array_agg(ROW(
               r.ordinal, r.asker, r.token, r.actor, r.purpose, r.parts, decode(r.operation, 'hex'), r.ev,
               decode(r.sealed, 'base64'), r.retry_key, a.role, coalesce(a.organisation_id, 'unknown'),
               CASE WHEN a.role IS NULL THEN 'ASKER_UNKNOWN'
                    WHEN EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = r.token) THEN 'TOKEN_REVOKED'
                    WHEN a.status <> 'ACTIVE' THEN 'ASKER_SUSPENDED' END,
               a.purposes IS NULL OR r.purpose = ANY (a.purposes), cardinality(a.county_codes) + cardinality(a.village_codes) > 0,
               false,  -- no token carries a second factor until people sign in at the hub
               a.day_limit, s.subject_key, s.found_id, s.person_id, s.county, s.household_id, s.adult,
               CASE WHEN cardinality(a.village_codes) > 0
                    THEN EXISTS (SELECT FROM unnest(a.village_codes) AS v (code) WHERE starts_with(s.village_code, v.code))
                    ELSE a.role NOT IN ('COLLECTOR', 'VILLAGE_REVIEWER') AND s.county = ANY (a.county_codes) END
           )::access.asked ORDER BY r.ordinal)
    FROM ROWS FROM (jsonb_to_recordset(p_requests) AS (
             asker text, token text, actor text, purpose text, parts text[], operation text, ev uuid, sealed text,
             retry_key text, person uuid, identity text[], names text[])) WITH ORDINALITY
         AS r (asker, token, actor, purpose, parts, operation, ev, sealed, retry_key, person, identity, names, ordinal)
    LEFT JOIN LATERAL access.find_asker(r.asker) a ON true
    CROSS JOIN LATERAL access.resolve_subject(
        a.own_person, r.person,
        ARRAY (SELECT decode(i.hex, 'hex') FROM unnest(r.identity) AS i (hex)),
        ARRAY (SELECT decode(n.hex, 'hex') FROM unnest(r.names) AS n (hex)), p_today) s
$$;

-- Lock every basis that the requests could rest on: of the people named and of the other adults of their households.
-- Shared, in the order of ids; a withdrawal under way is waited for, and a row it has changed drops out.
CREATE FUNCTION access.lock_bases(p_asked access.asked[], p_today date) RETURNS access.held_basis[]
LANGUAGE plpgsql AS $$
DECLARE
    v_held access.held_basis[];
BEGIN
    v_held := ARRAY (
        SELECT ROW(b.basis_id, b.organisation_id, b.person_id, b.purpose, b.parts, b.heightened, b.effective_from,
                   b.expires_at, b.max_uses IS NOT NULL)::access.held_basis
        FROM consent.basis b
        WHERE b.status = 'IN_FORCE' AND b.basis_id = ANY (ARRAY (
            SELECT c.basis_id
            FROM unnest(p_asked) AS a
            CROSS JOIN LATERAL (
                SELECT a.person_id
                UNION
                SELECT m.person_id FROM record.person m
                WHERE m.county = a.county AND m.household_id = a.household_id AND m.status = 'ACTIVE'
                  AND m.birth_date <= (p_today - interval '18 years')::date
            ) who
            JOIN consent.basis c ON c.organisation_id = a.organisation_id AND c.person_id = who.person_id
                                AND c.purpose = a.purpose AND c.status = 'IN_FORCE'
            WHERE a.refusal IS NULL AND a.person_id IS NOT NULL))
        ORDER BY b.basis_id
        FOR SHARE);
    PERFORM FROM consent.quota q
    WHERE q.basis_id = ANY (ARRAY (SELECT h.basis_id FROM unnest(v_held) AS h WHERE h.limited))
    ORDER BY q.basis_id
    FOR UPDATE;
    RETURN v_held;
END $$;

-- Count the people asked about today, found or not; gives the ordinals that are over the asker's limit.
CREATE FUNCTION access.count_subjects(p_asked access.asked[], p_today date) RETURNS int[]
LANGUAGE plpgsql AS $$
DECLARE
    v_over int[];
BEGIN
    WITH fresh AS (
        INSERT INTO access.subject_day (asker, day, subject_key)
        SELECT DISTINCT a.asker, p_today, a.subject_key FROM unnest(p_asked) AS a
        WHERE a.refusal IS NULL AND a.day_limit IS NOT NULL AND a.subject_key IS NOT NULL
        ORDER BY a.asker, a.subject_key
        ON CONFLICT DO NOTHING
        RETURNING asker, subject_key
    ), counted AS (
        INSERT INTO access.subject_count AS c (asker, day, subjects)
        SELECT f.asker, p_today, count(*) FROM fresh f GROUP BY f.asker ORDER BY f.asker
        ON CONFLICT (asker, day) DO UPDATE SET subjects = c.subjects + excluded.subjects
        RETURNING c.asker, c.subjects
    ), ranked AS (
        SELECT f.asker, f.subject_key,
               c.subjects - count(*) OVER (PARTITION BY f.asker)
                   + row_number() OVER (PARTITION BY f.asker ORDER BY first.ordinal) AS place
        FROM fresh f
        JOIN counted c ON c.asker = f.asker
        CROSS JOIN LATERAL (SELECT min(a.ordinal) AS ordinal FROM unnest(p_asked) AS a
                            WHERE a.asker = f.asker AND a.subject_key = f.subject_key) first
    )
    SELECT coalesce(array_agg(a.ordinal), '{}') INTO v_over
    FROM unnest(p_asked) AS a JOIN ranked r ON r.asker = a.asker AND r.subject_key = a.subject_key
    WHERE r.place > a.day_limit;
    IF cardinality(v_over) > 0 THEN
        -- Whoever was not answered does not count as asked about.
        WITH undone AS (
            DELETE FROM access.subject_day d USING unnest(p_asked) AS a
            WHERE a.ordinal = ANY (v_over) AND d.asker = a.asker AND d.day = p_today AND d.subject_key = a.subject_key
            RETURNING d.asker, d.subject_key
        )
        UPDATE access.subject_count c SET subjects = c.subjects - u.n
        FROM (SELECT asker, count(*) AS n FROM undone GROUP BY asker) u
        WHERE c.asker = u.asker AND c.day = p_today;
    END IF;
    RETURN v_over;
END $$;

-- Use a basis once. False if nothing is left. A repeated request under the same key within a day costs nothing.
CREATE FUNCTION access.use_basis(p_basis uuid, p_limited boolean, p_asker text, p_key text, p_print bytea)
RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT p_limited THEN
        RETURN true;
    END IF;
    IF p_key IS NOT NULL AND EXISTS (
        SELECT FROM consent.use u
        WHERE u.basis_id = p_basis AND u.asker = p_asker AND u.retry_key = p_key AND u.fingerprint = p_print
          AND u.used_at > clock_timestamp() - interval '1 day'
    ) THEN
        RETURN true;
    END IF;
    UPDATE consent.quota q SET uses = q.uses + 1 WHERE q.basis_id = p_basis AND q.uses < q.max_uses;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF p_key IS NOT NULL THEN
        INSERT INTO consent.use (basis_id, asker, retry_key, fingerprint, used_at)
        VALUES (p_basis, p_asker, p_key, p_print, clock_timestamp())
        ON CONFLICT (basis_id, asker, retry_key, fingerprint) DO UPDATE SET used_at = excluded.used_at;
    END IF;
    RETURN true;
END $$;

-- The same reason for every part: for what is decided before anybody is looked at, or must look so.
CREATE FUNCTION access.withhold_all(p_parts text[], p_reason text) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY (SELECT part || '=' || p_reason FROM unnest(p_parts) AS wanted (part))
$$;

-- Decide every part for one adult. Reads rules and basis only, never a section.
CREATE FUNCTION access.rule(p_asked access.asked, p_basis access.held_basis, p_digest bytea)
RETURNS TABLE (granted text[], withheld text[], knows boolean)
LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(j.part ORDER BY j.place) FILTER (WHERE j.reason IS NULL), '{}'),
           coalesce(array_agg(j.part || '=' || j.reason ORDER BY j.place) FILTER (WHERE j.reason IS NOT NULL), '{}'),
           coalesce(bool_or(j.needs_basis IS FALSE AND j.closed IS NULL), false)
    FROM (
        SELECT w.part, w.place, d.needs_basis, d.closed, CASE
            WHEN d.part IS NULL THEN 'NEVER_DISCLOSED'
            WHEN d.closed IS NOT NULL THEN d.closed
            WHEN d.needs_area AND p_asked.in_area IS NOT TRUE THEN 'OUT_OF_AREA'
            WHEN d.needs_adult AND p_asked.adult IS NOT TRUE THEN 'MINOR'
            WHEN d.needs_basis AND p_basis IS NULL THEN 'NO_BASIS'
            WHEN d.needs_basis AND NOT w.part = ANY (p_basis.parts) THEN 'CATEGORY_NOT_IN_BASIS'
            WHEN d.needs_heightened_notice AND NOT p_basis.heightened THEN 'CATEGORY_NOT_IN_BASIS'
            WHEN d.needs_second_factor AND NOT p_asked.second_factor THEN 'STEP_UP_REQUIRED'
        END AS reason
        FROM unnest(p_asked.parts) WITH ORDINALITY AS w (part, place)
        LEFT JOIN access.decision d
               ON d.digest = p_digest AND d.role = p_asked.role AND d.purpose = p_asked.purpose AND d.part = w.part
    ) j
$$;

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
        WHERE s.owner = ''
           OR CASE WHEN s.form = 'TOTAL' THEN s.owner <> p_asked.organisation_id
                   ELSE s.owner = p_asked.organisation_id OR p_asked.role IN ('RESIDENT', 'STEWARD') END
    ), shown AS (
        SELECT f.place, f.rank, f.about, f.part, f.owner, f.body FROM found f WHERE f.form <> 'TOTAL'
        UNION ALL
        SELECT f.place, f.rank, f.about, f.part, '', access.sum_totals(f.category, array_agg(f.body))
        FROM found f WHERE f.form = 'TOTAL' GROUP BY f.place, f.rank, f.about, f.part, f.category
    ), told AS (
        SELECT f.person_id, jsonb_agg(jsonb_build_array(f.category, f.form, f.owner, f.fold_version,
                                                        encode(f.digest, 'hex')) ORDER BY f.rank, f.owner) AS sections
        FROM found f GROUP BY f.person_id
    )
    SELECT array_agg(s.about ORDER BY s.place, s.rank, s.owner), array_agg(s.part ORDER BY s.place, s.rank, s.owner),
           array_agg(s.owner ORDER BY s.place, s.rank, s.owner), array_agg(s.body ORDER BY s.place, s.rank, s.owner),
           (SELECT jsonb_object_agg(t.person_id::text, t.sections) FROM told t)
    FROM shown s
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

-- `a.b/VALUE=REASON` -> ["a.b", "VALUE", "REASON"], as the audit log writes it.
CREATE FUNCTION access.as_facts(p_lines text[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_agg(to_jsonb(regexp_split_to_array(line, '[/=]')) ORDER BY rank), '[]')
    FROM unnest(p_lines) WITH ORDINALITY AS l (line, rank)
$$;

-- Write the record of one request. Without it nothing is returned: it is the same statement and transaction.
CREATE FUNCTION access.record_asked(
    p_asked access.asked, p_rulings access.ruling[], p_withheld text[], p_absent text[], p_trail jsonb,
    p_not_shown int, p_cause text, p_now timestamptz, p_digest bytea
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_granted  boolean := cardinality(p_rulings) > 0 AND cardinality(p_rulings[1].granted) > 0;
    v_subjects uuid[] := ARRAY (SELECT r.person_id FROM unnest(p_rulings) AS r);
    v_persons  jsonb;
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
    INSERT INTO audit.pending (ev, kind, event, organisation, actor, purpose, decision, policy, operation, county,
                               subjects, facts, sealed)
    VALUES (p_asked.ev, 'query',
            CASE p_asked.role WHEN 'RESIDENT' THEN 'household:resident:queried'
                              WHEN 'STEWARD' THEN 'household:steward:shown' ELSE 'profile:client:queried' END,
            p_asked.organisation_id, p_asked.actor, p_asked.purpose,
            CASE WHEN NOT v_granted THEN 'deny' WHEN cardinality(p_withheld) > 0 THEN 'mask' ELSE 'allow' END,
            encode(p_digest, 'hex'), p_asked.operation, p_asked.county, v_subjects,
            jsonb_strip_nulls(jsonb_build_object(
                'asOf', to_char(p_now AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD"T"HH24:MI:SS.US"+08:00"'),
                'client', p_asked.asker, 'role', p_asked.role, 'token', p_asked.token,
                'asked', access.as_facts(p_asked.parts), 'withheld', access.as_facts(p_withheld),
                'absent', access.as_facts(p_absent), 'idempotencyKey', p_asked.retry_key, 'reason', p_cause,
                'adultsNotShown', p_not_shown, 'persons', v_persons)),
            p_asked.sealed);
END $$;

-- The other adults of the household. For a lender: those who granted the same organisation for the same purpose, each
-- by his own basis. For field work and repair: all, in what needs no basis. A resident sees none of them.
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
    v_asked.parts := ARRAY (SELECT w.part FROM unnest(p_asked.parts) WITH ORDINALITY AS w (part, place)
                            WHERE NOT access.is_household_part(w.part) ORDER BY w.place);
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

-- Decide, record and read one resolved request whose bases are locked.
CREATE FUNCTION access.answer_one(
    p_asked access.asked, p_held access.held_basis[], p_over int[], p_digest bytea, p_now timestamptz, p_today date,
    p_reasons jsonb
) RETURNS access.answer
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
        IF p_asked.role <> 'RESIDENT' AND cardinality(v_adults) > 0 THEN
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
            v_rulings[1].granted,
            ARRAY (SELECT p.part FROM unnest(v_read.parts, v_read.persons) AS p (part, person)
                   WHERE p.person IN (p_asked.person_id, '00000000-0000-0000-0000-000000000000')),
            p_reasons);
    END IF;
    PERFORM access.record_asked(p_asked, v_rulings, v_answer.withheld, v_answer.absent, v_trail,
                                v_answer.adults_not_shown, v_cause, p_now, p_digest);
    RETURN v_answer;
END $$;

-- The gate. `requests`: 1 to 32 objects {asker, token, actor, purpose, parts, operation (hex), ev, sealed (base64),
-- retry_key, and person | identity + names (hex)}; see hub/flows/disclose.py. One row per request, in order.
CREATE FUNCTION access.disclose(requests jsonb) RETURNS SETOF access.answer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    v_today   date := (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date;
    v_asked   access.asked[];
    v_held    access.held_basis[];
    v_over    int[];
    v_digest  bytea;
    v_now     timestamptz;
    v_reasons jsonb;
    v_one     access.asked;
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
        IF v_one.parts IS NULL OR cardinality(v_one.parts) NOT BETWEEN 1 AND 64 OR v_one.sealed IS NULL
           OR v_one.ev IS NULL OR v_one.operation IS NULL OR v_one.actor IS NULL OR v_one.token IS NULL THEN
            RAISE EXCEPTION 'an incomplete request' USING ERRCODE = 'HB111';
        END IF;
        RETURN NEXT access.answer_one(v_one, v_held, v_over, v_digest, v_now, v_today, v_reasons);
    END LOOP;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA access FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access.disclose(jsonb) TO hub_app;
