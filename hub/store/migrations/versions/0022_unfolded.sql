-- Households that could not be folded. They have no sections, because what they had may be out of date for a reason of
-- law (a withdrawal, an end, a repair); the others go on, and the next run tries again.
CREATE TABLE record.unfolded_household (
    county       char(6) NOT NULL,
    household_id uuid    NOT NULL,
    error        text    NOT NULL,         -- kind of error and place in the program, never a value
    since        timestamptz NOT NULL,
    tried_at     timestamptz NOT NULL,
    PRIMARY KEY (county, household_id)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON record.unfolded_household TO hub_ingest;
GRANT SELECT (error, since) ON record.unfolded_household TO hub_auditor;

-- Whether nothing can be said of the household asked about.
CREATE FUNCTION access.is_put_aside(p_asked access.asked) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM record.unfolded_household u
                   WHERE u.county = p_asked.county AND u.household_id = p_asked.household_id)
$$;

-- The granted parts that have no section because the household could not be folded: never to be taken for "none".
CREATE FUNCTION access.unavailable(p_granted text[], p_found text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY (SELECT g.part || '=UNAVAILABLE' FROM unnest(p_granted) WITH ORDINALITY AS g (part, rank)
                  WHERE p_found IS NULL OR NOT g.part = ANY (p_found) ORDER BY g.rank)
$$;

-- As in 0009, but for the reason of what is absent.
CREATE OR REPLACE FUNCTION access.answer_one(
    p_asked access.asked, p_held access.held_basis[], p_over int[], p_digest bytea, p_now timestamptz
) RETURNS access.recorded_answer
LANGUAGE plpgsql AS $$
DECLARE
    v_print   bytea;
    v_ruling  access.ruling;
    v_answer  access.answer;
    v_own     text[];
    v_reading access.reading;
    v_persons text;
    v_other   access.other_adult;
    v_others  access.other_adult[] := '{}';
    v_body    text;
    v_line    text;
    v_folded  timestamptz;
    v_aside   boolean;
BEGIN
    IF p_asked.retry_key IS NOT NULL THEN
        v_print := sha256(p_asked.operation || p_asked.subject_key || convert_to(p_asked.purpose, 'UTF8')
                          || convert_to(array_to_string(p_asked.parts, ','), 'UTF8'));
    END IF;
    v_ruling := access.rule_named(p_asked, p_held, p_over, p_digest, p_now, v_print);
    v_answer := ROW(
        p_asked.ordinal, p_asked.refusal, p_now, p_asked.organisation_id, v_ruling.person_id, v_ruling.basis_id, '{}',
        NULL, NULL, NULL, NULL, NULL, v_ruling.withheld, '{}');
    IF cardinality(v_ruling.granted) > 0 THEN
        IF p_asked.others AND 'identity/VALUE' = ANY (v_ruling.granted) THEN
            v_others := access.rule_others(p_asked, p_held, p_digest, p_now, v_print);
        END IF;
        IF 'roster/VALUE' = ANY (v_ruling.granted) THEN
            v_answer.adults_not_shown := cardinality(p_asked.adults) - cardinality(v_others);
        END IF;
        v_own := CASE WHEN 'identity/VALUE' = ANY (p_asked.own_parts) THEN v_ruling.granted
                      ELSE array_remove(v_ruling.granted, 'identity/VALUE') END;
        v_aside := access.is_put_aside(p_asked);
        v_reading := access.read_sections(p_asked, v_own);
        v_persons := access.person_facts(
            p_asked.person_id, true, p_asked.household_id, v_ruling.basis_id, v_reading.lines, v_reading.folded_at);
        v_answer.section_persons := v_reading.persons;
        v_answer.section_parts := v_reading.parts;
        v_answer.section_owners := v_reading.owners;
        v_answer.section_bodies := v_reading.bodies;
        IF v_reading.parts IS NULL OR NOT v_own <@ v_reading.parts THEN
            -- Looked at before and after the reading: a fold may commit in between.
            v_answer.absent := CASE WHEN v_aside OR access.is_put_aside(p_asked)
                                    THEN access.unavailable(v_own, v_reading.parts)
                                    ELSE access.absences(v_own, v_reading.parts, p_now) END;
        END IF;
        FOREACH v_other IN ARRAY v_others LOOP
            SELECT s.body, access.log_line(s.category, s.form, s.owner, s.fold_version, s.digest), s.folded_at
            INTO v_body, v_line, v_folded FROM record.section s
            WHERE (s.county, s.household_id, s.person_id, s.category, s.form, s.owner)
                  BETWEEN (p_asked.county, p_asked.household_id, v_other.person_id, 'identity', 'VALUE', '')
                  AND (p_asked.county, p_asked.household_id, v_other.person_id, 'identity', 'VALUE', '');
            IF FOUND THEN
                v_answer.section_persons := v_answer.section_persons || v_other.person_id;
                v_answer.section_parts := v_answer.section_parts || 'identity/VALUE'::text;
                v_answer.section_owners := v_answer.section_owners || ''::text;
                v_answer.section_bodies := v_answer.section_bodies || v_body;
            END IF;
            v_answer.other_adults := v_answer.other_adults || v_other.person_id;
            v_persons := v_persons || ',' || access.person_facts(
                v_other.person_id, false, p_asked.household_id, v_other.basis_id, v_line, v_folded);
        END LOOP;
    END IF;
    RETURN ROW(v_answer, access.record_of(p_asked, v_answer, v_ruling.cause, v_persons, p_digest));
END $$;

REVOKE ALL ON FUNCTION access.is_put_aside, access.unavailable FROM PUBLIC;
