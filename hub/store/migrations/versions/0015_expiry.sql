-- An adverse item is gone on the day its time is over, also where no job has folded its household anew. A section that
-- tells of one carries the first day on which it may not leave any more, and the text that takes its place from then on
-- (none: there is no such section then). Where that text would run out too before anybody folds, nothing is given.
ALTER TABLE record.section
    ADD COLUMN expires_on       date,
    ADD COLUMN body_after       text,
    ADD COLUMN digest_after     bytea,
    ADD COLUMN after_expires_on date;

CREATE OR REPLACE FUNCTION access.read_sections(p_asked access.asked, p_parts text[]) RETURNS access.reading
LANGUAGE plpgsql STABLE AS $$
DECLARE
    c_household CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    v_today     CONSTANT date := (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date;
    v_reading   access.reading;
BEGIN
    SELECT array_agg(k.about), array_agg(k.part), array_agg(k.owner), array_agg(k.body), string_agg(k.lines, ','),
           max(k.folded_at)
    INTO v_reading
    FROM (
        SELECT g.rank, s.owner, s.person_id AS about, g.part, s.body, s.lines, s.folded_at
        FROM unnest(p_parts) WITH ORDINALITY AS g (part, rank)
        CROSS JOIN LATERAL (
            SELECT split_part(g.part, '/', 1) AS category, split_part(g.part, '/', 2) AS form,
                   CASE WHEN access.is_household_part(g.part) THEN c_household ELSE p_asked.person_id END AS about
        ) key
        CROSS JOIN LATERAL (
            SELECT s.owner, s.person_id, CASE WHEN s.expires_on <= v_today THEN s.body_after ELSE s.body END AS body,
                   access.log_line(s.category, s.form, s.owner, s.fold_version,
                                   CASE WHEN s.expires_on <= v_today THEN s.digest_after ELSE s.digest END) AS lines,
                   s.folded_at
            FROM record.section s
            WHERE (s.county, s.household_id, s.person_id, s.category, s.form)
                  BETWEEN (p_asked.county, p_asked.household_id, key.about, key.category, key.form)
                  AND (p_asked.county, p_asked.household_id, key.about, key.category, key.form)
              AND (s.owner IN ('', p_asked.organisation_id) OR p_asked.role IN ('RESIDENT', 'STEWARD'))
              AND (s.expires_on > v_today IS NOT FALSE
                   OR s.body_after IS NOT NULL AND s.after_expires_on > v_today IS NOT FALSE)
            OFFSET 0
        ) s
        WHERE g.part NOT LIKE '%/TOTAL'
        UNION ALL
        SELECT g.rank, '', p_asked.person_id, g.part, t.body, t.lines, t.folded_at
        FROM unnest(p_parts) WITH ORDINALITY AS g (part, rank)
        CROSS JOIN LATERAL (
            SELECT CASE g.part
                       WHEN 'bank.loan/TOTAL' THEN
                           '{"lenders":' || count(*) || ',"loans":' || sum((b.body ->> 'loans')::int)
                           || ',"totalBalance":"' || sum((b.body ->> 'balance')::numeric) || '","worstClass":'
                           || coalesce('"' || max(b.body ->> 'worstClass') || '"', 'null') || '}'
                       WHEN 'bank.line/TOTAL' THEN
                           '{"lenders":' || count(*) || ',"totalAmount":"'
                           || sum((b.body ->> 'amount')::numeric) || '"}'
                   END AS body,
                   string_agg(access.log_line(
                       s.category, s.form, s.owner, s.fold_version,
                       CASE WHEN s.expires_on <= v_today THEN s.digest_after ELSE s.digest END), ','
                       ORDER BY s.owner) AS lines,
                   max(s.folded_at) AS folded_at
            FROM record.section s
            CROSS JOIN LATERAL (
                SELECT (CASE WHEN s.expires_on <= v_today THEN s.body_after ELSE s.body END)::jsonb AS body OFFSET 0) b
            WHERE (s.county, s.household_id, s.person_id, s.category, s.form)
                  BETWEEN (p_asked.county, p_asked.household_id, p_asked.person_id, split_part(g.part, '/', 1), 'TOTAL')
                  AND (p_asked.county, p_asked.household_id, p_asked.person_id, split_part(g.part, '/', 1), 'TOTAL')
              AND s.owner <> p_asked.organisation_id
              AND (s.expires_on > v_today IS NOT FALSE
                   OR s.body_after IS NOT NULL AND s.after_expires_on > v_today IS NOT FALSE)
            HAVING count(*) > 0
        ) t
        WHERE g.part LIKE '%/TOTAL'
        ORDER BY 1, 2
    ) k;
    RETURN v_reading;
END $$;

REVOKE ALL ON FUNCTION access.read_sections FROM PUBLIC;

-- The closed list of audit events, with those of adverse items.
CREATE OR REPLACE FUNCTION audit.check_pending() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_wrong text := CASE
        WHEN NEW.kind NOT IN ('query', 'write', 'consent', 'connector', 'admin', 'erasure', 'shard') THEN 'kind'
        WHEN NEW.event NOT IN (
            'account:operator:changed',
            'adverse:hub:purged',
            'answer:auditor:replayed',
            'challenge:hub:closed',
            'challenge:hub:opened',
            'challenge:steward:closed',
            'challenge:steward:exported',
            'challenge:steward:listed',
            'client:operator:changed',
            'consent:client:requested',
            'consent:hub:expired',
            'consent:resident:granted',
            'consent:resident:refused',
            'consent:resident:suspended',
            'consent:resident:withdrawn',
            'consent:steward:revoked',
            'coverage:official:queried',
            'history:resident:queried',
            'household:resident:queried',
            'household:steward:shown',
            'key:operator:rotated',
            'link:hub:scored',
            'link:steward:decided',
            'link:steward:shown',
            'log:auditor:exported',
            'log:auditor:queried',
            'log:sequencer:closed',
            'log:sequencer:opened',
            'person:operator:erased',
            'precedence:operator:loaded',
            'profile:client:queried',
            'quarantine:steward:discarded',
            'quarantine:steward:exported',
            'quarantine:steward:listed',
            'quarantine:steward:rechecked',
            'quarantine:steward:released',
            'quarantine:steward:repaired',
            'quarantine:steward:shown',
            'record:hub:folded',
            'record:resident:annotated',
            'record:steward:amended',
            'rules:operator:loaded',
            'schema:operator:migrated',
            'source:connector:failed',
            'source:connector:pulled',
            'subjects:sequencer:counted',
            'token:operator:issued',
            'token:operator:revoked') THEN 'event'
        WHEN octet_length(NEW.organisation) > 64 OR NEW.organisation ~ '[^A-Za-z0-9._:-]' THEN 'organisation'
        WHEN octet_length(NEW.purpose) NOT BETWEEN 1 AND 40 OR NEW.purpose ~ '[^A-Z_]' THEN 'purpose'
        WHEN NEW.decision NOT IN ('allow', 'deny', 'mask') THEN 'decision'
        WHEN octet_length(NEW.policy) NOT BETWEEN 1 AND 80 OR NEW.policy ~ '[^A-Za-z0-9._:+-]' THEN 'policy'
        WHEN octet_length(NEW.operation) <> 32 THEN 'operation'
        WHEN cardinality(NEW.subjects) > 1000 THEN 'subjects'
        WHEN jsonb_typeof(NEW.facts) <> 'object' THEN 'facts'
    END;
BEGIN
    IF v_wrong IS NOT NULL THEN
        RAISE EXCEPTION 'the % of a row for audit.pending is not in order', v_wrong USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
