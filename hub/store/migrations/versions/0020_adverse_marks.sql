-- Where a purge took something: a keyed hash of household and category, made by the hub (hub/records/adverse.py). A replay
-- that misses a section of the household learns here that the law took it, and not somebody. Without the key it names
-- nobody; it goes after three years, so long as records of what was provided to others are kept (网络数据安全管理条例
-- art. 12).
CREATE TABLE record.adverse_mark (
    mark      bytea       NOT NULL,
    purged_at timestamptz NOT NULL,
    PRIMARY KEY (mark, purged_at)
);
CREATE INDEX adverse_mark_age ON record.adverse_mark (purged_at);
GRANT SELECT, INSERT ON record.adverse_mark TO hub_ingest;

DROP FUNCTION record.purge_adverse;

-- Destroy the next rows whose adverse item is over: content, hint, link evidence, statement, repair, what is held sealed
-- in quarantine, what stewards wrote about it. Gives what was purged, and of which households' members; nothing when nothing is left.
-- The caller's transaction records it and marks the households. It decides by the tables alone, and by no later day than
-- today.
CREATE FUNCTION record.purge_adverse(p_today date, p_at timestamptz, p_limit int)
RETURNS TABLE (category text, regime text, rows bigint, held_back bigint, households uuid[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_rows   uuid[];
    v_people uuid[];
BEGIN
    IF p_today > (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date THEN
        RAISE EXCEPTION 'nothing is purged before its day has come' USING ERRCODE = 'HB130';
    END IF;
    DELETE FROM record.adverse_mark m WHERE m.purged_at < least(p_at, clock_timestamp()) - interval '3 years';
    v_rows := ARRAY (SELECT e.row_id FROM record.expired_adverse(p_today) e ORDER BY e.row_id LIMIT p_limit);
    IF cardinality(v_rows) = 0 THEN
        RETURN;
    END IF;
    RETURN QUERY
        WITH noted AS (
            INSERT INTO record.adverse_purge AS p (purged_at, category, regime, rows)
            SELECT p_at, r.category, r.regime, count(*) FROM ingest.held_row h
            JOIN record.adverse_regime r ON r.category = h.adverse WHERE h.row_id = ANY (v_rows)
            GROUP BY r.category, r.regime
            RETURNING p.category, p.regime, p.rows
        )
        SELECT n.category, n.regime, n.rows, (
            SELECT count(*) FROM ingest.held_row h
            WHERE h.row_id = ANY (v_rows) AND h.adverse = n.category AND h.state <> 'VALID'),
            ARRAY (  -- all in which the people concerned ever were: past answers told of it there
            SELECT DISTINCT m.household_id FROM ingest.held_row h
            JOIN record.observation o ON o.row_id = h.row_id
            JOIN record.membership m ON m.person_id = o.person_id
            WHERE h.row_id = ANY (v_rows) AND h.adverse = n.category)
        FROM noted n;
    v_people := ARRAY (SELECT DISTINCT o.person_id FROM record.observation o
                       WHERE o.row_id = ANY (v_rows) AND o.person_id IS NOT NULL);

    -- First of all: who is about to add a statement keeps the row, and is waited for (hub/records/adverse_notes.py).
    DELETE FROM record.observation o WHERE o.row_id = ANY (v_rows);
    INSERT INTO record.stale_household (household_id)
    SELECT DISTINCT m.household_id FROM record.membership m
    WHERE m.person_id = ANY (v_people) AND m.recorded_to = 'infinity' AND m.valid_to IS NULL
    ON CONFLICT DO NOTHING;
    DELETE FROM record.link_candidate c WHERE c.row_id = ANY (v_rows);
    DELETE FROM record.link_proposal p WHERE p.row_id = ANY (v_rows);
    PERFORM set_config('hub.purging', 'on', true);
    DELETE FROM ingest.quarantine_act a USING ingest.quarantine q
    WHERE q.number = a.number AND (q.row_id = ANY (v_rows) OR a.row_id = ANY (v_rows));
    PERFORM set_config('hub.purging', 'off', true);
    UPDATE ingest.quarantine q SET sealed_row = NULL, reason = 13, other_reasons = '{}'
    WHERE q.row_id = ANY (v_rows);
    UPDATE ingest.held_row h SET purged_at = p_at, adverse = NULL, adverse_ended_on = NULL, subject_index = NULL,
        reason = CASE WHEN h.state = 'QUARANTINED' THEN 13 ELSE h.reason END
    WHERE h.row_id = ANY (v_rows);

    -- What belongs to an item goes with its last version.
    DELETE FROM record.adverse_statement s USING ingest.held_row h
    WHERE h.row_id = ANY (v_rows) AND s.source = h.source AND s.source_key = h.source_key AND NOT EXISTS (
        SELECT FROM ingest.held_row a WHERE a.source = h.source AND a.source_key = h.source_key AND a.adverse IS NOT NULL);
    DELETE FROM record.adverse_repair s USING ingest.held_row h
    WHERE h.row_id = ANY (v_rows) AND s.source = h.source AND s.source_key = h.source_key AND NOT EXISTS (
        SELECT FROM ingest.held_row a WHERE a.source = h.source AND a.source_key = h.source_key AND a.adverse IS NOT NULL);
    DELETE FROM record.link_decision d USING ingest.held_row h
    WHERE h.row_id = ANY (v_rows) AND d.source = h.source AND d.source_key = h.source_key AND NOT EXISTS (
        SELECT FROM ingest.held_row a JOIN record.observation o ON o.row_id = a.row_id
        WHERE a.source = h.source AND a.source_key = h.source_key);
    DELETE FROM record.challenge c USING ingest.held_row h
    WHERE h.row_id = ANY (v_rows) AND c.source = h.source AND c.source_key = h.source_key
      AND (c.version = h.version OR NOT EXISTS (
        SELECT FROM ingest.held_row a JOIN record.observation o ON o.row_id = a.row_id
        WHERE a.source = h.source AND a.source_key = h.source_key));
END $$;

REVOKE ALL ON FUNCTION record.purge_adverse FROM PUBLIC;
GRANT EXECUTE ON FUNCTION record.purge_adverse TO hub_ingest;
