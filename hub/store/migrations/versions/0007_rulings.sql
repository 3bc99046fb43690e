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
    parts           text[],    -- everything that is decided for the person named
    own_parts       text[],    -- what of it is shown of him; identity may be asked of other adults only
    others          boolean,   -- the other adults are asked for
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
               r.ordinal, r.asker, r.token, r.actor, r.purpose,
               r.parts || CASE WHEN r.others AND NOT 'identity/VALUE' = ANY (r.parts)
                               THEN '{identity/VALUE}'::text[] ELSE '{}' END,
               r.parts, coalesce(r.others, false), decode(r.operation, 'hex'), r.ev,
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
             asker text, token text, actor text, purpose text, parts text[], others boolean, operation text, ev uuid,
             sealed text, retry_key text, person uuid, identity text[], names text[])) WITH ORDINALITY
         AS r (asker, token, actor, purpose, parts, others, operation, ev, sealed, retry_key, person, identity, names,
               ordinal)
    LEFT JOIN LATERAL access.find_asker(r.asker) a ON true
    CROSS JOIN LATERAL access.resolve_subject(
        a.own_person, r.person,
        ARRAY (SELECT decode(i.hex, 'hex') FROM unnest(r.identity) AS i (hex)),
        ARRAY (SELECT decode(n.hex, 'hex') FROM unnest(r.names) AS n (hex)), p_today) s
$$;

-- Lock every basis that the requests could rest on: of the people named and, where they are asked for, of the other
-- adults of their households.
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
                WHERE a.others AND a.role <> 'RESIDENT'
                  AND m.county = a.county AND m.household_id = a.household_id AND m.status = 'ACTIVE'
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
    SELECT coalesce(array_agg(j.part) FILTER (WHERE j.reason IS NULL), '{}'),
           coalesce(array_agg(j.part || '=' || j.reason) FILTER (WHERE j.reason IS NOT NULL), '{}'),
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
        ORDER BY w.place
    ) j
$$;

