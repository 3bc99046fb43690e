-- The bases of a query are found by organisation and person. As in 0050 but for two things that cost more the more bases there
-- are: an instant that is asked for once, so that the planner can take consent.capacity_of into the statement, and an order
-- (still that of the ids, in which everybody locks) by an expression, so that it does not walk all bases in the order of their
-- key to save a sort of two rows.
CREATE OR REPLACE FUNCTION access.lock_bases(p_asked access.asked[]) RETURNS access.held_basis[]
LANGUAGE plpgsql AS $$
DECLARE
    v_held access.held_basis[];
    v_now  timestamptz := clock_timestamp();
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
        CROSS JOIN LATERAL consent.capacity_of(b.kind, b.given_by, b.basis_id, who.person_id, v_now) c
        WHERE a.refusal IS NULL AND a.person_id IS NOT NULL
        ORDER BY coalesce(b.basis_id, b.person_id)
        FOR SHARE OF b);
    IF cardinality(v_held) > 0 THEN
        PERFORM FROM consent.quota q
        WHERE q.basis_id = ANY (ARRAY (SELECT h.basis_id FROM unnest(v_held) AS h WHERE h.limited))
        ORDER BY q.basis_id
        FOR UPDATE;
    END IF;
    RETURN v_held;
END $$;
