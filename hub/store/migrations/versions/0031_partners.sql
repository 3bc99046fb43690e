-- Partners: keys of a system that are changed with an overlap, and the officers of an organisation, each one real person
-- (征信业管理条例 art. 22: who asked, when, what, what for). Refusals carry HB171 to HB174; hub/flows/officers.py maps them.

-- The keys that a system had before the last change of them, good until an instant.
ALTER TABLE access.client
    ADD COLUMN old_jwks       jsonb,
    ADD COLUMN old_keys_until timestamptz,
    ADD CHECK ((old_jwks IS NULL) = (old_keys_until IS NULL));

-- The key set of a system at this moment: its keys, and the earlier ones while they are good.
CREATE FUNCTION access.keys_of(p_client access.client) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT (CASE WHEN p_client.old_keys_until > clock_timestamp()
                 THEN jsonb_build_object('keys', (p_client.jwks -> 'keys') || (p_client.old_jwks -> 'keys'))
                 ELSE p_client.jwks END)::text
$$;

CREATE OR REPLACE FUNCTION auth.find_client(asked text)
    RETURNS TABLE (client_id text, organisation_id text, jwks text, status text, redirect_uris text[],
                   is_dpop_required boolean, name_zh text, name_en text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.client_id, c.organisation_id, access.keys_of(c), c.status, c.redirect_uris, c.is_dpop_required, o.name_zh,
           o.name_en
      FROM access.client c JOIN access.organisation o ON o.organisation_id = c.organisation_id
     WHERE c.client_id = asked
    UNION ALL
    SELECT a.client_id, NULL, a.jwks::text, a.status, a.redirect_uris, true, a.name_zh, a.name_en
      FROM auth.app a WHERE a.client_id = asked AND NOT EXISTS (SELECT FROM access.client c WHERE c.client_id = asked)
$$;

-- Gives a system new keys; the present ones stay good until an instant. HB174: an earlier change still overlaps.
CREATE FUNCTION access.rotate_keys(p_client text, p_jwks jsonb, p_until timestamptz, OUT role text, OUT status text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_client access.client;
BEGIN
    SELECT * INTO v_client FROM access.client c WHERE c.client_id = p_client AND c.status <> 'CLOSED' FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such system' USING ERRCODE = 'HB171';
    END IF;
    IF p_until > clock_timestamp() AND v_client.old_keys_until > clock_timestamp() THEN
        RAISE EXCEPTION 'an earlier change still overlaps' USING ERRCODE = 'HB174';
    END IF;
    UPDATE access.client c
       SET jwks = p_jwks,
           old_jwks = CASE WHEN p_until > clock_timestamp() THEN v_client.jwks END,
           old_keys_until = CASE WHEN p_until > clock_timestamp() THEN p_until END
     WHERE c.client_id = p_client;
    role := v_client.role;
    status := v_client.status;
END $$;

-- Suspends, resumes or closes a system; the next statement that asks in its name follows it. HB171: there is none.
CREATE FUNCTION access.set_client_status(p_client text, p_status text, OUT role text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE access.client c SET status = p_status
     WHERE c.client_id = p_client AND c.status <> 'CLOSED' AND c.status <> p_status
    RETURNING c.role INTO role;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such system in another status' USING ERRCODE = 'HB171';
    END IF;
END $$;

-- The officers of an organisation, under its own ids. `holder`: keyed hash of the ID number, so that one person has one
-- id and an id one person, for good. What names him is sealed.
CREATE TABLE access.officer (
    organisation_id text NOT NULL REFERENCES access.organisation,
    officer_id      text NOT NULL CHECK (officer_id ~ '^[A-Za-z0-9._@-]{1,64}$'),
    holder          bytea NOT NULL,
    sealed_holder   bytea NOT NULL,
    added_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    removed_at      timestamptz,
    PRIMARY KEY (organisation_id, officer_id)
);
CREATE UNIQUE INDEX officer_person ON access.officer (organisation_id, holder) WHERE removed_at IS NULL;
-- From when on an organisation's queries must name an officer of the register.
ALTER TABLE access.organisation ADD COLUMN officers_since timestamptz;

-- Whether a system names an officer whom its organisation's register does not have. For the gate.
CREATE FUNCTION access.is_unknown_officer(p_client text, p_officer text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM access.client c JOIN access.organisation o ON o.organisation_id = c.organisation_id
         WHERE c.client_id = p_client AND o.officers_since IS NOT NULL
           AND NOT EXISTS (SELECT FROM access.officer f
                            WHERE f.organisation_id = o.organisation_id AND f.officer_id = p_officer
                              AND f.removed_at IS NULL))
$$;

-- The same for requests for consent that name an officer; those that name the system itself show nothing to anybody.
CREATE FUNCTION access.check_requesting_officer() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.actor <> NEW.client_id AND access.is_unknown_officer(NEW.client_id, NEW.actor) THEN
        RAISE EXCEPTION 'officer not registered' USING ERRCODE = 'HB175';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER check_officer BEFORE INSERT ON consent.request
    FOR EACH ROW EXECUTE FUNCTION access.check_requesting_officer();

-- Adds an officer, or brings back one who was removed; from the first on the register binds. `p_holders`: the keyed hash
-- under every key held, newest first. HB171: no such organisation, HB172: the person has another id there, HB173: the
-- id is another person's.
CREATE FUNCTION access.add_officer(p_organisation text, p_officer text, p_holders bytea[], p_sealed bytea)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_held access.officer;
BEGIN
    PERFORM FROM access.organisation o WHERE o.organisation_id = p_organisation FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such organisation' USING ERRCODE = 'HB171';
    END IF;
    IF EXISTS (SELECT FROM access.officer f WHERE f.organisation_id = p_organisation AND f.removed_at IS NULL
                AND f.holder = ANY (p_holders) AND f.officer_id <> p_officer) THEN
        RAISE EXCEPTION 'this person has another id' USING ERRCODE = 'HB172';
    END IF;
    SELECT * INTO v_held FROM access.officer f
     WHERE f.organisation_id = p_organisation AND f.officer_id = p_officer;
    IF FOUND AND NOT v_held.holder = ANY (p_holders) THEN
        RAISE EXCEPTION 'this id is another person''s' USING ERRCODE = 'HB173';
    END IF;
    UPDATE access.organisation o SET officers_since = coalesce(o.officers_since, clock_timestamp())
     WHERE o.organisation_id = p_organisation;
    IF v_held.officer_id IS NOT NULL AND v_held.removed_at IS NULL THEN
        RETURN false;
    END IF;
    INSERT INTO access.officer (organisation_id, officer_id, holder, sealed_holder)
    VALUES (p_organisation, p_officer, p_holders[1], p_sealed)
    ON CONFLICT (organisation_id, officer_id) DO UPDATE SET removed_at = NULL, added_at = clock_timestamp();
    RETURN true;
END $$;

-- Removes an officer; the next query that names him is refused. HB171: there is none.
CREATE FUNCTION access.remove_officer(p_organisation text, p_officer text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE access.officer f SET removed_at = clock_timestamp()
     WHERE f.organisation_id = p_organisation AND f.officer_id = p_officer AND f.removed_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such officer' USING ERRCODE = 'HB171';
    END IF;
END $$;

-- As before, and a system that names an officer whom its organisation does not have may not ask.
CREATE OR REPLACE FUNCTION access.resolve(p_requests jsonb, p_today date, p_spent int[]) RETURNS access.asked[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    c_nowhere  CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    v_grown_up date := p_today - interval '18 years';
    v_resolved access.asked[] := '{}';
    v_wire     record;
    v_parts    text[];
    v_asker    access.asker;
    v_refusal  text;
    v_found    uuid;
    v_county   char(6);
    v_person   record;
    v_fits     boolean;
    v_in_area  boolean;
    v_adults   uuid[];
    v_outside  boolean;
BEGIN
    FOR v_wire IN
        SELECT r.* FROM ROWS FROM (jsonb_to_recordset(p_requests) AS (
            asker text, token text, actor text, purpose text, parts text[], others boolean, operation text, ev uuid,
            sealed text, retry_key text, person uuid, identity text[], names text[], grant_id uuid)) WITH ORDINALITY
        AS r (asker, token, actor, purpose, parts, others, operation, ev, sealed, retry_key, person, identity, names,
              grant_id, ordinal)
    LOOP
        v_parts := v_wire.parts || CASE WHEN v_wire.others AND NOT 'identity/VALUE' = ANY (v_wire.parts)
                                        THEN '{identity/VALUE}' ELSE '{}' END::text[];
        IF cardinality(v_parts) NOT BETWEEN 1 AND 64
           OR array_to_string(v_parts, ' ', '?') !~ '^[A-Za-z_./]+( [A-Za-z_./]+)*$'
           OR num_nulls(v_wire.parts, v_wire.sealed, v_wire.ev, v_wire.operation, v_wire.actor, v_wire.asker,
                        v_wire.token) > 0 THEN
            RAISE EXCEPTION 'an incomplete request' USING ERRCODE = 'HB111';
        END IF;
        v_asker := access.find_asker(v_wire.asker);
        v_refusal := CASE WHEN v_asker.role IS NULL THEN 'ASKER_UNKNOWN'
            WHEN EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = v_wire.token) THEN 'TOKEN_REVOKED'
            WHEN v_asker.status <> 'ACTIVE' THEN 'ASKER_SUSPENDED'
            WHEN access.is_unknown_officer(v_wire.asker, v_wire.actor) THEN 'OFFICER_UNKNOWN'
            WHEN v_wire.ordinal = ANY (p_spent) THEN 'PROOF_USED' END;
        v_found := coalesce(v_asker.own_person, record.present_person(v_wire.person));
        v_county := NULL;
        IF v_found IS NULL THEN
            SELECT d.person_id, d.county INTO v_found, v_county FROM record.directory d
            WHERE d.blind_index = ANY (ARRAY (SELECT decode(i.hex, 'hex') FROM unnest(v_wire.identity) AS i (hex)))
            LIMIT 1;
        END IF;
        SELECT p.person_id, p.county, p.household_id, p.identity_index, p.name_index, p.birth_date, p.status
        INTO v_person FROM record.person p
        WHERE p.person_id = v_found AND (v_county IS NULL OR p.county = v_county) LIMIT 1;
        -- A resident who names a number is answered only if the number is his own.
        v_fits := v_person.status = 'ACTIVE' AND CASE
            WHEN v_asker.own_person IS NOT NULL AND v_wire.identity IS NOT NULL THEN EXISTS (
                SELECT FROM record.directory o
                WHERE o.person_id = v_asker.own_person AND encode(o.blind_index, 'hex') = ANY (v_wire.identity))
            WHEN v_asker.own_person IS NOT NULL THEN v_wire.person IS NULL OR v_found = record.present_person(v_wire.person)
            WHEN v_wire.person IS NOT NULL THEN true
            ELSE encode(v_person.name_index, 'hex') = ANY (v_wire.names) END;
        -- A token that stands for a consent asks about that person and purpose only, while the consent is in force.
        v_outside := v_wire.grant_id IS NOT NULL AND v_person.person_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM consent.basis b
            WHERE b.basis_id = v_wire.grant_id AND b.organisation_id = v_asker.organisation_id
              AND b.purpose = v_wire.purpose AND b.status = 'IN_FORCE'
              AND record.present_person(b.person_id) = v_person.person_id);
        v_fits := v_fits AND NOT v_outside;
        v_in_area := v_person.county = ANY (v_asker.county_codes)
                     AND v_asker.role NOT IN ('COLLECTOR', 'VILLAGE_REVIEWER');
        IF cardinality(v_asker.village_codes) > 0 THEN
            v_in_area := EXISTS (
                SELECT FROM record.household h CROSS JOIN unnest(v_asker.village_codes) AS v (code)
                WHERE h.county = v_person.county AND h.household_id = v_person.household_id
                  AND starts_with(h.village_code, v.code));
        END IF;
        v_adults := NULL;
        IF v_fits AND (v_wire.others OR 'roster/VALUE' = ANY (v_parts)) THEN
            v_adults := ARRAY (
                SELECT m.person_id FROM record.person m
                WHERE m.county = v_person.county AND m.household_id = v_person.household_id AND m.status = 'ACTIVE'
                  AND m.birth_date <= v_grown_up AND m.person_id <> v_person.person_id
                ORDER BY m.person_id);
        END IF;
        v_resolved := v_resolved || ROW(
            v_wire.ordinal, v_wire.asker, v_wire.token, v_wire.actor, v_wire.purpose, v_parts, v_wire.parts,
            v_wire.others AND v_asker.role <> 'RESIDENT', decode(v_wire.operation, 'hex'), v_wire.ev,
            decode(v_wire.sealed, 'base64'), v_wire.retry_key, v_asker.role,
            coalesce(v_asker.organisation_id, 'unknown'), v_refusal,
            CASE WHEN v_refusal IS NOT NULL THEN v_refusal
                 WHEN NOT v_wire.purpose = ANY (v_asker.purposes) THEN 'PURPOSE_MISMATCH'
                 WHEN v_asker.role <> 'RESIDENT'
                      AND cardinality(v_asker.county_codes) + cardinality(v_asker.village_codes) = 0
                     THEN 'OUT_OF_AREA' END,
            CASE WHEN v_person.person_id IS NULL THEN 'UNKNOWN'
                 WHEN v_outside THEN 'OUTSIDE_GRANT'
                 WHEN v_fits IS NOT TRUE THEN 'NOT_THE_PERSON'
                 WHEN v_asker.role <> 'RESIDENT' AND v_in_area IS NOT TRUE THEN 'OTHER_AREA' END,
            v_asker.day_limit,
            coalesce(decode(v_wire.identity[1], 'hex'), v_person.identity_index, uuid_send(v_found)),
            v_person.person_id, CASE WHEN v_fits THEN v_person.person_id END, v_person.county,
            coalesce(v_person.household_id, c_nowhere), v_adults, v_person.birth_date <= v_grown_up, v_in_area
        )::access.asked;
    END LOOP;
    RETURN v_resolved;
END $$;

REVOKE ALL ON access.officer FROM PUBLIC;
REVOKE ALL ON FUNCTION access.keys_of, access.rotate_keys, access.set_client_status, access.is_unknown_officer,
    access.check_requesting_officer, access.add_officer, access.remove_officer FROM PUBLIC;

INSERT INTO audit.event_name (name) VALUES ('officer:operator:changed');
