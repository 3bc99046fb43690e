-- What follows a guardianship around: the county of a ward who moves, contracts in a ward's own record, and whether a basis
-- says by whom it was given as its signed terms do.

-- A ward who is re-keyed to another county takes the guardianships along.
CREATE FUNCTION record.move_guardianships() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE record.guardianship g SET county = NEW.county WHERE g.ward_id = NEW.person_id AND g.county = OLD.county;
    RETURN NULL;
END $$;
CREATE TRIGGER ward_moved AFTER UPDATE OF county ON record.person
    FOR EACH ROW WHEN (NEW.county <> OLD.county) EXECUTE FUNCTION record.move_guardianships();
REVOKE ALL ON FUNCTION record.move_guardianships FROM PUBLIC;

-- As in 0015; a guardian is shown whatever the ward would be.
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
              AND (s.owner IN ('', p_asked.organisation_id) OR p_asked.role IN ('RESIDENT', 'GUARDIAN', 'STEWARD'))
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

-- What those who agreed to a consent about a minor said, for the check of the day; nothing of an adult's own.
CREATE FUNCTION consent.agreements_of(p_consent uuid)
RETURNS TABLE (statement bytea, signature bytea, protected text, party text, by_person uuid, person_id uuid, request_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.statement, a.signature, a.protected, a.party, a.by_person, a.person_id, a.request_id
    FROM consent.record r JOIN consent.agreement a ON a.request_id = r.request_id WHERE r.consent_id = p_consent
$$;
REVOKE ALL ON FUNCTION consent.agreements_of FROM PUBLIC;
GRANT EXECUTE ON FUNCTION consent.agreements_of TO hub_ingest;

-- As in 0033, and a basis is of an adult's own or of a guardian's giving as the terms are.
CREATE OR REPLACE FUNCTION consent.standing_records(p_after uuid, p_limit int)
RETURNS TABLE (consent_id uuid, person_id uuid, county char(6), organisation_id text, purpose text, terms bytea,
               signature bytea, protected text, agrees boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT r.consent_id, b.person_id, b.county, b.organisation_id, b.purpose, r.terms, r.signature, r.protected,
           r.digest = sha256(r.terms) AND k.t ->> 'consentId' = b.basis_id::text AND k.t ->> 'purpose' = b.purpose
           AND k.t ->> 'recipient' = b.organisation_id AND k.t ->> 'subject' = b.person_id::text
           AND b.parts <@ ARRAY (SELECT jsonb_array_elements_text(k.t -> 'parts'))
           AND b.expires_at <= (k.t ->> 'expiresAt')::timestamptz
           AND (k.t -> 'indicatedBy' ->> 'kind' IS NOT DISTINCT FROM 'GUARDIAN') = (b.given_by = 'GUARDIAN')
           AND coalesce(b.max_uses <= (k.t ->> 'maxUses')::int, false)
    FROM consent.basis b JOIN consent.record r ON r.consent_id = b.consent_id
    CROSS JOIN LATERAL (SELECT convert_from(r.terms, 'UTF8')::jsonb AS t) k
    WHERE b.status IN ('IN_FORCE', 'SUSPENDED') AND (p_after IS NULL OR b.basis_id > p_after)
    ORDER BY b.basis_id LIMIT p_limit
$$;
