-- The law's least time is compared as an instant: as spans, three years are shorter than 1081 days, since a month counts as 30.

-- As in 0047: counts what was kept for longer than `p_period`, or destroys up to `p_limit` of it; the law's least time is never
-- cut.
CREATE OR REPLACE FUNCTION access.expire_kept(p_what text, p_period interval, p_at timestamptz, p_limit int) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_now    timestamptz := least(p_at, clock_timestamp());
    v_before timestamptz := least(
        v_now - p_period, v_now - (SELECT k.at_least FROM access.kept k WHERE k.what = p_what));
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
