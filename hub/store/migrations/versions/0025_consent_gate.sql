-- The gate asks of every basis whether it is in force in the words of consent.lack, and stops what belongs to all adults of a
-- household when one of them takes his consent back.

ALTER TYPE access.held_basis ADD ATTRIBUTE kind text, ADD ATTRIBUTE reference text, ADD ATTRIBUTE fit boolean;

-- As in 0009, with what consent.lack needs to know of each.
CREATE OR REPLACE FUNCTION access.lock_bases(p_asked access.asked[]) RETURNS access.held_basis[]
LANGUAGE plpgsql AS $$
DECLARE
    v_held access.held_basis[];
BEGIN
    v_held := ARRAY (
        SELECT ROW(a.ordinal, b.basis_id, who.person_id, b.parts, b.heightened, b.effective_from, b.expires_at,
                   b.max_uses IS NOT NULL, who.person_id = a.person_id, b.kind, b.reference, f.fit)::access.held_basis
        FROM unnest(p_asked) AS a
        CROSS JOIN LATERAL unnest(a.person_id || CASE WHEN a.others THEN a.adults END) AS who (person_id)
        CROSS JOIN LATERAL (SELECT who.person_id AS giver
                            UNION ALL
                            SELECT p.person_id FROM record.person p WHERE p.merged_into = who.person_id) g
        JOIN consent.basis b ON b.organisation_id = a.organisation_id AND b.person_id = g.giver
                            AND b.purpose = a.purpose AND b.status = 'IN_FORCE'
        CROSS JOIN LATERAL consent.fitness_of(b.kind, b.purpose, b.organisation_id, b.evidence_level, b.frozen_cause) f
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

-- What is about the whole household belongs to all its adults: it is given on one member's consent until another one takes
-- his own consent for the same organisation and purpose back, or pauses it. The answer is that of a consent that never
-- named these parts, so it does not tell who, nor that anybody did.
CREATE FUNCTION access.without_stopped(p_asked access.asked, p_basis access.held_basis, p_now timestamptz)
RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    v_own text[] := ARRAY (SELECT b.part FROM unnest(p_basis.parts) WITH ORDINALITY AS b (part, rank)
                           WHERE NOT access.is_household_part(b.part) ORDER BY b.rank);
BEGIN
    IF p_basis.kind <> 'CONSENT' OR cardinality(v_own) = cardinality(p_basis.parts) OR NOT EXISTS (
        SELECT FROM (
            SELECT b.person_id, b.status
            FROM record.person m
            JOIN consent.basis b ON b.person_id = m.person_id AND b.organisation_id = p_asked.organisation_id
                                AND b.purpose = p_asked.purpose AND b.kind = 'CONSENT'
                                AND b.status IN ('IN_FORCE', 'SUSPENDED', 'WITHDRAWN')
                                AND (b.expires_at > p_now OR b.ended_at >= p_basis.effective_from)
            WHERE m.county = p_asked.county AND m.household_id = p_asked.household_id AND m.status = 'ACTIVE'
              AND m.person_id <> p_asked.person_id
            FOR SHARE OF b) k
        GROUP BY k.person_id HAVING NOT bool_or(k.status = 'IN_FORCE')) THEN
        RETURN p_basis.parts;
    END IF;
    RETURN v_own;
END $$;

CREATE OR REPLACE FUNCTION access.rule_named(
    p_asked access.asked, p_held access.held_basis[], p_over int[], p_digest bytea, p_now timestamptz, p_print bytea
) RETURNS access.ruling
LANGUAGE plpgsql AS $$
DECLARE
    v_ruling  access.ruling;
    v_one     access.held_basis;
    v_basis   access.held_basis;
    v_ruled   record;
    v_covers  int;
    v_best    int := -1;
BEGIN
    v_ruling.granted := '{}';
    v_ruling.withheld := '{}';
    v_ruling.cause := coalesce(p_asked.barred, CASE WHEN p_asked.ordinal = ANY (p_over) THEN 'QUOTA' END,
                               p_asked.missed);
    IF v_ruling.cause IS NOT NULL THEN
        IF p_asked.refusal IS NULL THEN
            -- What was decided before the person was looked at is told; everything else looks alike.
            v_ruling.withheld := access.withhold_all(p_asked.parts, CASE
                WHEN v_ruling.cause IN ('PURPOSE_MISMATCH', 'OUT_OF_AREA', 'QUOTA') THEN v_ruling.cause
                ELSE 'NO_BASIS' END);
        END IF;
        RETURN v_ruling;
    END IF;
    FOREACH v_one IN ARRAY p_held LOOP
        -- Of several in force the one that covers most of what is asked; they come in the order of their ids.
        IF v_one.named
           AND consent.lack('IN_FORCE', v_one.effective_from, v_one.expires_at, v_one.fit, p_now) IS NULL THEN
            v_covers := CASE WHEN cardinality(p_held) = 1 THEN 0 ELSE (
                SELECT count(*) FROM unnest(p_asked.parts) AS p (part) WHERE p.part = ANY (v_one.parts)) END;
            IF v_covers > v_best THEN
                v_best := v_covers;
                v_basis := v_one;
            END IF;
        END IF;
    END LOOP;
    IF p_asked.purpose = 'POST_LOAN_REVIEW' AND v_basis.basis_id IS NOT NULL AND NOT access.has_own_loan(p_asked) THEN
        v_basis := NULL;
        v_ruling.cause := 'NO_LIVE_LOAN';
    END IF;
    IF v_basis.basis_id IS NOT NULL THEN
        v_basis.parts := access.without_stopped(p_asked, v_basis, p_now);
    END IF;
    v_ruled := access.rule_parts(p_asked, v_basis, p_digest);
    IF v_basis.basis_id IS NULL AND NOT v_ruled.knows THEN
        v_ruling.cause := coalesce(v_ruling.cause, 'NO_BASIS');
        v_ruling.withheld := access.withhold_all(p_asked.parts, 'NO_BASIS');
        RETURN v_ruling;
    END IF;
    v_ruling.person_id := p_asked.person_id;
    v_ruling.basis_id := v_basis.basis_id;
    v_ruling.granted := v_ruled.granted;
    v_ruling.withheld := v_ruled.withheld;
    IF v_basis.limited AND cardinality(v_ruling.granted) > 0
       AND NOT access.use_basis(v_basis.basis_id, p_asked.asker, p_asked.retry_key, p_print) THEN
        v_ruling.withheld := v_ruling.withheld || access.withhold_all(v_ruling.granted, 'QUOTA');
        v_ruling.granted := '{}';
        v_ruling.cause := 'USED_UP';
    END IF;
    RETURN v_ruling;
END $$;

-- As in 0007, by the one condition.
CREATE OR REPLACE FUNCTION access.rule_others(
    p_asked access.asked, p_held access.held_basis[], p_digest bytea, p_now timestamptz, p_print bytea
) RETURNS access.other_adult[]
LANGUAGE plpgsql AS $$
DECLARE
    v_others access.other_adult[] := '{}';
    v_one    record;
BEGIN
    FOR v_one IN
        SELECT DISTINCT ON (m.place) m.person_id, h.basis_id, h.limited
        FROM access.decision d
        CROSS JOIN unnest(p_asked.adults) WITH ORDINALITY AS m (person_id, place)
        LEFT JOIN unnest(p_held) AS h
               ON h.person_id = m.person_id
              AND consent.lack('IN_FORCE', h.effective_from, h.expires_at, h.fit, p_now) IS NULL
        -- The rule by which the person named was granted it: only what hangs on the basis is left to decide.
        WHERE d.digest = p_digest AND d.role = p_asked.role AND d.purpose = p_asked.purpose
          AND d.part = 'identity/VALUE'
          AND (NOT d.needs_basis OR 'identity/VALUE' = ANY (h.parts))
          AND (NOT d.needs_heightened_notice OR h.heightened)
        ORDER BY m.place, h.basis_id
    LOOP
        IF v_one.limited IS NOT TRUE
           OR access.use_basis(v_one.basis_id, p_asked.asker, p_asked.retry_key, p_print) THEN
            v_others := v_others || ROW(v_one.person_id, v_one.basis_id)::access.other_adult;
        END IF;
    END LOOP;
    RETURN v_others;
END $$;

INSERT INTO audit.event_name (name) VALUES
    ('consent:client:revoked'), ('consent:hub:ended'), ('consent:resident:resumed');

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA access, consent FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    consent.requests_of, consent.grant_request, consent.change, consent.revoke, consent.consents_of, consent.record_of,
    consent.in_force, consent.cap_of
TO hub_app;
GRANT USAGE ON SCHEMA consent TO hub_ingest;
GRANT EXECUTE ON FUNCTION consent.expire_due TO hub_ingest;
