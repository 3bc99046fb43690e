-- People who look into the database with a login of their own (analysts of coverage, stewards of sources): members of the
-- role hub_viewer. They see rows about the state of sections, of their counties and categories, and never a value, a
-- person or a household. What they may see hangs on who logged in, never on a setting of the session.
CREATE TABLE access.reader (
    login         text PRIMARY KEY CHECK (login ~ '^[a-z_][a-z0-9_]{0,62}$'),
    counties      char(6)[] NOT NULL CHECK (cardinality(counties) > 0),
    categories    text[] NOT NULL CHECK (cardinality(categories) > 0),
    until         timestamptz NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Whether the login of this session may see rows of a county and category.
CREATE FUNCTION access.reads(p_county char(6), p_category text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT EXISTS (SELECT FROM access.reader r
                   WHERE r.login = session_user AND r.until > clock_timestamp()
                     AND p_county = ANY (r.counties) AND p_category = ANY (r.categories))
$$;
REVOKE ALL ON FUNCTION access.reads FROM PUBLIC;

-- The owner, as whom the gate's functions run, is not bound by row-level security; the role that folds sees all rows.
ALTER TABLE record.section ENABLE ROW LEVEL SECURITY;
CREATE POLICY folding ON record.section TO hub_ingest USING (true) WITH CHECK (true);
CREATE POLICY reading ON record.section FOR SELECT TO hub_viewer USING (access.reads(county, category));

GRANT USAGE ON SCHEMA record, access TO hub_viewer;
GRANT EXECUTE ON FUNCTION access.reads TO hub_viewer;
GRANT SELECT (county, category, form, source, source_time, folded_at, changes_on, fold_version) ON record.section
    TO hub_viewer;

INSERT INTO audit.event_name (name) VALUES ('reader:operator:changed');
