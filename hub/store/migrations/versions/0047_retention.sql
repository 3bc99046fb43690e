-- Records of provision (网络数据安全管理条例 art. 12, 个人信息保护法 art. 23, 55, 56) and what is destroyed when its time is over.

-- Which parts were given, and about which other adults their identity: so that the record of provision stands by itself,
-- whatever keys of the log are destroyed. Null: from before the hub kept it here (the log has it).
ALTER TABLE access.officer_query ADD COLUMN parts text[], ADD COLUMN others uuid[];

-- As in 0044, with what was given.
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
    WHERE r.event IN ('profile:client:queried', 'eligibility:client:asked')
    GROUP BY r.organisation, r.actor ORDER BY r.organisation, r.actor
    ON CONFLICT (kind, day, organisation_id, officer, village_code) DO UPDATE SET observed = a.observed + excluded.observed;
END $$;

-- What was provided from an instant until before another, to one organisation or to all, oldest first; with the kind and
-- reference of the basis. Nothing of what was in it.
CREATE FUNCTION access.provisions(p_since timestamptz, p_until timestamptz, p_organisation text)
RETURNS TABLE (ev uuid, asked_at timestamptz, organisation_id text, asker text, officer text, purpose text, county char(6),
               person_id uuid, others uuid[], parts text[], basis_id uuid, basis_kind text, reference text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT q.ev, q.asked_at, q.organisation_id, q.asker, q.officer, q.purpose, q.county, q.person_id, q.others, q.parts,
           q.basis_id, b.kind, b.reference
      FROM access.officer_query q LEFT JOIN consent.basis b ON b.basis_id = q.basis_id
     WHERE q.asked_at >= p_since AND q.asked_at < p_until AND q.decision <> 'deny'
       AND (p_organisation IS NULL OR q.organisation_id = p_organisation)
     ORDER BY q.asked_at, q.ev
$$;

-- Who else's identity was shown is reached by a breach as well; otherwise as in 0041.
CREATE OR REPLACE FUNCTION access.reach_of_breach(
    p_breach uuid, p_since timestamptz, p_until timestamptz, p_organisation text, p_county text,
    OUT persons bigint, OUT minors bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_grown_up date := (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date - interval '18 years';
BEGIN
    DELETE FROM access.breach_person b WHERE b.breach_id = p_breach AND b.told_at IS NULL;
    INSERT INTO access.breach_person (county, breach_id, person_id, minor)
    SELECT DISTINCT p.county, p_breach, p.person_id, coalesce(p.birth_date > v_grown_up, false)
      FROM record.person p
     WHERE p.county = p_county
        OR p.person_id IN (SELECT record.present_person(s.subject) FROM access.officer_query q
                            CROSS JOIN unnest(q.person_id || coalesce(q.others, '{}')) AS s (subject)
                            WHERE p_county IS NULL AND q.asked_at >= p_since AND q.asked_at < p_until
                              AND q.decision <> 'deny'
                              AND (p_organisation IS NULL OR q.organisation_id = p_organisation))
    ON CONFLICT DO NOTHING;
    SELECT count(*), count(*) FILTER (WHERE b.minor) INTO persons, minors
      FROM access.breach_person b WHERE b.breach_id = p_breach;
END $$;

-- What is kept for a time only, and the least time by law: nobody can have it destroyed earlier, whatever he asks for.
CREATE TABLE access.kept (
    what     text PRIMARY KEY,
    at_least interval NOT NULL
);
INSERT INTO access.kept VALUES
    ('PROVISIONS', '3 years'), ('ALERTS', '3 years'), ('OWN_REPORTS', '3 years'), ('BREACHES', '3 years'),
    ('SIGN_INS', '6 months'), ('DELIVERIES', '6 months'), ('CODES', '0');

-- Counts what was kept for longer than `p_period`, or destroys up to `p_limit` of it; the law's least time is never cut.
CREATE FUNCTION access.expire_kept(p_what text, p_period interval, p_at timestamptz, p_limit int) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_before timestamptz := least(p_at, clock_timestamp())
        - greatest(p_period, (SELECT k.at_least FROM access.kept k WHERE k.what = p_what));
    v_day    date := (v_before AT TIME ZONE 'Asia/Shanghai')::date;
    v_found  text[];
    v_count  bigint;
    v_select text := CASE p_what
        WHEN 'PROVISIONS' THEN 'SELECT ctid::text FROM access.officer_query WHERE day < $2'
        WHEN 'ALERTS' THEN 'SELECT ctid::text FROM access.alert WHERE closed_at < $1'
        WHEN 'OWN_REPORTS' THEN 'SELECT ctid::text FROM access.own_report WHERE issued_at < $1'
        WHEN 'BREACHES' THEN 'SELECT p.ctid::text FROM access.breach_person p JOIN access.breach b ON
            b.breach_id = p.breach_id WHERE b.closed_at < $1'
        WHEN 'SIGN_INS' THEN 'SELECT s.ctid::text FROM auth.session s WHERE least(s.ended_at, s.ends_at) < $1'
        WHEN 'DELIVERIES' THEN 'SELECT ctid::text FROM consent.delivery
            WHERE coalesce(delivered_at, given_up_at, made_at) < $1'
        WHEN 'CODES' THEN 'SELECT ctid::text FROM auth.printed_code WHERE expires_at < $1' END;
    v_table text := CASE p_what
        WHEN 'PROVISIONS' THEN 'access.officer_query' WHEN 'ALERTS' THEN 'access.alert'
        WHEN 'OWN_REPORTS' THEN 'access.own_report' WHEN 'BREACHES' THEN 'access.breach_person'
        WHEN 'SIGN_INS' THEN 'auth.session' WHEN 'DELIVERIES' THEN 'consent.delivery'
        WHEN 'CODES' THEN 'auth.printed_code' END;
BEGIN
    IF v_select IS NULL THEN
        RAISE EXCEPTION 'nothing of this name is kept for a time only' USING ERRCODE = 'HB194';
    END IF;
    IF p_limit IS NULL THEN
        EXECUTE 'SELECT count(*) FROM (' || v_select || ') AS due' INTO v_count USING v_before, v_day;
        RETURN v_count;
    END IF;
    EXECUTE 'SELECT coalesce(array_agg(d.ctid), ''{}'') FROM (' || v_select || ' LIMIT $3) AS d'
        INTO v_found USING v_before, v_day, p_limit;
    IF p_what = 'SIGN_INS' THEN
        DELETE FROM auth.session_token t USING auth.session s
         WHERE t.session_id = s.session_id AND s.ctid = ANY (v_found::tid[]);
        DELETE FROM auth.assistance a USING auth.session s
         WHERE a.session_id = s.session_id AND s.ctid = ANY (v_found::tid[]);
    END IF;
    EXECUTE 'DELETE FROM ' || v_table || ' WHERE ctid = ANY ($1::tid[])' USING v_found;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;

-- As what the hub works before the law at this moment, by the rules in force.
CREATE FUNCTION access.legal_mode_now() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT p.legal_mode FROM access.policy_set p WHERE p.retired_at IS NULL
$$;

-- From here on the ledger of queries loses nothing but by that function.
REVOKE DELETE ON access.officer_query FROM hub_ingest;
REVOKE ALL ON access.kept FROM PUBLIC;
REVOKE ALL ON FUNCTION access.provisions, access.expire_kept, access.legal_mode_now FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access.provisions, access.expire_kept, access.legal_mode_now TO hub_ingest;
INSERT INTO audit.event_name (name) VALUES ('kept:hub:destroyed'), ('provision:operator:exported');
