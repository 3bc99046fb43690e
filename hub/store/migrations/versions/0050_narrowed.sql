-- A token may stand for fewer parts than its consent (RFC 9396, section 6.1): the gate takes the rest of the basis away.

-- NULL: all parts that were granted.
ALTER TABLE auth.issued_token ADD COLUMN parts text[] CHECK (cardinality(parts) BETWEEN 1 AND 64);

-- Note what an access token is narrowed to, before it is made; once, and never wider again.
CREATE FUNCTION auth.narrow_token(p_jti text, p_parts text[]) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE auth.issued_token i SET parts = p_parts WHERE i.jti = p_jti AND i.parts IS NULL;
    RETURN FOUND;
END $$;

CREATE FUNCTION auth.narrowed_to(p_token text) RETURNS text[]
LANGUAGE sql STABLE AS $$
    SELECT i.parts FROM auth.issued_token i WHERE i.jti = p_token
$$;

-- What a basis gives to a request with this token.
CREATE FUNCTION auth.parts_left(p_token text, p_parts text[]) RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_only text[] := auth.narrowed_to(p_token);
BEGIN
    RETURN CASE WHEN v_only IS NULL THEN p_parts
                ELSE ARRAY (SELECT p.part FROM unnest(p_parts) AS p (part) WHERE p.part = ANY (v_only)) END;
END $$;

-- As in 0042, with what the token leaves of each basis.
CREATE OR REPLACE FUNCTION access.lock_bases(p_asked access.asked[]) RETURNS access.held_basis[]
LANGUAGE plpgsql AS $$
DECLARE
    v_held access.held_basis[];
BEGIN
    v_held := ARRAY (
        SELECT ROW(a.ordinal, b.basis_id, who.person_id, auth.parts_left(a.token, b.parts), b.heightened,
                   greatest(b.effective_from, c.can_from), least(b.expires_at, c.can_until), b.max_uses IS NOT NULL, who.person_id = a.person_id, b.kind,
                   b.reference, f.fit)::access.held_basis
        FROM unnest(p_asked) AS a
        CROSS JOIN LATERAL unnest(a.person_id || CASE WHEN a.others THEN a.adults END) AS who (person_id)
        CROSS JOIN LATERAL (SELECT who.person_id AS giver
                            UNION ALL
                            SELECT p.person_id FROM record.person p WHERE p.merged_into = who.person_id) g
        JOIN consent.basis b ON b.organisation_id = a.organisation_id AND b.person_id = g.giver
                            AND b.purpose = a.purpose AND b.status = 'IN_FORCE'
                            AND (b.holder IS NULL OR b.holder = a.asker)
        CROSS JOIN LATERAL consent.fitness_of(b.kind, b.purpose, b.organisation_id, b.evidence_level, b.frozen_cause) f
        CROSS JOIN LATERAL consent.capacity_of(b.kind, b.given_by, b.basis_id, who.person_id, clock_timestamp()) c
        WHERE a.refusal IS NULL AND a.person_id IS NOT NULL
        ORDER BY b.basis_id
        FOR SHARE OF b);
    IF cardinality(v_held) > 0 THEN
        PERFORM FROM consent.quota q
        WHERE q.basis_id = ANY (ARRAY (SELECT h.basis_id FROM unnest(v_held) AS h WHERE h.limited))
        ORDER BY q.basis_id
        FOR UPDATE;
    END IF;
    RETURN v_held;
END $$;

-- As in 0042, with what the token was narrowed to.
CREATE OR REPLACE FUNCTION access.record_of(
    p_asked access.asked, p_answer access.answer, p_cause text, p_persons text, p_digest bytea
) RETURNS audit.pending
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ROW(
        p_asked.ev, p_answer.as_of, 'query',
        CASE p_asked.role WHEN 'RESIDENT' THEN 'household:resident:queried'
                          WHEN 'GUARDIAN' THEN 'household:guardian:queried'
                          WHEN 'STEWARD' THEN 'household:steward:shown' ELSE 'profile:client:queried' END,
        p_asked.organisation_id, p_asked.actor, p_asked.purpose,
        CASE WHEN p_persons IS NULL THEN 'deny' WHEN cardinality(p_answer.withheld) > 0 THEN 'mask' ELSE 'allow' END,
        encode(p_digest, 'hex'), p_asked.operation, p_asked.county,
        CASE WHEN p_asked.found_id IS NULL THEN '{}' ELSE p_asked.found_id || p_answer.other_adults END,
        ('{"asOf":"' || to_char(p_answer.as_of AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD"T"HH24:MI:SS.US')
            || '+08:00","client":' || to_json(p_asked.asker)::text || ',"token":' || to_json(p_asked.token)::text
            || coalesce(',"role":"' || p_asked.role || '"', '')
            || CASE WHEN p_asked.role = 'RESIDENT' THEN coalesce((
                   SELECT ',"assistant":' || to_json(a.assistant)::text || ',"assistanceReason":"' || a.reason || '"'
                   FROM auth.assistance_of(p_asked.token) a), '') ELSE '' END
            || coalesce(',"idempotencyKey":' || to_json(p_asked.retry_key)::text, '')
            || coalesce(',"narrowedTo":' || access.as_facts(auth.narrowed_to(p_asked.token)), '')
            || coalesce(',"reason":"' || p_cause || '"', '')
            || coalesce(',"adultsNotShown":' || p_answer.adults_not_shown, '')
            || ',"asked":' || access.as_facts(p_asked.parts) || ',"withheld":' || access.as_facts(p_answer.withheld)
            || ',"absent":' || access.as_facts(p_answer.absent)
            || coalesce(',"persons":{' || access.with_circumstances(p_asked, p_answer, p_persons) || '}', '')
            || '}')::jsonb,
        p_asked.sealed)::audit.pending;
END $$;

REVOKE ALL ON FUNCTION auth.narrow_token, auth.narrowed_to, auth.parts_left FROM PUBLIC;
GRANT EXECUTE ON FUNCTION auth.narrow_token TO hub_app;
