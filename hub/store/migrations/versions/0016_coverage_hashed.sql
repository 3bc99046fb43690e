-- Coverage of a county took minutes: the planner takes an area for a handful of households and goes through what is
-- unsettled once for each. What is unsettled is found by itself, by index; then everything is joined by hash.

CREATE FUNCTION record.unsettled() RETURNS TABLE (household_id uuid, why text[])
LANGUAGE sql STABLE ROWS 20000 SET search_path = pg_catalog, pg_temp AS $$
    SELECT u.household_id, array_agg(DISTINCT u.why) FROM record.unsettled_household u GROUP BY u.household_id
$$;
REVOKE ALL ON FUNCTION record.unsettled FROM PUBLIC;
GRANT EXECUTE ON FUNCTION record.unsettled TO hub_ingest;

-- Coverage by area: one line for each area of a level (digits of the code: 4, 6, 9 or 12) below `p_area`, restricted to
-- the villages whose code begins with one of `p_within`. Numbers of households only.
CREATE OR REPLACE FUNCTION record.coverage(p_area text, p_digits int, p_within text[], p_at timestamptz)
RETURNS TABLE (area text, rule_version int, households int, complete int, fresh int, verified int, covered int,
               adults int, adults_missing int, missing jsonb, stale jsonb, unverified jsonb, reported jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
    WITH unheard AS MATERIALIZED (   -- `category source` of what was not heard of for too long
        SELECT r.category || ' ' || s.source AS name, r.category
        FROM record.coverage_rule r JOIN ingest.source_state s ON s.kind = r.source_kind
        WHERE r.version = (SELECT max(version) FROM record.coverage_rule) AND r.required
          AND coalesce(s.last_ok_at, '-infinity') < p_at - make_interval(days => r.heard_days)
    ), unsettled AS MATERIALIZED (
        SELECT u.household_id, u.why FROM record.unsettled() u
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
