-- Coverage: which share of the households has a file that is complete, fresh and verified, and what is missing.

-- What a complete and fresh file is. A later version is added, never edited; the newest counts.
CREATE TABLE record.coverage_rule (
    version     int  NOT NULL,
    category    text NOT NULL,
    source_kind text NOT NULL,
    per         text NOT NULL CHECK (per IN ('HOUSEHOLD', 'ADULT')),
    required    boolean NOT NULL,      -- the source should say something of every household, or every adult in it
    heard_days  int  NOT NULL CHECK (heard_days > 0),    -- fresh: the source was read this recently
    stated_days int  CHECK (stated_days > 0),            -- fresh: and its newest statement is not older
    policy      text NOT NULL,
    PRIMARY KEY (version, category),
    CHECK (required OR stated_days IS NULL)
);
INSERT INTO record.coverage_rule VALUES
    (1, 'roster', 'civil-soap', 'HOUSEHOLD', true, 40, NULL, 'the register is refreshed monthly; 001-23'),
    (1, 'social.insurance', 'social-view', 'ADULT', true, 40, 400, 'every adult is insured, paid yearly at least; 001-23'),
    (1, 'civil.relief', 'civil-soap', 'HOUSEHOLD', false, 40, NULL, 'speaks of those who receive it only'),
    (1, 'tax.registration', 'tax-rest', 'ADULT', false, 40, NULL, 'speaks of registered taxpayers only'),
    (1, 'tax.grade', 'tax-rest', 'ADULT', false, 40, NULL, 'speaks of registered taxpayers only'),
    (1, 'tax.arrears', 'tax-rest', 'ADULT', false, 40, NULL, 'speaks of registered taxpayers only'),
    (1, 'tax.band', 'tax-rest', 'ADULT', false, 40, NULL, 'speaks of registered taxpayers only'),
    (1, 'clinic.arrears', 'clinic-sftp', 'ADULT', false, 40, NULL, 'speaks of debtors only'),
    (1, 'bank.line', 'bank-files', 'ADULT', false, 10, NULL, 'speaks of customers who agreed only'),
    (1, 'bank.loan', 'bank-files', 'ADULT', false, 10, NULL, 'speaks of customers who agreed only');

-- The file of one household under the rules of one version, worked out when its sections are folded.
CREATE TABLE record.household_coverage (
    county         char(6) NOT NULL,
    household_id   uuid    NOT NULL,
    rule_version   int     NOT NULL,
    adults         int     NOT NULL,
    missing        text[]  NOT NULL,     -- required categories that are missing for it, or for one of its adults
    adults_missing int     NOT NULL,     -- adults of whom a required category is missing
    reported       text[]  NOT NULL,     -- categories in which anything is known
    sources        text[]  NOT NULL,     -- behind the required categories, as `category source`
    stale_on       date,                 -- the day from which the oldest required statement is too old
    stale_category text,
    conflict       boolean NOT NULL,
    PRIMARY KEY (county, household_id)
);
CREATE INDEX household_coverage_id ON record.household_coverage (household_id);

-- Work out the files of these households anew, from the sections just folded: only what may leave counts as known, so no
-- fact under an uncertain link. Everything is read by index; the cost is that of the households named.
CREATE FUNCTION record.derive_coverage(p_households uuid[], p_grown_up date) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    DELETE FROM record.household_coverage c
    WHERE c.household_id = ANY (p_households)
      AND NOT EXISTS (SELECT FROM record.household h WHERE h.county = c.county AND h.household_id = c.household_id
                        AND h.held AND h.status = 'ACTIVE');
    WITH rule AS (
        SELECT * FROM record.coverage_rule WHERE version = (SELECT max(version) FROM record.coverage_rule)
    ), home AS (
        SELECT h.county, h.household_id, h.household_no, h.source, h.changed_at FROM record.household h
        WHERE h.household_id = ANY (p_households) AND h.held AND h.status = 'ACTIVE'
    ), adult AS (
        SELECT m.household_id, m.member_no, m.person_id FROM home h
        JOIN record.membership m ON m.household_id = h.household_id
        WHERE m.recorded_to = 'infinity' AND m.valid_to IS NULL AND m.died_on IS NULL AND m.birth_date <= p_grown_up
    ), stated AS (
        SELECT n.household_id, n.person_id, n.category, n.source, max(coalesce(n.source_time, n.folded_at)) AS at
        FROM home h JOIN record.section n ON n.county = h.county AND n.household_id = h.household_id
        WHERE n.form IN ('VALUE', 'BAND')
          AND n.category IN (SELECT r.category FROM rule r WHERE r.category <> 'roster')
        GROUP BY n.household_id, n.person_id, n.category, n.source
        UNION ALL
        SELECT h.household_id, NULL, 'roster', h.source, h.changed_at FROM home h
        WHERE EXISTS (SELECT FROM adult a WHERE a.household_id = h.household_id AND a.person_id IS NOT NULL)
    ), gap AS (
        SELECT a.household_id, r.category, a.member_no FROM adult a CROSS JOIN rule r
        WHERE r.required AND r.per = 'ADULT' AND NOT EXISTS (
            SELECT FROM stated s WHERE s.household_id = a.household_id AND s.person_id = a.person_id
              AND s.category = r.category)
        UNION ALL
        SELECT h.household_id, r.category, NULL FROM home h CROSS JOIN rule r
        WHERE r.required AND r.per = 'HOUSEHOLD' AND NOT EXISTS (
            SELECT FROM stated s WHERE s.household_id = h.household_id AND s.category = r.category)
    ), gaps AS (
        SELECT g.household_id, array_agg(DISTINCT g.category ORDER BY g.category) AS categories,
            count(DISTINCT g.member_no) AS adults
        FROM gap g GROUP BY g.household_id
    ), known AS (
        SELECT s.household_id, array_agg(DISTINCT s.category ORDER BY s.category) AS categories,
            array_agg(DISTINCT s.category || ' ' || s.source) FILTER (WHERE r.required) AS sources
        FROM stated s JOIN rule r ON r.category = s.category GROUP BY s.household_id
    ), newest AS (
        SELECT s.household_id, s.category, s.person_id, max(s.at) AS at FROM stated s
        GROUP BY s.household_id, s.category, s.person_id
    ), ageing AS (
        SELECT DISTINCT ON (n.household_id) n.household_id, n.category,
            (n.at AT TIME ZONE 'Asia/Shanghai')::date + r.stated_days + 1 AS stale_on
        FROM newest n JOIN rule r ON r.category = n.category AND r.stated_days IS NOT NULL
        ORDER BY n.household_id, stale_on, n.category
    ), grown AS (
        SELECT a.household_id, count(*) AS adults FROM adult a GROUP BY a.household_id
    )
    INSERT INTO record.household_coverage AS c (county, household_id, rule_version, adults, missing, adults_missing,
        reported, sources, stale_on, stale_category, conflict)
    SELECT h.county, h.household_id, (SELECT max(version) FROM rule), coalesce(w.adults, 0),
        coalesce(g.categories, '{}'), coalesce(g.adults, 0), coalesce(k.categories, '{}'), coalesce(k.sources, '{}'),
        e.stale_on, e.category,
        EXISTS (SELECT FROM record.section n WHERE n.county = h.county AND n.household_id = h.household_id
                  AND n.category = 'conflict')
    FROM home h
    LEFT JOIN grown w ON w.household_id = h.household_id
    LEFT JOIN gaps g ON g.household_id = h.household_id
    LEFT JOIN known k ON k.household_id = h.household_id
    LEFT JOIN ageing e ON e.household_id = h.household_id
    ON CONFLICT (county, household_id) DO UPDATE SET rule_version = EXCLUDED.rule_version, adults = EXCLUDED.adults,
        missing = EXCLUDED.missing, adults_missing = EXCLUDED.adults_missing, reported = EXCLUDED.reported,
        sources = EXCLUDED.sources, stale_on = EXCLUDED.stale_on, stale_category = EXCLUDED.stale_category,
        conflict = EXCLUDED.conflict
    WHERE (c.rule_version, c.adults, c.missing, c.adults_missing, c.reported, c.sources, c.stale_on, c.stale_category,
           c.conflict)
          IS DISTINCT FROM (EXCLUDED.rule_version, EXCLUDED.adults, EXCLUDED.missing, EXCLUDED.adults_missing,
                            EXCLUDED.reported, EXCLUDED.sources, EXCLUDED.stale_on, EXCLUDED.stale_category,
                            EXCLUDED.conflict);
$$;

-- Households of which something waits for a person: a link that nobody confirmed, or a row in quarantine. Small sets.
CREATE VIEW record.unsettled_household AS
    SELECT m.household_id, 'LINK' AS why FROM record.observation o
    JOIN record.membership m ON m.person_id = o.person_id AND m.recorded_to = 'infinity' AND m.valid_to IS NULL
    WHERE o.link = 'PROBABLE' AND o.recorded_to = 'infinity'
    UNION
    SELECT m.household_id, 'LINK' FROM record.observation o JOIN record.link_candidate l USING (row_id)
    JOIN record.membership m ON m.member_no = l.member_no AND m.recorded_to = 'infinity' AND m.valid_to IS NULL
    WHERE o.link = 'REVIEW' AND o.recorded_to = 'infinity'
    UNION
    SELECT m.household_id, 'QUARANTINE' FROM ingest.quarantine q JOIN ingest.held_row h USING (row_id)
    JOIN record.directory d ON d.blind_index = h.subject_index
    JOIN record.membership m ON m.person_id = d.person_id AND m.recorded_to = 'infinity' AND m.valid_to IS NULL
    WHERE q.status = 'OPEN'
    UNION
    SELECT m.household_id, 'QUARANTINE' FROM ingest.quarantine q
    JOIN record.membership m ON m.member_no = substr(q.source_key, 8) AND m.recorded_to = 'infinity'
        AND m.valid_to IS NULL
    WHERE q.status = 'OPEN' AND starts_with(q.source_key, 'member|')
    UNION
    SELECT d.household_id, 'QUARANTINE' FROM ingest.quarantine q
    JOIN record.household_directory d ON d.household_no = substr(q.source_key, 11)
    WHERE q.status = 'OPEN' AND starts_with(q.source_key, 'household|');

-- Coverage by area: one line for each area of a level (digits of the code: 4, 6, 9 or 12) below `p_area`, restricted to
-- the villages whose code begins with one of `p_within`. Numbers of households only.
CREATE FUNCTION record.coverage(p_area text, p_digits int, p_within text[], p_at timestamptz)
RETURNS TABLE (area text, rule_version int, households int, complete int, fresh int, verified int, covered int,
               adults int, adults_missing int, missing jsonb, stale jsonb, unverified jsonb, reported jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH unheard AS MATERIALIZED (   -- `category source` of what was not heard of for too long
        SELECT r.category || ' ' || s.source AS name, r.category
        FROM record.coverage_rule r JOIN ingest.source_state s ON s.kind = r.source_kind
        WHERE r.version = (SELECT max(version) FROM record.coverage_rule) AND r.required
          AND coalesce(s.last_ok_at, '-infinity') < p_at - make_interval(days => r.heard_days)
    ), unsettled AS MATERIALIZED (
        SELECT u.household_id, array_agg(DISTINCT u.why) AS why FROM record.unsettled_household u GROUP BY u.household_id
    ), day AS (
        SELECT (p_at AT TIME ZONE 'Asia/Shanghai')::date AS today,
            coalesce((SELECT array_agg(u.name) FROM unheard u), '{}') AS names
    ), file AS (
        SELECT left(h.village_code, p_digits) AS area, c.rule_version, c.adults, c.adults_missing, c.missing, c.reported,
            CASE WHEN c.sources && d.names
                 THEN ARRAY (SELECT u.category FROM unheard u WHERE u.name = ANY (c.sources)
                             UNION SELECT c.stale_category WHERE c.stale_on <= d.today)
                 WHEN c.stale_on <= d.today THEN ARRAY[c.stale_category] ELSE '{}' END AS stale,
            CASE WHEN c.conflict THEN ARRAY['CONFLICT'] ELSE '{}' END || coalesce(u.why, '{}') AS unverified
        FROM record.household h
        JOIN record.household_coverage c ON c.county = h.county AND c.household_id = h.household_id
        CROSS JOIN day d
        LEFT JOIN unsettled u ON u.household_id = h.household_id
        WHERE h.held AND h.status = 'ACTIVE' AND starts_with(h.village_code, p_area)
          AND (length(p_area) < 6 OR h.county = left(p_area, 6))
          AND (left(h.village_code, 6) = ANY (p_within)
               OR EXISTS (SELECT FROM unnest(p_within) AS w (code) WHERE starts_with(h.village_code, w.code)))
    ), alike AS MATERIALIZED (       -- files that say the same are counted once and for all: few of very many
        SELECT f.area, f.missing, f.stale, f.unverified, f.reported, max(f.rule_version) AS rule_version,
            count(*)::int AS households, sum(f.adults)::int AS adults, sum(f.adults_missing)::int AS adults_missing
        FROM file f GROUP BY f.area, f.missing, f.stale, f.unverified, f.reported
    ), listed AS (
        SELECT f.area, n.part, n.name, sum(f.households)::int AS households
        FROM alike f CROSS JOIN LATERAL (
            SELECT 'missing' AS part, unnest(f.missing) AS name UNION ALL SELECT 'stale', unnest(f.stale)
            UNION ALL SELECT 'unverified', unnest(f.unverified) UNION ALL SELECT 'reported', unnest(f.reported)) n
        GROUP BY f.area, n.part, n.name
    ), told AS (
        SELECT l.area,
            coalesce(jsonb_object_agg(l.name, l.households) FILTER (WHERE l.part = 'missing'), '{}') AS missing,
            coalesce(jsonb_object_agg(l.name, l.households) FILTER (WHERE l.part = 'stale'), '{}') AS stale,
            coalesce(jsonb_object_agg(l.name, l.households) FILTER (WHERE l.part = 'unverified'), '{}') AS unverified,
            coalesce(jsonb_object_agg(l.name, l.households) FILTER (WHERE l.part = 'reported'), '{}') AS reported
        FROM listed l GROUP BY l.area
    )
    SELECT f.area, max(f.rule_version), sum(f.households)::int,
        coalesce(sum(f.households) FILTER (WHERE f.missing = '{}'), 0)::int,
        coalesce(sum(f.households) FILTER (WHERE f.stale = '{}'), 0)::int,
        coalesce(sum(f.households) FILTER (WHERE f.unverified = '{}'), 0)::int,
        coalesce(sum(f.households) FILTER (WHERE f.missing = '{}' AND f.stale = '{}' AND f.unverified = '{}'), 0)::int,
        sum(f.adults)::int, sum(f.adults_missing)::int,
        coalesce(min(t.missing::text)::jsonb, '{}'), coalesce(min(t.stale::text)::jsonb, '{}'),
        coalesce(min(t.unverified::text)::jsonb, '{}'), coalesce(min(t.reported::text)::jsonb, '{}')
    FROM alike f LEFT JOIN told t ON t.area = f.area
    GROUP BY f.area ORDER BY f.area
$$;

GRANT SELECT ON record.coverage_rule TO hub_ingest;
GRANT SELECT, INSERT, UPDATE, DELETE ON record.household_coverage TO hub_ingest;
GRANT SELECT ON record.unsettled_household TO hub_ingest;
GRANT MAINTAIN ON record.household_coverage TO hub_ingest;
REVOKE ALL ON FUNCTION record.derive_coverage, record.coverage FROM PUBLIC;
GRANT EXECUTE ON FUNCTION record.derive_coverage, record.coverage TO hub_ingest;

-- Over the API: who may read it, and where, is read from the accounts here, never taken from the caller.
CREATE FUNCTION access.official_coverage(
    p_account text, p_token text, p_area text, p_digits int, p_at timestamptz,
    OUT role text, OUT organisation_id text, OUT lines jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_within text[];
BEGIN
    SELECT a.role, a.organisation_id,
        CASE WHEN cardinality(a.village_codes) > 0 THEN a.village_codes
             WHEN a.role IN ('REGULATOR', 'STEWARD', 'TOWNSHIP') THEN a.county_codes::text[] END
    INTO role, organisation_id, v_within
    FROM auth.account a
    WHERE a.account_id = p_account AND a.status = 'ACTIVE'
      AND a.role IN ('REGULATOR', 'STEWARD', 'TOWNSHIP', 'COLLECTOR')
      AND NOT EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = p_token);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'role may not read coverage' USING ERRCODE = 'HB120';
    END IF;
    IF v_within IS NULL OR NOT EXISTS (
        SELECT FROM unnest(v_within) AS w (code) WHERE starts_with(w.code, p_area) OR starts_with(p_area, w.code)) THEN
        RAISE EXCEPTION 'area is not the account''s' USING ERRCODE = 'HB121';
    END IF;
    SELECT coalesce(jsonb_agg(to_jsonb(c)), '[]') INTO lines
    FROM record.coverage(p_area, p_digits, v_within, p_at) c;
END $$;
REVOKE ALL ON FUNCTION access.official_coverage FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access.official_coverage TO hub_app;
