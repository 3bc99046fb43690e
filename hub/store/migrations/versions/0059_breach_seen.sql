-- A decision on a breach is one on what the security administrator saw: he names its digest, and what was decided stays.

-- SHA-256 of everything that a decision is about: the assessment, and whom the breach reaches.
CREATE FUNCTION access.assessment_digest(p_breach uuid) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT sha256(convert_to(jsonb_build_array(
               b.breach_id, b.what, b.discovered_at, b.public_interest, b.reach, b.categories, b.notice, b.organisations,
               b.tell_persons, b.assessed_at, b.assessed_by,
               (SELECT encode(sha256(coalesce(string_agg(uuid_send(p.person_id) || boolsend(p.minor), ''::bytea
                                                         ORDER BY p.person_id, p.minor), ''::bytea)), 'hex')
                  FROM access.breach_person p WHERE p.breach_id = b.breach_id))::text, 'UTF8'))
      FROM access.breach b WHERE b.breach_id = p_breach
$$;

-- What waits for a decision, for a security administrator, with all that its digest covers. HB169: he is none.
DROP FUNCTION access.breaches_to_decide(bytea);
CREATE FUNCTION access.breaches_to_decide(p_cookie bytea)
RETURNS TABLE (breach_id uuid, what text, discovered_at timestamptz, public_interest boolean, assessed_by text, reach text,
               categories text[], organisations text[], tell_persons boolean, persons bigint, minors bigint, notice text,
               digest bytea)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (auth.administrator_of(p_cookie)).account_id IS NULL THEN
        RAISE EXCEPTION 'not a security administrator' USING ERRCODE = 'HB169';
    END IF;
    RETURN QUERY
    SELECT b.breach_id, b.what, b.discovered_at, b.public_interest, b.assessed_by, b.reach::text, b.categories,
           b.organisations, b.tell_persons,
           (SELECT count(*) FROM access.breach_person p WHERE p.breach_id = b.breach_id),
           (SELECT count(*) FROM access.breach_person p WHERE p.breach_id = b.breach_id AND p.minor), b.notice::text,
           access.assessment_digest(b.breach_id)
      FROM access.breach b WHERE b.state = 'ASSESSED' ORDER BY b.discovered_at;
END $$;

-- Decides on the assessment with this digest: it stands, or is to be made anew. HB169: no security administrator, HB193:
-- nothing waits, or something else than what he saw.
DROP FUNCTION access.decide_breach(bytea, uuid, boolean);
CREATE FUNCTION access.decide_breach(
    p_cookie bytea, p_breach uuid, p_seen bytea, p_yes boolean, OUT decided_by text, OUT told boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_admin auth.account := auth.administrator_of(p_cookie);
BEGIN
    IF v_admin.account_id IS NULL THEN
        RAISE EXCEPTION 'not a security administrator' USING ERRCODE = 'HB169';
    END IF;
    PERFORM FROM access.breach b WHERE b.breach_id = p_breach AND b.state = 'ASSESSED' FOR UPDATE;
    IF NOT FOUND OR access.assessment_digest(p_breach) IS DISTINCT FROM p_seen THEN
        RAISE EXCEPTION 'nothing waits' USING ERRCODE = 'HB193';
    END IF;
    decided_by := v_admin.account_id;
    IF p_yes THEN
        UPDATE access.breach b SET state = 'DECIDED', decided_at = clock_timestamp(), decided_by = v_admin.account_id
         WHERE b.breach_id = p_breach RETURNING b.tell_persons INTO told;
    ELSE
        UPDATE access.breach b SET state = 'OPEN', assessed_at = NULL, assessed_by = NULL WHERE b.breach_id = p_breach;
        told := false;
    END IF;
END $$;

-- Once decided a breach is closed and nothing else.
CREATE FUNCTION access.keep_decided_breach() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c_moves CONSTANT text[] := '{state,closed_at,closed_by}';
BEGIN
    IF OLD.state = 'CLOSED' OR NEW.state <> 'CLOSED' OR to_jsonb(NEW) - c_moves <> to_jsonb(OLD) - c_moves THEN
        RAISE EXCEPTION 'a breach that was decided is closed, never rewritten' USING ERRCODE = 'HB001';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER decided_breach_stays BEFORE UPDATE ON access.breach
    FOR EACH ROW WHEN (OLD.state IN ('DECIDED', 'CLOSED')) EXECUTE FUNCTION access.keep_decided_breach();

-- As in 0047, and only until it is decided. HB193: it is.
CREATE OR REPLACE FUNCTION access.reach_of_breach(
    p_breach uuid, p_since timestamptz, p_until timestamptz, p_organisation text, p_county text,
    OUT persons bigint, OUT minors bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_grown_up date := (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date - interval '18 years';
BEGIN
    PERFORM FROM access.breach b WHERE b.breach_id = p_breach AND b.state IN ('OPEN', 'ASSESSED') FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'whom it reaches was decided' USING ERRCODE = 'HB193';
    END IF;
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

REVOKE ALL ON FUNCTION access.assessment_digest, access.breaches_to_decide, access.decide_breach, access.keep_decided_breach
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access.assessment_digest TO hub_ingest;
GRANT EXECUTE ON FUNCTION access.breaches_to_decide, access.decide_breach TO hub_app;
