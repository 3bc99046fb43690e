-- Nobody is guardian by an account or a system of that role: it is what a resident becomes who names a ward, and in the rules it
-- stands for that ward alone.
ALTER TABLE auth.account ADD CONSTRAINT account_is_no_guardian CHECK (role <> 'GUARDIAN') NOT VALID;
ALTER TABLE access.client ADD CONSTRAINT client_is_no_guardian CHECK (role <> 'GUARDIAN') NOT VALID;

-- As in 0042, and whoever has that role otherwise is nobody.
CREATE OR REPLACE FUNCTION access.as_guardian(p_asker access.asker, p_person uuid) RETURNS access.asker
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_asker access.asker := p_asker;
    v_ward  record;
BEGIN
    IF p_asker.role = 'GUARDIAN' THEN
        v_asker.role := NULL;
        RETURN v_asker;
    END IF;
    IF p_person IS NULL OR p_asker.role IS DISTINCT FROM 'RESIDENT' OR p_person = p_asker.own_person THEN
        RETURN p_asker;
    END IF;
    SELECT w.ward_id, w.county INTO v_ward FROM record.wards_of(p_asker.own_person, clock_timestamp()) w
    WHERE w.ward_id = record.present_person(p_person);
    IF FOUND AND EXISTS (SELECT FROM record.person p WHERE p.person_id = p_asker.own_person AND p.status = 'ACTIVE') THEN
        v_asker.role := 'GUARDIAN';
        v_asker.own_person := v_ward.ward_id;
        v_asker.county_codes := ARRAY[v_ward.county];
        v_asker.village_codes := '{}';
    END IF;
    RETURN v_asker;
END $$;
