-- An alarm that was closed is no silence for the rest of its day, and whoever asks about a canary rings: also stewards.

-- What is seen after an alarm was closed opens it again, and the log is told anew. How it was closed before stands there.
CREATE FUNCTION access.reopen_alert() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.status := 'OPEN';
    NEW.outcome := NULL;
    NEW.closed_at := NULL;
    NEW.closed_by := NULL;
    NEW.ev := NULL;
    RETURN NEW;
END $$;
CREATE TRIGGER alert_seen_again BEFORE UPDATE OF observed ON access.alert FOR EACH ROW
    WHEN (OLD.status = 'CLOSED' AND NEW.observed > OLD.observed) EXECUTE FUNCTION access.reopen_alert();

-- As in 0047; a steward who asks about a canary rings too.
CREATE OR REPLACE FUNCTION access.record_all(p_records audit.pending[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit.pending SELECT * FROM unnest(p_records);
    INSERT INTO access.officer_query
        (county, ev, asked_at, day, asker, organisation_id, officer, purpose, decision, person_id, basis_id, parts, others)
    SELECT coalesce(r.county, '000000'), r.ev, r.queued_at, (r.queued_at AT TIME ZONE 'Asia/Shanghai')::date,
           r.facts ->> 'client', r.organisation, r.actor, coalesce(r.purpose, ''), r.decision, r.subjects[1],
           (r.facts #>> ARRAY ['persons', r.subjects[1]::text, 'basis'])::uuid,
           CASE r.decision WHEN 'deny' THEN '{}'::text[] ELSE ARRAY (
               SELECT a.part ->> 0 || '/' || (a.part ->> 1)
               FROM jsonb_array_elements(r.facts -> 'asked') WITH ORDINALITY AS a (part, rank)
               WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(r.facts -> 'withheld') AS w (part)
                                 WHERE w.part -> 0 = a.part -> 0 AND w.part -> 1 = a.part -> 1)
               ORDER BY a.rank) END,
           r.subjects[2:]
    FROM unnest(p_records) AS r WHERE r.event IN ('profile:client:queried', 'eligibility:client:asked');
    INSERT INTO access.alert AS a (kind, raised_at, day, county, organisation_id, officer, observed)
    SELECT 'CANARY', min(r.queued_at), (min(r.queued_at) AT TIME ZONE 'Asia/Shanghai')::date, min(c.county),
           r.organisation, r.actor, count(*)
    FROM unnest(p_records) AS r JOIN access.canary c ON c.person_id = r.subjects[1]
    WHERE r.event IN ('profile:client:queried', 'eligibility:client:asked', 'household:steward:shown')
    GROUP BY r.organisation, r.actor ORDER BY r.organisation, r.actor
    ON CONFLICT (kind, day, organisation_id, officer, village_code) DO UPDATE SET observed = a.observed + excluded.observed;
END $$;

-- The same for a steward's command, which looks up the blind indexes of ID numbers without the gate.
CREATE FUNCTION access.ring_canaries(p_indexes bytea[], p_steward text) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO access.alert AS a (kind, raised_at, day, county, organisation_id, officer, observed)
    SELECT 'CANARY', clock_timestamp(), (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date, min(c.county), 'hub',
           p_steward, count(DISTINCT c.person_id)
    FROM record.directory d JOIN access.canary c ON c.person_id = d.person_id
    WHERE d.blind_index = ANY (p_indexes) HAVING count(*) > 0
    ON CONFLICT (kind, day, organisation_id, officer, village_code) DO UPDATE SET observed = a.observed + excluded.observed
$$;
REVOKE ALL ON FUNCTION access.ring_canaries, access.reopen_alert FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access.ring_canaries TO hub_ingest;
