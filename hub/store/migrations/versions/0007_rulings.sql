-- The one gate through which a value of a record leaves: access.disclose. The application may execute it and nothing
-- else; it decides from tables, records what it decided, and only then reads what it granted.
--
-- Order of locks, the same in every call: bases by id (shared), quotas by id, the day's subjects by key, the day's
-- counts by asker. A withdrawal that commits first is seen; one that comes later waits until this answer is recorded.
--
-- Locking, counting and recording work on all requests of a call at once; resolving, ruling and reading on one at a
-- time, in statements of few nodes: starting a large statement costs more than the rows of a batch save.
--
-- The steps have no search_path of their own: they run inside access.disclose, which fixes it, nobody else may execute
-- them, and every name in them is qualified. One-line functions are STABLE, because the planner inlines only what is no
-- more fixed than its body, and much of formatting text is STABLE.

-- Who may ask: a registered system or an account. All null: nobody.
CREATE TYPE access.asker AS (
    role            text,
    organisation_id text,      -- '' for a resident (himself), `hub` for the hub's own people
    status          text,
    purposes        text[],    -- null: bound by the rules alone
    county_codes    char(6)[],
    village_codes   text[],
    own_person      uuid,
    day_limit       int
);

-- The one place that says what an asker is.
CREATE FUNCTION access.find_asker(p_asker text) RETURNS access.asker
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_asker access.asker;
BEGIN
    SELECT c.role, c.organisation_id, c.status, c.purposes, c.county_codes, '{}', NULL, c.max_subjects_per_day
    INTO v_asker FROM access.client c WHERE c.client_id = p_asker;
    IF NOT FOUND THEN
        SELECT a.role, CASE WHEN a.role = 'RESIDENT' THEN '' ELSE coalesce(a.organisation_id, 'hub') END, a.status,
               NULL, a.county_codes, a.village_codes, CASE WHEN a.role = 'RESIDENT' THEN a.person_id END,
               (SELECT l.max_subjects_per_day FROM access.role_limit l WHERE l.role = a.role)
        INTO v_asker FROM auth.account a WHERE a.account_id = p_asker;
    END IF;
    RETURN v_asker;
END $$;

-- The organisation that an asker speaks for; null for nobody.
CREATE FUNCTION access.organisation_of(p_asker text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT (access.find_asker(p_asker)).organisation_id
$$;

-- One request, resolved: who asks as the tables say, whom it is about, and what it may rest on.
CREATE TYPE access.asked AS (
    ordinal         int,
    asker           text,
    token           text,
    actor           text,
    purpose         text,
    parts           text[],    -- everything that is decided for the person named
    own_parts       text[],    -- what of it is shown of him; identity may be asked of other adults only
    others          boolean,   -- the other adults are asked for, and this asker may be told of any
    operation       bytea,
    ev              uuid,
    sealed          bytea,
    retry_key       text,
    role            text,
    organisation_id text,      -- '' for a resident acting for himself
    refusal         text,      -- set where the asker may not ask at all
    barred          text,      -- why nothing may be said about anybody: the refusal, or a reason that may be told
    missed          text,      -- why nothing may be said about this person, to the log alone
    day_limit       int,
    subject_key     bytea,
    found_id        uuid,      -- the person behind the number, whatever else is wrong
    person_id       uuid,      -- the same, where number and name fit and he lives
    county          char(6),
    household_id    uuid,      -- the zero id where he belongs to none
    adults          uuid[],    -- the other living adults of the household, where they may matter
    adult           boolean,
    in_area         boolean
);

-- A basis that was locked for one of the requests.
CREATE TYPE access.held_basis AS (
    ordinal        int,
    basis_id       uuid,
    person_id      uuid,
    parts          text[],
    heightened     boolean,
    effective_from timestamptz,
    expires_at     timestamptz,
    limited        boolean,   -- its uses are counted
    named          boolean    -- of the person named; otherwise of another adult
);

-- Another adult who is shown to the asker, and the basis of that; no basis where none is needed.
CREATE TYPE access.other_adult AS (person_id uuid, basis_id uuid);

-- What is decided about one request. `cause` says to the log alone why nothing was granted. No person means: as if
-- nobody had been found. `withheld`: part=REASON.
CREATE TYPE access.ruling AS (
    cause     text,
    person_id uuid,
    basis_id  uuid,
    granted   text[],
    withheld  text[],
    others    access.other_adult[]
);

-- All requests of a call, resolved. A resident is always about himself; everybody else names a number and a name, or a
-- person id that was decoded from his own organisation's pseudonym.
CREATE FUNCTION access.resolve(p_requests jsonb, p_today date) RETURNS access.asked[]
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
        v_found := coalesce(v_asker.own_person, v_wire.person);
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
            WHEN v_asker.own_person IS NOT NULL THEN v_wire.person IS NULL OR v_wire.person = v_asker.own_person
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

-- Lock every basis that the requests could rest on: of the people named and, where they are asked for, of the other
-- adults of their households. Shared, in the order of ids; a withdrawal under way is waited for, and a row it has
-- changed drops out.
CREATE FUNCTION access.lock_bases(p_asked access.asked[]) RETURNS access.held_basis[]
LANGUAGE plpgsql AS $$
DECLARE
    v_held access.held_basis[];
BEGIN
    v_held := ARRAY (
        SELECT ROW(a.ordinal, b.basis_id, b.person_id, b.parts, b.heightened, b.effective_from, b.expires_at,
                   b.max_uses IS NOT NULL, b.person_id = a.person_id)::access.held_basis
        FROM unnest(p_asked) AS a
        CROSS JOIN LATERAL unnest(a.person_id || CASE WHEN a.others THEN a.adults END) AS who (person_id)
        JOIN consent.basis b ON b.organisation_id = a.organisation_id AND b.person_id = who.person_id
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

-- Count the people asked about today, found or not; gives the ordinals that are over the asker's limit.
CREATE FUNCTION access.count_subjects(p_asked access.asked[], p_today date) RETURNS int[]
LANGUAGE plpgsql AS $$
DECLARE
    v_fresh int[];  -- for each subject not asked about before today, the first request that does
    v_over  int[];
BEGIN
    WITH wanted AS MATERIALIZED (
        SELECT a.asker, a.subject_key, min(a.ordinal) AS ordinal FROM unnest(p_asked) AS a
        WHERE a.refusal IS NULL AND a.day_limit IS NOT NULL AND a.subject_key IS NOT NULL
        GROUP BY a.asker, a.subject_key
    ), fresh AS (
        INSERT INTO access.subject_day (asker, day, subject_key)
        SELECT w.asker, p_today, w.subject_key FROM wanted w ORDER BY w.asker, w.subject_key
        ON CONFLICT DO NOTHING
        RETURNING asker, subject_key
    )
    SELECT array_agg(w.ordinal) INTO v_fresh
    FROM fresh f JOIN wanted w ON w.asker = f.asker AND w.subject_key = f.subject_key;
    IF v_fresh IS NULL THEN
        RETURN '{}';
    END IF;
    WITH counted AS (
        INSERT INTO access.subject_count AS c (asker, day, subjects)
        SELECT a.asker, p_today, count(*) FROM unnest(p_asked) AS a WHERE a.ordinal = ANY (v_fresh)
        GROUP BY a.asker ORDER BY a.asker
        ON CONFLICT (asker, day) DO UPDATE SET subjects = c.subjects + excluded.subjects
        RETURNING c.asker, c.subjects
    )
    SELECT array_agg(a.ordinal) INTO v_over
    FROM unnest(p_asked) AS a JOIN counted c ON c.asker = a.asker WHERE c.subjects > a.day_limit;
    IF v_over IS NULL THEN
        RETURN '{}';
    END IF;
    RETURN access.leave_out(p_asked, v_fresh, p_today);
END $$;

-- The ordinals of those subjects, of the fresh ones, that are over the limit. Whoever is not answered does not count as
-- asked about.
CREATE FUNCTION access.leave_out(p_asked access.asked[], p_fresh int[], p_today date) RETURNS int[]
LANGUAGE plpgsql AS $$
DECLARE
    v_over int[];
BEGIN
    WITH ranked AS (
        SELECT a.asker, a.subject_key,
               c.subjects - count(*) OVER (PARTITION BY a.asker)
                   + row_number() OVER (PARTITION BY a.asker ORDER BY a.ordinal) AS place
        FROM unnest(p_asked) AS a JOIN access.subject_count c ON c.asker = a.asker AND c.day = p_today
        WHERE a.ordinal = ANY (p_fresh)
    )
    SELECT coalesce(array_agg(a.ordinal), '{}') INTO v_over
    FROM unnest(p_asked) AS a JOIN ranked r ON r.asker = a.asker AND r.subject_key = a.subject_key
    WHERE r.place > a.day_limit;
    WITH undone AS (
        DELETE FROM access.subject_day d USING unnest(p_asked) AS a
        WHERE a.ordinal = ANY (v_over) AND d.asker = a.asker AND d.day = p_today AND d.subject_key = a.subject_key
        RETURNING d.asker, d.subject_key
    )
    UPDATE access.subject_count c SET subjects = c.subjects - u.n
    FROM (SELECT asker, count(*) AS n FROM undone GROUP BY asker) u
    WHERE c.asker = u.asker AND c.day = p_today;
    RETURN v_over;
END $$;

-- Use a basis that has a limit once. False if nothing is left. A repeated request under the same key within a day costs
-- nothing.
CREATE FUNCTION access.use_basis(p_basis uuid, p_asker text, p_key text, p_print bytea) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF p_key IS NOT NULL THEN
        IF EXISTS (SELECT FROM consent.use u
                   WHERE u.basis_id = p_basis AND u.asker = p_asker AND u.retry_key = p_key AND u.fingerprint = p_print
                     AND u.used_at > clock_timestamp() - interval '1 day') THEN
            RETURN true;
        END IF;
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

-- A bank watches its own live loans only (PBoC order 2005-3 art. 12(4)): without one there is nothing to watch. Loans
-- that are paid off stand in its detail still, but in no total.
CREATE FUNCTION access.has_own_loan(p_asked access.asked) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM record.section s
                   WHERE s.county = p_asked.county AND s.household_id = p_asked.household_id
                     AND s.person_id = p_asked.person_id AND s.category = 'bank.loan' AND s.form = 'TOTAL'
                     AND s.owner = p_asked.organisation_id)
$$;

-- The same reason for every part: for what is decided before anybody is looked at, or must look so. By text, since no
-- part holds a comma.
CREATE FUNCTION access.withhold_all(p_parts text[], p_reason text) RETURNS text[]
LANGUAGE sql STABLE AS $$
    SELECT string_to_array(array_to_string(p_parts, '=' || p_reason || ',') || '=' || p_reason, ',')
$$;

-- Decide every part of one request for the person named, by the rules of its role and purpose, which one look-up gives.
-- Reads rules and the basis, never a section. `knows`: some part is open without a basis.
CREATE FUNCTION access.rule_parts(
    p_asked access.asked, p_basis access.held_basis, p_digest bytea,
    OUT granted text[], OUT withheld text[], OUT knows boolean
)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_known text[];
BEGIN
    SELECT array_agg(k.part), coalesce(array_agg(k.part) FILTER (WHERE k.reason IS NULL), '{}'),
           coalesce(array_agg(k.part || '=' || k.reason) FILTER (WHERE k.reason IS NOT NULL), '{}'),
           coalesce(bool_or(k.always), false)
    INTO v_known, granted, withheld, knows
    FROM (
        SELECT d.part, d.closed IS NULL AND NOT d.needs_basis AS always, CASE
            WHEN d.closed IS NOT NULL THEN d.closed
            WHEN d.needs_area AND p_asked.in_area IS NOT TRUE THEN 'OUT_OF_AREA'
            WHEN d.needs_adult AND p_asked.adult IS NOT TRUE THEN 'MINOR'
            WHEN d.needs_basis AND p_basis.basis_id IS NULL THEN 'NO_BASIS'
            WHEN d.needs_basis AND NOT d.part = ANY (p_basis.parts) THEN 'CATEGORY_NOT_IN_BASIS'
            WHEN d.needs_heightened_notice AND p_basis.heightened IS NOT TRUE THEN 'CATEGORY_NOT_IN_BASIS'
            -- No token carries a second factor until people sign in at the hub.
            WHEN d.needs_second_factor THEN 'STEP_UP_REQUIRED'
        END AS reason
        FROM access.decision d
        WHERE d.digest = p_digest AND d.role = p_asked.role AND d.purpose = p_asked.purpose
          AND d.part = ANY (p_asked.parts)
        ORDER BY array_position(p_asked.parts, d.part)
    ) k;
    IF v_known IS NULL OR NOT p_asked.parts <@ v_known THEN
        withheld := withheld || ARRAY (SELECT p.part || '=NEVER_DISCLOSED' FROM unnest(p_asked.parts) AS p (part)
                                       WHERE v_known IS NULL OR NOT p.part = ANY (v_known));
    END IF;
END $$;

-- Rule on the person named and use his basis.
CREATE FUNCTION access.rule_named(
    p_asked access.asked, p_held access.held_basis[], p_over int[], p_digest bytea, p_now timestamptz, p_print bytea
) RETURNS access.ruling
LANGUAGE plpgsql AS $$
DECLARE
    v_ruling access.ruling;
    v_one    access.held_basis;
    v_basis  access.held_basis;
    v_ruled  record;
BEGIN
    v_ruling.granted := '{}';
    v_ruling.withheld := '{}';
    v_ruling.cause := coalesce(p_asked.barred, CASE WHEN p_asked.ordinal = ANY (p_over) THEN 'QUOTA' END,
                               p_asked.missed);
    IF v_ruling.cause IS NOT NULL THEN
        IF p_asked.refusal IS NULL THEN
            -- What was decided before the person was looked at is told; everything else looks alike.
            v_ruling.withheld := access.withhold_all(p_asked.parts, CASE
                WHEN v_ruling.cause IN ('PURPOSE_MISMATCH', 'OUT_OF_AREA', 'QUOTA') THEN v_ruling.cause
                ELSE 'NO_BASIS' END);
        END IF;
        RETURN v_ruling;
    END IF;
    FOREACH v_one IN ARRAY p_held LOOP
        IF v_one.named AND v_one.effective_from <= p_now AND p_now < v_one.expires_at THEN
            v_basis := v_one;
        END IF;
    END LOOP;
    IF p_asked.purpose = 'POST_LOAN_REVIEW' AND v_basis.basis_id IS NOT NULL AND NOT access.has_own_loan(p_asked) THEN
        v_basis := NULL;
        v_ruling.cause := 'NO_LIVE_LOAN';
    END IF;
    v_ruled := access.rule_parts(p_asked, v_basis, p_digest);
    IF v_basis.basis_id IS NULL AND NOT v_ruled.knows THEN
        v_ruling.cause := coalesce(v_ruling.cause, 'NO_BASIS');
        v_ruling.withheld := access.withhold_all(p_asked.parts, 'NO_BASIS');
        RETURN v_ruling;
    END IF;
    v_ruling.person_id := p_asked.person_id;
    v_ruling.basis_id := v_basis.basis_id;
    v_ruling.granted := v_ruled.granted;
    v_ruling.withheld := v_ruled.withheld;
    IF v_basis.limited AND cardinality(v_ruling.granted) > 0
       AND NOT access.use_basis(v_basis.basis_id, p_asked.asker, p_asked.retry_key, p_print) THEN
        v_ruling.withheld := v_ruling.withheld || access.withhold_all(v_ruling.granted, 'QUOTA');
        v_ruling.granted := '{}';
        v_ruling.cause := 'USED_UP';
    END IF;
    RETURN v_ruling;
END $$;

-- The other adults of the household who are shown, where they are asked for and the person named was granted the part:
-- of each his identity and nothing else. For a lender: those who granted it to the same organisation for the same
-- purpose, each by his own basis, which is used. For field work and repair: all, since it needs no basis there.
CREATE FUNCTION access.rule_others(
    p_asked access.asked, p_held access.held_basis[], p_digest bytea, p_now timestamptz, p_print bytea
) RETURNS access.other_adult[]
LANGUAGE plpgsql AS $$
DECLARE
    v_others access.other_adult[] := '{}';
    v_one    record;
BEGIN
    FOR v_one IN
        SELECT m.person_id, h.basis_id, h.limited
        FROM access.decision d
        CROSS JOIN unnest(p_asked.adults) WITH ORDINALITY AS m (person_id, place)
        LEFT JOIN unnest(p_held) AS h
               ON h.person_id = m.person_id AND h.effective_from <= p_now AND p_now < h.expires_at
        -- The rule by which the person named was granted it: only what hangs on the basis is left to decide.
        WHERE d.digest = p_digest AND d.role = p_asked.role AND d.purpose = p_asked.purpose
          AND d.part = 'identity/VALUE'
          AND (NOT d.needs_basis OR 'identity/VALUE' = ANY (h.parts))
          AND (NOT d.needs_heightened_notice OR h.heightened)
        ORDER BY m.place
    LOOP
        IF v_one.limited IS NOT TRUE
           OR access.use_basis(v_one.basis_id, p_asked.asker, p_asked.retry_key, p_print) THEN
            v_others := v_others || ROW(v_one.person_id, v_one.basis_id)::access.other_adult;
        END IF;
    END LOOP;
    RETURN v_others;
END $$;
