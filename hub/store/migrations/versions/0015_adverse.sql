-- Adverse items: legal regime, statement of the person, repair, and the purge when their time is over.

-- The years of hub/records/adverse_regimes.toml (a test compares them), so that the purge takes nobody's word for them.
CREATE TABLE record.adverse_regime (
    category   text    PRIMARY KEY,
    regime     text    NOT NULL,
    years      int     NOT NULL CHECK (years BETWEEN 1 AND 5),
    repairable boolean NOT NULL
);
INSERT INTO record.adverse_regime VALUES
    ('bank.loan', 'CREDIT_REPORTING', 5, false),
    ('tax.arrears', 'PUBLIC_CREDIT', 3, true),
    ('clinic.arrears', 'PUBLIC_CREDIT', 3, true);

-- `adverse`: the category, where the row states an adverse item. `purged_at`: its content was destroyed; what is left is
-- what may be kept of a row that is only counted (docs/CONTRACTS.md 1.5), by which it is known when it comes again.
ALTER TABLE ingest.held_row
    ADD COLUMN adverse          text,
    ADD COLUMN adverse_ended_on date,
    ADD COLUMN purged_at        timestamptz;
UPDATE ingest.held_row h SET adverse = o.category,
    adverse_ended_on = CASE WHEN o.category <> 'bank.loan' THEN o.valid_to END
FROM record.observation o WHERE o.row_id = h.row_id AND o.adverse;
CREATE INDEX held_row_adverse ON ingest.held_row (source, source_key) WHERE adverse IS NOT NULL;

-- What the person says about an adverse item (条例 art. 16). Append-only: a later one stands in place of the one before,
-- one without text takes it back. It belongs to the item, not to one version of its row.
CREATE TABLE record.adverse_statement (
    county         char(6)     NOT NULL,   -- of the person when he made it
    statement_id   uuid        NOT NULL,
    source         text        NOT NULL,
    source_key     text        NOT NULL,
    number         int         NOT NULL,   -- counts the statements on this item from 1
    person_id      uuid        NOT NULL,
    identity_index bytea       NOT NULL,   -- of the number that he had then; leads to him after a merge
    sealed_text    bytea,                  -- purpose statement, context = statement_id; null: taken back
    stated_at      timestamptz NOT NULL,
    event          uuid        NOT NULL,   -- the audit entry
    PRIMARY KEY (county, statement_id)
);
CREATE UNIQUE INDEX adverse_statement_item ON record.adverse_statement (source, source_key, number);

-- What the competent body decided about an adverse item (信用修复管理办法), as a steward wrote it down; `repaired` false
-- takes the one before back. Append-only.
CREATE TABLE record.adverse_repair (
    county       char(6)     NOT NULL,
    repair_id    uuid        NOT NULL,
    source       text        NOT NULL,
    source_key   text        NOT NULL,
    number       int         NOT NULL,
    repaired     boolean     NOT NULL,
    decided_on   date        NOT NULL,
    sealed       bytea       NOT NULL,     -- document and reason; purpose repair, context = repair_id
    steward      text        NOT NULL,
    recorded_at  timestamptz NOT NULL,
    event        uuid        NOT NULL,
    PRIMARY KEY (county, repair_id)
);
CREATE UNIQUE INDEX adverse_repair_item ON record.adverse_repair (source, source_key, number);

-- What was purged when: numbers only. A replay that misses a section learns here that the law took it.
CREATE TABLE record.adverse_purge (
    purge_id  uuid        PRIMARY KEY DEFAULT uuidv7(),
    purged_at timestamptz NOT NULL,
    category  text        NOT NULL,
    regime    text        NOT NULL,
    rows      bigint      NOT NULL
);

GRANT SELECT ON record.adverse_regime, record.adverse_purge TO hub_ingest;
GRANT SELECT, INSERT ON record.adverse_statement, record.adverse_repair TO hub_ingest;

-- Rows whose adverse item is over on a day. It ended, at the latest: when this version or a later one says so; when a
-- later one was refused because it said that it had been over long ago, or was purged itself; when the source says
-- something later that is not adverse, or takes the row back; when the row ceased to be current and nothing took its
-- place. Shown until the last day, which is the same day of the year (29 February: the 28th).
CREATE FUNCTION record.expired_adverse(p_today date) RETURNS TABLE (row_id uuid, category text, regime text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT h.row_id, h.adverse, r.regime
    FROM ingest.held_row h
    JOIN record.adverse_regime r ON r.category = h.adverse
    CROSS JOIN LATERAL (
        SELECT min(CASE WHEN l.purged_at IS NOT NULL OR l.state = 'QUARANTINED' THEN date '-infinity'
                        WHEN l.adverse IS NOT NULL THEN l.adverse_ended_on
                        ELSE (coalesce(o.source_time, o.recorded_from) AT TIME ZONE 'Asia/Shanghai')::date END) AS told,
               bool_or(l.is_current) AS is_replaced
        FROM ingest.held_row l
        LEFT JOIN LATERAL (
            SELECT o.source_time, o.recorded_from FROM record.observation o WHERE o.row_id = l.row_id
            ORDER BY o.recorded_from LIMIT 1) o ON true
        WHERE l.source = h.source AND l.source_key = h.source_key AND l.row_id <> h.row_id
          AND (l.version_rank > h.version_rank OR l.version_rank = h.version_rank AND l.tombstone)
          AND (l.state = 'VALID' OR l.state = 'QUARANTINED' AND l.reason = 13)
    ) later
    CROSS JOIN LATERAL (
        SELECT (max(o.recorded_to) AT TIME ZONE 'Asia/Shanghai')::date AS lost_on FROM record.observation o
        WHERE o.row_id = h.row_id AND h.state = 'VALID' AND NOT h.is_current AND later.is_replaced IS NOT TRUE
    ) lost
    WHERE h.adverse IS NOT NULL
      AND (least(h.adverse_ended_on, later.told, lost.lost_on) + make_interval(years => r.years))::date < p_today
$$;

-- Destroy the next rows whose adverse item is over: content, hint, link evidence, statement, repair, what is held sealed
-- in quarantine, what stewards wrote about it. Gives what was purged; nothing when nothing is left. The caller's
-- transaction records it. It decides by the tables alone, and by no later day than today.
CREATE FUNCTION record.purge_adverse(p_today date, p_at timestamptz, p_limit int)
RETURNS TABLE (category text, regime text, rows bigint, held_back bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_rows   uuid[];
    v_people uuid[];
BEGIN
    IF p_today > (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date THEN
        RAISE EXCEPTION 'nothing is purged before its day has come' USING ERRCODE = 'HB130';
    END IF;
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
            WHERE h.row_id = ANY (v_rows) AND h.adverse = n.category AND h.state <> 'VALID')
        FROM noted n;
    v_people := ARRAY (SELECT DISTINCT o.person_id FROM record.observation o
                       WHERE o.row_id = ANY (v_rows) AND o.person_id IS NOT NULL);
    INSERT INTO record.stale_household (household_id)
    SELECT DISTINCT m.household_id FROM record.membership m
    WHERE m.person_id = ANY (v_people) AND m.recorded_to = 'infinity' AND m.valid_to IS NULL
    ON CONFLICT DO NOTHING;

    DELETE FROM record.observation o WHERE o.row_id = ANY (v_rows);
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
    WHERE h.row_id = ANY (v_rows) AND c.source = h.source AND c.source_key = h.source_key AND NOT EXISTS (
        SELECT FROM ingest.held_row a JOIN record.observation o ON o.row_id = a.row_id
        WHERE a.source = h.source AND a.source_key = h.source_key);
END $$;

-- What a steward did stays as it was, unless the law takes what it was about.
CREATE OR REPLACE FUNCTION ingest.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('hub.purging', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'what a steward did is never changed' USING ERRCODE = 'HB001';
END $$;

REVOKE ALL ON FUNCTION record.expired_adverse, record.purge_adverse FROM PUBLIC;
GRANT EXECUTE ON FUNCTION record.expired_adverse, record.purge_adverse TO hub_ingest;
