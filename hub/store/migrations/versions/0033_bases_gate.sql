-- The gate knows the holder of a basis, and the loan that one is declared for.

-- As in 0025, with the holder of a basis and the live loan of one that needs it.
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
                            AND (b.holder IS NULL OR b.holder = a.asker)
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

-- Whether there is something to watch: a consent needs any live loan of the bank to this person, a declared basis the very
-- one that it names. The section is read for nothing else.
CREATE FUNCTION access.has_watched_loan(p_asked access.asked, p_basis access.held_basis) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN p_basis.kind = 'POST_LOAN' THEN consent.has_live_loan(
        p_asked.county, p_asked.household_id, p_asked.person_id, p_asked.organisation_id, p_basis.reference)
        ELSE access.has_own_loan(p_asked) END
$$;

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
            IF p_asked.purpose = 'POST_LOAN_REVIEW' AND NOT access.has_watched_loan(p_asked, v_one) THEN
                v_ruling.cause := 'NO_LIVE_LOAN';
                CONTINUE;
            END IF;
            v_covers := CASE WHEN cardinality(p_held) = 1 THEN 0 ELSE (
                SELECT count(*) FROM unnest(p_asked.parts) AS p (part) WHERE p.part = ANY (v_one.parts)) END;
            IF v_covers > v_best THEN
                v_best := v_covers;
                v_basis := v_one;
            END IF;
        END IF;
    END LOOP;
    IF v_basis.basis_id IS NOT NULL THEN
        v_ruling.cause := NULL;
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

INSERT INTO audit.event_name (name) VALUES
    ('basis:client:declared'), ('basis:official:declared'), ('basis:official:decided'), ('basis:official:ended'),
    ('basis:hub:unreviewed'), ('basis:hub:told'), ('consent:hub:frozen');
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA access, consent FROM PUBLIC;
GRANT EXECUTE ON FUNCTION consent.declare_basis, consent.decide_basis, consent.end_basis, consent.bases TO hub_app;
GRANT EXECUTE ON FUNCTION consent.bases_due, consent.standing_records, consent.freeze TO hub_ingest;
