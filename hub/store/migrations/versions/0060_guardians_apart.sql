-- Nobody registers, decides or ends a guardianship that concerns himself or his family.

-- Whether one of these people, or somebody of their households, is the steward: by the blind indexes of his own number, or as
-- the person of his account.
CREATE FUNCTION record.is_concerned(p_persons uuid[], p_own bytea[], p_steward text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH me AS (
        SELECT record.present_person(d.person_id) AS person_id FROM record.directory d WHERE d.blind_index = ANY (p_own)
        UNION
        SELECT record.present_person(a.person_id) FROM auth.account a
        WHERE a.account_id = p_steward AND a.person_id IS NOT NULL
    )
    SELECT EXISTS (
        SELECT FROM unnest(p_persons) AS c (person_id) CROSS JOIN LATERAL record.present_person(c.person_id) AS one (person_id)
        WHERE one.person_id IN (SELECT me.person_id FROM me)
           OR EXISTS (SELECT FROM record.person s JOIN record.person m
                          ON m.county = s.county AND m.household_id = s.household_id
                      WHERE s.person_id = one.person_id AND m.person_id IN (SELECT me.person_id FROM me)))
$$;

-- As in 0042, by somebody who is not concerned. HB180: no such ward or guardian, HB181: the ward is of age or the guardian is
-- not, HB182: there is one already, HB183: he is concerned (`p_own`: blind indexes of his own number).
DROP FUNCTION record.propose_guardianship(
    uuid, bytea[], bytea[], bytea[], bytea[], char(6)[], text, text, bytea, date, date, text, timestamptz);
CREATE FUNCTION record.propose_guardianship(
    p_id uuid, p_ward_identity bytea[], p_ward_name bytea[], p_guardian_identity bytea[], p_guardian_name bytea[],
    p_counties char(6)[], p_ground text, p_document text, p_hash bytea, p_from date, p_to date, p_by text, p_own bytea[],
    p_at timestamptz
) RETURNS TABLE (ward_id uuid, guardian_id uuid, county char(6))
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_ward     record;
    v_guardian record;
BEGIN
    SELECT * INTO v_ward FROM record.find_living(p_ward_identity, p_ward_name, p_counties);
    SELECT * INTO v_guardian FROM record.find_living(p_guardian_identity, p_guardian_name, NULL);
    IF v_ward.person_id IS NULL OR v_guardian.person_id IS NULL OR v_ward.person_id = v_guardian.person_id THEN
        RAISE EXCEPTION 'no such ward or guardian' USING ERRCODE = 'HB180';
    END IF;
    IF record.is_concerned(ARRAY[v_ward.person_id, v_guardian.person_id], p_own, p_by) THEN
        RAISE EXCEPTION 'the steward is concerned himself' USING ERRCODE = 'HB183';
    END IF;
    IF record.of_age(v_ward.birth_date, 18) <= p_at OR record.of_age(v_guardian.birth_date, 18) > p_at THEN
        RAISE EXCEPTION 'the ward is of age or the guardian is not' USING ERRCODE = 'HB181';
    END IF;
    BEGIN
        INSERT INTO record.guardianship (county, guardianship_id, ward_id, guardian_id, ground, source, document,
                                         document_hash, from_day, to_day, state, proposed_by, proposed_at)
        VALUES (v_ward.county, p_id, v_ward.person_id, v_guardian.person_id, p_ground, 'STEWARD', p_document, p_hash,
                p_from, p_to, 'PROPOSED', p_by, p_at);
    EXCEPTION WHEN unique_violation THEN
        RAISE EXCEPTION 'there is one already' USING ERRCODE = 'HB182';
    END;
    RETURN QUERY SELECT v_ward.person_id, v_guardian.person_id, v_ward.county;
END $$;

-- Another steward says yes or no. HB183: nothing to decide for this one, who may neither have proposed it, nor be the same real
-- person, nor be concerned.
DROP FUNCTION record.decide_guardianship(uuid, boolean, char(6)[], text, timestamptz);
CREATE FUNCTION record.decide_guardianship(
    p_id uuid, p_yes boolean, p_counties char(6)[], p_by text, p_own bytea[], p_at timestamptz)
RETURNS TABLE (ward_id uuid, guardian_id uuid, county char(6), state text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_row record.guardianship;
BEGIN
    SELECT g.* INTO v_row FROM record.guardianship g
    WHERE g.guardianship_id = p_id AND (p_counties IS NULL OR g.county = ANY (p_counties)) FOR UPDATE;
    IF v_row.state IS DISTINCT FROM 'PROPOSED' OR auth.same_person(p_by, v_row.proposed_by)
       OR record.is_concerned(ARRAY[v_row.ward_id, v_row.guardian_id], p_own, p_by) THEN
        RAISE EXCEPTION 'nothing to decide' USING ERRCODE = 'HB183';
    END IF;
    UPDATE record.guardianship g SET state = CASE WHEN p_yes THEN 'IN_FORCE' ELSE 'DECLINED' END, decided_by = p_by,
        decided_at = p_at
    WHERE g.guardianship_id = p_id RETURNING g.* INTO v_row;
    RETURN QUERY SELECT v_row.ward_id, v_row.guardian_id, v_row.county, v_row.state;
END $$;

-- As in 0042, by somebody who is not concerned. HB180: there is none, HB183: he is.
DROP FUNCTION record.end_guardianship(uuid, bytea[], bytea[], bytea[], bytea[], char(6)[], text, text, timestamptz);
CREATE FUNCTION record.end_guardianship(
    p_id uuid, p_ward_identity bytea[], p_ward_name bytea[], p_guardian_identity bytea[], p_guardian_name bytea[],
    p_counties char(6)[], p_cause text, p_by text, p_own bytea[], p_at timestamptz
) RETURNS TABLE (guardianship_id uuid, ward_id uuid, guardian_id uuid, county char(6), source text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_row      record.guardianship;
    v_ward     record;
    v_guardian uuid;
    v_ground   text;
BEGIN
    IF p_ward_identity IS NULL THEN
        UPDATE record.guardianship g SET state = 'ENDED', ended_by = p_by, ended_at = p_at, cause = p_cause
        WHERE g.guardianship_id = p_id AND g.state IN ('PROPOSED', 'IN_FORCE')
          AND (p_counties IS NULL OR g.county = ANY (p_counties)) RETURNING g.* INTO v_row;
    ELSE
        SELECT * INTO v_ward FROM record.find_living(p_ward_identity, p_ward_name, p_counties);
        SELECT p.person_id INTO v_guardian FROM record.find_living(p_guardian_identity, p_guardian_name, NULL) p;
        SELECT g.ground INTO v_ground FROM record.guardians_of(v_ward.person_id, p_at) g
        WHERE g.guardian_id = v_guardian AND g.source = 'CIVIL_AFFAIRS';
        IF FOUND THEN
            INSERT INTO record.guardianship AS g (county, guardianship_id, ward_id, guardian_id, ground, source, from_day,
                                                  state, proposed_by, proposed_at, ended_by, ended_at, cause)
            VALUES (v_ward.county, p_id, v_ward.person_id, v_guardian, v_ground, 'CIVIL_AFFAIRS',
                    (p_at AT TIME ZONE 'Asia/Shanghai')::date, 'ENDED', p_by, p_at, p_by, p_at, p_cause)
            RETURNING g.* INTO v_row;
        END IF;
    END IF;
    IF v_row.guardianship_id IS NULL THEN
        RAISE EXCEPTION 'no such guardianship' USING ERRCODE = 'HB180';
    END IF;
    IF record.is_concerned(ARRAY[v_row.ward_id, v_row.guardian_id], p_own, p_by) THEN
        RAISE EXCEPTION 'the steward is concerned himself' USING ERRCODE = 'HB183';
    END IF;
    PERFORM consent.end_unguarded(v_row.ward_id);
    RETURN QUERY SELECT v_row.guardianship_id, v_row.ward_id, v_row.guardian_id, v_row.county, v_row.source;
END $$;

REVOKE ALL ON FUNCTION record.is_concerned, record.propose_guardianship, record.decide_guardianship, record.end_guardianship
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION record.propose_guardianship, record.decide_guardianship, record.end_guardianship TO hub_ingest;
