-- A key folder is the right one if nothing of it was lost or made anew: not only what it holds is compared, also what it
-- lacks, and besides the master keys those whose loss nobody would see at once (docs/KEYS.md).

-- Files of the folder that last as long as the hub. `mark`: of a signing key its public half, of `pseudonyms` a value that
-- is derived from it and tells nothing of it.
CREATE TABLE keyring.lasting (
    name     text PRIMARY KEY CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
    mark     bytea NOT NULL CHECK (octet_length(mark) = 32),
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

DROP FUNCTION keyring.check_folder(bytea[]);

-- Note what a key folder holds: its versions by the keyed hash of the fixed text under each (`p_masters`: those of which
-- the master key is there), its lasting files by their marks. FOREIGN: `files` are not those that the database knows.
-- LOST: `files` are missing. Then nothing was noted. UNFINISHED: the newest version is not in use everywhere. FIT: all is
-- well.
CREATE FUNCTION keyring.check_folder(p_marks bytea[], p_masters int[], p_names text[], p_lasting bytea[],
                                     OUT state text, OUT files text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_first boolean := NOT EXISTS (SELECT FROM keyring.version);
    v_newest smallint;
BEGIN
    SELECT array_agg(name ORDER BY name) INTO files FROM (
        SELECT 'master.' || v.version FROM unnest(p_marks) AS m (mark)
        JOIN keyring.version v ON v.version = get_byte(m.mark, 0) WHERE v.mark <> m.mark
        UNION ALL
        SELECT k.name FROM unnest(p_names, p_lasting) AS m (name, mark) JOIN keyring.lasting k ON k.name = m.name
        WHERE k.mark <> m.mark
    ) AS other (name);
    IF files IS NOT NULL THEN
        state := 'FOREIGN';
        RETURN;
    END IF;
    SELECT array_agg(name ORDER BY name) INTO files FROM (
        SELECT 'master.' || v.version FROM keyring.version v
        WHERE v.state <> 'RETIRED' AND NOT v.version = ANY (p_masters)
        UNION ALL
        SELECT k.name FROM keyring.lasting k WHERE NOT k.name = ANY (p_names)
    ) AS missing (name);
    IF files IS NOT NULL THEN
        state := 'LOST';
        RETURN;
    END IF;
    SELECT max(get_byte(m.mark, 0)) INTO v_newest FROM unnest(p_marks) AS m (mark);
    INSERT INTO keyring.version (version, mark, state)
    SELECT get_byte(m.mark, 0), m.mark,
           CASE WHEN v_first AND (cardinality(p_marks) = 1 OR get_byte(m.mark, 0) < v_newest) THEN 'IN_USE' ELSE 'MADE' END
    FROM unnest(p_marks) AS m (mark) ORDER BY 1
    ON CONFLICT DO NOTHING;
    INSERT INTO keyring.lasting (name, mark)
    SELECT m.name, m.mark FROM unnest(p_names, p_lasting) AS m (name, mark) ORDER BY 1
    ON CONFLICT DO NOTHING;
    state := CASE WHEN (SELECT v.state FROM keyring.version v WHERE v.version = v_newest) = 'IN_USE'
                  THEN 'FIT' ELSE 'UNFINISHED' END;
END $$;
REVOKE ALL ON FUNCTION keyring.check_folder FROM PUBLIC;
GRANT EXECUTE ON FUNCTION keyring.check_folder TO hub_ingest;
