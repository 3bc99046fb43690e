-- Guardianship: who acts for whom, since when and until when, on which ground and by which document. Two ways lead to it:
-- the register of civil affairs (the head of a household is a parent of its own children), and a data steward who registers
-- a document, approved by another one. Rows are never deleted, and once settled only their state moves.
--
-- Refusals carry HB180 to HB189; hub/records/guardians.py and hub/consent/minors.py map them. Order of locks: guardianship,
-- basis.

-- The instant at which somebody born on a day completes so many years, in the hub's time zone. Who was born on 29 February
-- does so on 1 March of a common year, as hub/core/identifiers.py counts.
CREATE FUNCTION record.of_age(p_birth date, p_years int) RETURNS timestamptz
LANGUAGE sql IMMUTABLE AS $$
    SELECT (b::date + (extract(day FROM b) <> extract(day FROM p_birth))::int)::timestamp AT TIME ZONE 'Asia/Shanghai'
    FROM (SELECT p_birth + make_interval(years => p_years) AS b) k
$$;

-- `source`: CIVIL_AFFAIRS only for a row that bars what would follow from the roster. `ground`, 民法典: PARENT art. 27(1),
-- RELATIVE 27(2), WILL 29, AGREEMENT 30, APPOINTED 31 and 36. `document`, `document_hash`: its number and SHA-256; the paper stays
-- with whoever issued it. `to_day`: the first day on which it holds no more.
CREATE TABLE record.guardianship (
    county          char(6) NOT NULL,        -- of the ward
    guardianship_id uuid    NOT NULL,
    ward_id         uuid    NOT NULL,
    guardian_id     uuid    NOT NULL CHECK (guardian_id <> ward_id),
    ground          text    NOT NULL CHECK (ground IN ('PARENT', 'RELATIVE', 'WILL', 'AGREEMENT', 'APPOINTED')),
    source          text    NOT NULL CHECK (source IN ('STEWARD', 'CIVIL_AFFAIRS')),
    document        text    CHECK (document <> ''),
    document_hash   bytea   CHECK (octet_length(document_hash) = 32),
    from_day        date    NOT NULL,
    to_day          date    CHECK (to_day > from_day),
    state           text    NOT NULL CHECK (state IN ('PROPOSED', 'DECLINED', 'IN_FORCE', 'ENDED')),
    proposed_by     text    NOT NULL,
    proposed_at     timestamptz NOT NULL,
    decided_by      text CHECK (decided_by <> proposed_by),
    decided_at      timestamptz,
    ended_by        text,
    ended_at        timestamptz,
    cause           text CHECK (cause IN ('COURT_ORDER', 'DOCUMENT_ENDED', 'REGISTERED_WRONGLY', 'DEATH')),
    PRIMARY KEY (county, guardianship_id),
    CHECK (source = 'CIVIL_AFFAIRS' OR num_nulls(document, document_hash) = 0),
    CHECK (source = 'STEWARD' OR state = 'ENDED'),
    CHECK (source = 'CIVIL_AFFAIRS' OR (state IN ('IN_FORCE', 'DECLINED')) <= (decided_by IS NOT NULL)),
    CHECK ((state = 'ENDED') = (num_nulls(ended_by, ended_at, cause) = 0))
);
CREATE INDEX guardianship_ward ON record.guardianship (ward_id);
CREATE INDEX guardianship_guardian ON record.guardianship (guardian_id);
CREATE UNIQUE INDEX guardianship_once ON record.guardianship (ward_id, guardian_id) WHERE state IN ('PROPOSED', 'IN_FORCE');

CREATE FUNCTION record.keep_guardianship() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c_moves CONSTANT text[] := '{county,state,decided_by,decided_at,ended_by,ended_at,cause}';
BEGIN
    IF TG_OP = 'DELETE' OR to_jsonb(NEW) - c_moves <> to_jsonb(OLD) - c_moves
       OR OLD.state IN ('DECLINED', 'ENDED') AND to_jsonb(NEW) - 'county' <> to_jsonb(OLD) - 'county' THEN
        RAISE EXCEPTION 'a guardianship is ended, never rewritten' USING ERRCODE = 'HB001';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guardianship_stays BEFORE UPDATE OR DELETE ON record.guardianship
    FOR EACH ROW EXECUTE FUNCTION record.keep_guardianship();

-- Who is guardian of somebody at an instant; living adults only. `until`: when it ends by itself. Of the roster counts the head
-- of the household for the own children in it (relations 20-26, 29, 30-36, 39 of GB/T 4761; not in-laws, nor step and adopted
-- children, whose guardian has to be registered).
CREATE FUNCTION record.guardians_of(p_ward uuid, p_at timestamptz)
RETURNS TABLE (guardian_id uuid, guardianship_id uuid, ground text, source text, until timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT DISTINCT ON (k.guardian_id) k.guardian_id, k.guardianship_id, k.ground, k.source, k.until
    FROM (
        SELECT record.present_person(g.guardian_id) AS guardian_id, g.guardianship_id, g.ground, g.source,
               coalesce(g.to_day::timestamp AT TIME ZONE 'Asia/Shanghai', 'infinity') AS until
        FROM record.guardianship g
        WHERE g.ward_id = ANY (record.same_person(p_ward)) AND g.state = 'IN_FORCE'
          AND g.from_day::timestamp AT TIME ZONE 'Asia/Shanghai' <= p_at
          AND (g.to_day IS NULL OR g.to_day::timestamp AT TIME ZONE 'Asia/Shanghai' > p_at)
        UNION ALL
        SELECT record.present_person(h.person_id), m.membership_id, 'PARENT', 'CIVIL_AFFAIRS', 'infinity'
        FROM record.membership m
        JOIN record.membership h ON h.household_id = m.household_id AND h.recorded_to = 'infinity'
                                AND h.relation IN ('01', '02') AND h.person_id IS NOT NULL
        CROSS JOIN LATERAL (SELECT (p_at AT TIME ZONE 'Asia/Shanghai')::date AS day) d
        WHERE m.person_id = ANY (record.same_person(p_ward)) AND m.recorded_to = 'infinity'
          AND m.relation ~ '^[23][0-69]$'
          AND m.valid_from <= d.day AND (m.valid_to IS NULL OR m.valid_to > d.day) AND m.died_on IS NULL
          AND h.valid_from <= d.day AND (h.valid_to IS NULL OR h.valid_to > d.day) AND h.died_on IS NULL
          AND EXISTS (SELECT FROM record.household u WHERE u.household_id = m.household_id AND u.status = 'ACTIVE')
          AND NOT EXISTS (
              SELECT FROM record.guardianship barred
              WHERE barred.source = 'CIVIL_AFFAIRS' AND barred.ward_id = ANY (record.same_person(p_ward))
                AND barred.guardian_id = ANY (record.same_person(record.present_person(h.person_id))))
    ) k
    JOIN record.person p ON p.person_id = k.guardian_id AND p.status = 'ACTIVE' AND record.of_age(p.birth_date, 18) <= p_at
    WHERE k.guardian_id <> p_ward
    ORDER BY k.guardian_id, k.until DESC, k.source DESC, k.guardianship_id
$$;

-- Whom somebody may act for at an instant: living people under 18 whose guardian he is.
CREATE FUNCTION record.wards_of(p_guardian uuid, p_at timestamptz)
RETURNS TABLE (ward_id uuid, county char(6), birth_date date, sealed_identity bytea, guardianship_id uuid, ground text,
               source text, until timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT p.person_id, p.county, p.birth_date, p.sealed_identity, g.guardianship_id, g.ground, g.source,
           least(g.until, record.of_age(p.birth_date, 18))
    FROM (
        SELECT record.present_person(s.ward_id) AS ward_id FROM record.guardianship s
        WHERE s.guardian_id = ANY (record.same_person(p_guardian)) AND s.state = 'IN_FORCE'
        UNION
        SELECT record.present_person(m.person_id) FROM record.membership h
        JOIN record.membership m ON m.household_id = h.household_id AND m.recorded_to = 'infinity'
                                AND m.relation ~ '^[23][0-69]$' AND m.person_id IS NOT NULL
        WHERE h.person_id = ANY (record.same_person(p_guardian)) AND h.recorded_to = 'infinity'
          AND h.relation IN ('01', '02')
    ) w
    JOIN record.person p ON p.person_id = w.ward_id AND p.status = 'ACTIVE' AND record.of_age(p.birth_date, 18) > p_at
    CROSS JOIN LATERAL record.guardians_of(w.ward_id, p_at) g
    WHERE g.guardian_id = p_guardian
    ORDER BY p.birth_date, p.person_id
$$;

-- The living person behind a number and a name, in counties (null: all); for stewards' registrations.
CREATE FUNCTION record.find_living(p_identity bytea[], p_name bytea[], p_counties char(6)[])
RETURNS TABLE (person_id uuid, county char(6), birth_date date)
LANGUAGE sql STABLE AS $$
    SELECT p.person_id, p.county, p.birth_date
    FROM record.directory d JOIN record.person p ON p.person_id = record.present_person(d.person_id)
    WHERE d.blind_index = ANY (p_identity) AND p.name_index = ANY (p_name) AND p.status = 'ACTIVE'
      AND (p_counties IS NULL OR p.county = ANY (p_counties))
    LIMIT 1
$$;

-- A steward registers a guardianship; it counts once another one approved it. HB180: no such ward or guardian, HB181: the ward
-- is of age or the guardian is not, HB182: there is one already.
CREATE FUNCTION record.propose_guardianship(
    p_id uuid, p_ward_identity bytea[], p_ward_name bytea[], p_guardian_identity bytea[], p_guardian_name bytea[],
    p_counties char(6)[], p_ground text, p_document text, p_hash bytea, p_from date, p_to date, p_by text, p_at timestamptz
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

-- Another steward says yes or no. HB183: nothing to decide for this one, who may neither have proposed it nor be the same
-- real person.
CREATE FUNCTION record.decide_guardianship(p_id uuid, p_yes boolean, p_counties char(6)[], p_by text, p_at timestamptz)
RETURNS TABLE (ward_id uuid, guardian_id uuid, county char(6), state text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_row record.guardianship;
BEGIN
    SELECT g.* INTO v_row FROM record.guardianship g
    WHERE g.guardianship_id = p_id AND (p_counties IS NULL OR g.county = ANY (p_counties)) FOR UPDATE;
    IF v_row.state IS DISTINCT FROM 'PROPOSED' OR auth.same_person(p_by, v_row.proposed_by) THEN
        RAISE EXCEPTION 'nothing to decide' USING ERRCODE = 'HB183';
    END IF;
    UPDATE record.guardianship g SET state = CASE WHEN p_yes THEN 'IN_FORCE' ELSE 'DECLINED' END, decided_by = p_by,
        decided_at = p_at
    WHERE g.guardianship_id = p_id RETURNING g.* INTO v_row;
    RETURN QUERY SELECT v_row.ward_id, v_row.guardian_id, v_row.county, v_row.state;
END $$;

-- Guardianships as those who administer them see them: nobody is named.
CREATE FUNCTION record.guardianships(p_open boolean, p_counties char(6)[])
RETURNS TABLE (guardianship_id uuid, county char(6), ground text, source text, document text, from_day date, to_day date,
               state text, proposed_by text, proposed_at timestamptz, decided_by text, ended_by text, ended_at timestamptz,
               cause text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT g.guardianship_id, g.county, g.ground, g.source, g.document, g.from_day, g.to_day, g.state, g.proposed_by,
           g.proposed_at, g.decided_by, g.ended_by, g.ended_at, g.cause
    FROM record.guardianship g
    WHERE (NOT p_open OR g.state IN ('PROPOSED', 'IN_FORCE')) AND (p_counties IS NULL OR g.county = ANY (p_counties))
    ORDER BY g.proposed_at DESC, g.guardianship_id LIMIT 1000
$$;

REVOKE ALL ON record.guardianship FROM PUBLIC;
REVOKE ALL ON FUNCTION record.of_age, record.keep_guardianship, record.guardians_of, record.wards_of, record.find_living,
    record.propose_guardianship, record.decide_guardianship, record.guardianships FROM PUBLIC;
GRANT EXECUTE ON FUNCTION record.propose_guardianship, record.decide_guardianship, record.guardianships TO hub_ingest;
