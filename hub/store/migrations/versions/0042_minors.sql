-- Consent about minors (个人信息保护法 art. 31, 民法典 art. 17-20): under 14 a guardian decides, from 14 to 18 a guardian and the minor
-- together, from 18 on the person alone. Whoever of them says no ends it at once.

-- SELF: an adult gave it for himself. GUARDIAN: it is about a minor, and rests on the agreements to its request.
ALTER TABLE consent.basis ADD COLUMN given_by text NOT NULL DEFAULT 'SELF' CHECK (given_by IN ('SELF', 'GUARDIAN'));

ALTER TABLE consent.event DROP CONSTRAINT event_verb_check,
    ADD CONSTRAINT event_verb_check CHECK (verb IN (
        'requestConsent', 'captureConsent', 'grantConsent', 'agreeConsent', 'refuseConsent', 'suspendConsent',
        'resumeConsent', 'withdrawConsent', 'revokeConsent', 'expireConsent', 'supersedeConsent', 'invalidateConsent'));

-- The yes of one of those who have to agree about a minor: `statement` is canonical JSON, signed by the hub. Never changed.
-- `by_person`: who agreed; `party`: as guardian, or as the minor himself.
CREATE TABLE consent.agreement (
    county          char(6) NOT NULL,
    request_id      uuid    NOT NULL REFERENCES consent.request,
    person_id       uuid    NOT NULL,        -- the minor
    by_person       uuid    NOT NULL,
    party           text    NOT NULL CHECK (party IN ('GUARDIAN', 'MINOR')),
    guardianship_id uuid    CHECK ((guardianship_id IS NOT NULL) = (party = 'GUARDIAN')),
    account_id      text    NOT NULL,
    parts           text[]  NOT NULL CHECK (cardinality(parts) > 0),
    heightened      boolean NOT NULL,
    agreed_at       timestamptz NOT NULL,
    ev              uuid    NOT NULL,
    statement       bytea   NOT NULL,
    signature       bytea   NOT NULL CHECK (octet_length(signature) = 64),
    protected       text    NOT NULL,
    PRIMARY KEY (request_id, by_person)
);
CREATE INDEX agreement_person ON consent.agreement (person_id);
CREATE INDEX agreement_by ON consent.agreement (by_person);
CREATE TRIGGER agreement_is_final BEFORE UPDATE OR DELETE OR TRUNCATE ON consent.agreement
    FOR EACH STATEMENT EXECUTE FUNCTION consent.refuse_change();

-- In force: who gave it could, and still can. ---------------------------------------------------------------------------

-- Between which instants those who gave a basis can give it. Of an adult's own consent: from his coming of age on. Of one
-- about a minor: until a guardian who agreed is guardian no more, and until the 14th birthday, or the 18th where the minor
-- agreed too. Of other kinds: always. A birth date that is not known is the strictest case: never. `p_person`: who he is now.
CREATE FUNCTION consent.capacity_of(p_kind text, p_given_by text, p_consent uuid, p_person uuid, p_at timestamptz)
RETURNS TABLE (can_from timestamptz, can_until timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN p_kind <> 'CONSENT' OR p_given_by = 'GUARDIAN' THEN '-infinity'
                ELSE coalesce(record.of_age(k.born, 18), 'infinity') END,
           CASE WHEN p_kind <> 'CONSENT' OR p_given_by = 'SELF' THEN 'infinity'
                WHEN k.born IS NULL THEN '-infinity'
                ELSE (SELECT least(
                          coalesce(max(g.until) FILTER (WHERE a.party = 'GUARDIAN'), '-infinity'),
                          record.of_age(k.born, CASE WHEN coalesce(bool_or(a.party = 'MINOR'), false) THEN 18 ELSE 14 END))
                      FROM consent.record r JOIN consent.agreement a ON a.request_id = r.request_id
                      LEFT JOIN LATERAL record.guardians_of(p_person, p_at) g
                             ON a.party = 'GUARDIAN' AND g.guardian_id = record.present_person(a.by_person)
                      WHERE r.consent_id = p_consent) END
    FROM (SELECT max(p.birth_date) AS born FROM record.person p WHERE p.person_id = p_person) k
$$;

-- As in 0025, with what those who gave it can. UNAGREED: somebody's agreement that it needs is missing, or has ceased to count.
CREATE OR REPLACE FUNCTION consent.standing(p_consent uuid, p_at timestamptz) RETURNS TABLE (standing text)
LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        CASE WHEN b.given_by = 'GUARDIAN' AND b.status = 'IN_FORCE' AND p_at < b.expires_at AND p_at >= c.can_until
             THEN 'UNAGREED' END,
        consent.lack(b.status, greatest(b.effective_from, c.can_from), least(b.expires_at, c.can_until), f.fit, p_at),
        CASE WHEN q.uses >= q.max_uses THEN 'USED_UP' END, 'IN_FORCE')
    FROM consent.basis b
    CROSS JOIN LATERAL consent.fitness_of(b.kind, b.purpose, b.organisation_id, b.evidence_level, b.frozen_cause) f
    CROSS JOIN LATERAL consent.capacity_of(b.kind, b.given_by, b.basis_id, record.present_person(b.person_id), p_at) c
    LEFT JOIN consent.quota q ON q.basis_id = b.basis_id
    WHERE b.basis_id = p_consent
$$;

-- Who acts. ---------------------------------------------------------------------------------------------------------------

-- As what the person behind a resident's account may decide about somebody's consents (null or himself: his own). SELF: an
-- adult for himself; MINOR: somebody from 14 to 18 for himself; GUARDIAN: for a ward. No row: not at all.
CREATE FUNCTION consent.party_of(p_account text, p_token text, p_at timestamptz, p_ward uuid DEFAULT NULL)
RETURNS TABLE (person_id uuid, county char(6), name_index bytea, birth_date date, party text, by_person uuid,
               guardianship_id uuid, ground text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_own record;
BEGIN
    SELECT p.person_id, p.county, p.name_index, p.birth_date INTO v_own
    FROM auth.account a JOIN record.person p ON p.person_id = record.present_person(a.person_id)
    WHERE a.account_id = p_account AND a.role = 'RESIDENT' AND a.status = 'ACTIVE' AND p.status = 'ACTIVE'
      AND NOT EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = p_token);
    IF NOT FOUND OR record.of_age(v_own.birth_date, 14) > p_at THEN
        RETURN;
    END IF;
    IF p_ward IS NULL OR record.present_person(p_ward) = v_own.person_id THEN
        RETURN QUERY SELECT v_own.person_id, v_own.county, v_own.name_index, v_own.birth_date,
            CASE WHEN record.of_age(v_own.birth_date, 18) <= p_at THEN 'SELF' ELSE 'MINOR' END, v_own.person_id,
            NULL::uuid, NULL::text;
    ELSE
        RETURN QUERY SELECT p.person_id, p.county, p.name_index, p.birth_date, 'GUARDIAN', v_own.person_id,
                            g.guardianship_id, g.ground
        FROM record.person p CROSS JOIN LATERAL record.guardians_of(p.person_id, p_at) g
        WHERE p.person_id = record.present_person(p_ward) AND p.status = 'ACTIVE'
          AND record.of_age(p.birth_date, 18) > p_at AND g.guardian_id = v_own.person_id;
    END IF;
END $$;

-- The wards of the person behind a resident's account.
CREATE FUNCTION consent.wards_of(p_account text, p_token text, p_at timestamptz)
RETURNS TABLE (ward_id uuid, county char(6), birth_date date, sealed_identity bytea, guardianship_id uuid, ground text,
               source text, until timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT w.* FROM consent.party_of(p_account, p_token, p_at) p
    CROSS JOIN LATERAL record.wards_of(p.by_person, p_at) w WHERE p.party = 'SELF'
$$;

-- As in 0025, also for wards and for minors of 14 and more. `agreed`: who of those who have to agree about a minor has, and
-- still may. A guardian finds what is open, and what a guardian agreed to; what the minor refused is the minor's own.
DROP FUNCTION consent.requests_of(text, text, timestamptz, uuid);
CREATE FUNCTION consent.requests_of(
    p_account text, p_token text, p_at timestamptz, p_request uuid DEFAULT NULL, p_ward uuid DEFAULT NULL
) RETURNS TABLE (request_id uuid, organisation_id text, name_zh text, name_en text, role text, purpose text,
               parts text[], application_ref text, valid_days int, max_uses int, asked_at timestamptz,
               expires_at timestamptz, state text, person_id uuid, county char(6), supersedes uuid, party text,
               by_person uuid, guardianship_id uuid, ground text, of_fourteen timestamptz, of_age timestamptz, agreed jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_person record;
BEGIN
    SELECT * INTO v_person FROM consent.party_of(p_account, p_token, p_at, p_ward);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no living adult' USING ERRCODE = 'HB104';
    END IF;
    IF p_request IS NOT NULL THEN
        PERFORM FROM consent.request r WHERE r.request_id = p_request FOR UPDATE;
    END IF;
    RETURN QUERY
    SELECT r.request_id, r.organisation_id, o.name_zh, o.name_en, r.role, r.purpose, r.parts, r.application_ref,
           r.valid_days, r.max_uses, r.asked_at, r.expires_at, r.state, v_person.person_id, v_person.county,
           (SELECT b.basis_id FROM consent.basis b
            WHERE b.person_id = ANY (record.same_person(v_person.person_id)) AND b.organisation_id = r.organisation_id
              AND b.purpose = r.purpose AND b.kind = 'CONSENT' AND b.status IN ('IN_FORCE', 'SUSPENDED')
            ORDER BY b.effective_from DESC, b.basis_id LIMIT 1),
           v_person.party, v_person.by_person, v_person.guardianship_id, v_person.ground,
           record.of_age(v_person.birth_date, 14), record.of_age(v_person.birth_date, 18), k.agreed
    FROM consent.request r JOIN access.organisation o ON o.organisation_id = r.organisation_id
    CROSS JOIN LATERAL (
        SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'party', a.party, 'by', a.by_person, 'parts', a.parts, 'heightened', a.heightened)
                   ORDER BY a.agreed_at, a.by_person), '[]') AS agreed
        FROM consent.agreement a
        WHERE a.request_id = r.request_id AND (a.party = 'MINOR' OR EXISTS (
            SELECT FROM record.guardians_of(v_person.person_id, p_at) g
            WHERE g.guardian_id = record.present_person(a.by_person)))) k
    WHERE r.identity_indexes && (SELECT coalesce(array_agg(d.blind_index), '{}') FROM record.directory d
                                 WHERE d.person_id = v_person.person_id)
      AND v_person.name_index = ANY (r.name_indexes)
      AND (p_request IS NULL OR r.request_id = p_request)
      AND (v_person.party <> 'GUARDIAN' OR r.state = 'REQUESTED' OR EXISTS (
          SELECT FROM consent.agreement a WHERE a.request_id = r.request_id AND a.party = 'GUARDIAN'))
    ORDER BY r.asked_at DESC, r.request_id;
END $$;

-- As in 0025: an adult for himself. What is about a minor is agreed to (consent.agree_for_minor).
CREATE OR REPLACE FUNCTION consent.grant_request(
    p_account text, p_token text, p_request uuid, p_terms bytea, p_signature bytea, p_at timestamptz, p_ev uuid,
    p_protected text DEFAULT NULL
) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_shown   record;
    v_request consent.request;
BEGIN
    SELECT * INTO v_shown FROM consent.requests_of(p_account, p_token, p_at, p_request);
    IF v_shown.party IS DISTINCT FROM 'SELF' AND v_shown.request_id IS NOT NULL THEN
        RAISE EXCEPTION 'no living adult' USING ERRCODE = 'HB104';
    END IF;
    IF v_shown.request_id IS NULL OR v_shown.state <> 'REQUESTED' OR v_shown.expires_at <= p_at THEN
        RAISE EXCEPTION 'no open request' USING ERRCODE = 'HB105';
    END IF;
    SELECT r.* INTO v_request FROM consent.request r WHERE r.request_id = p_request;
    RETURN consent.put_in_force(v_request, v_shown.person_id, v_shown.county, p_terms, p_signature, p_protected, true,
                                p_at, p_account, p_ev);
END $$;

-- A guardian, or a minor of 14 and more, agrees to a request about the minor. `p_terms`: the signed terms that are put in force
-- with this agreement if it is the last one needed, else null. To a consent that stands a further agreement is added as it
-- stands. Gives the consent, null while an agreement is missing.
-- HB184: nothing of a minor is ever open to this asker; HB185: agreed already; HB186: the notice about children is not accepted.
CREATE FUNCTION consent.agree_for_minor(
    p_account text, p_token text, p_request uuid, p_ward uuid, p_parts text[], p_heightened boolean, p_statement bytea,
    p_signature bytea, p_protected text, p_terms bytea, p_terms_signature bytea, p_terms_protected text, p_at timestamptz,
    p_ev uuid
) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_said    jsonb := convert_from(p_statement, 'UTF8')::jsonb;
    v_terms   jsonb := convert_from(p_terms, 'UTF8')::jsonb;
    v_shown   record;
    v_request consent.request;
    v_basis   consent.basis;
    v_parts   text[];
    v_done    boolean;
    v_consent uuid;
BEGIN
    SELECT * INTO v_shown FROM consent.requests_of(p_account, p_token, p_at, p_request, p_ward);
    IF NOT FOUND OR v_shown.party = 'SELF' THEN
        RAISE EXCEPTION 'no open request' USING ERRCODE = 'HB105';
    END IF;
    SELECT b.* INTO v_basis FROM consent.record r JOIN consent.basis b ON b.consent_id = r.consent_id
    WHERE r.request_id = p_request AND b.status = 'IN_FORCE' AND b.given_by = 'GUARDIAN' AND b.expires_at > p_at FOR SHARE OF b;
    IF v_basis.basis_id IS NULL AND (v_shown.state <> 'REQUESTED' OR v_shown.expires_at <= p_at) THEN
        RAISE EXCEPTION 'no open request' USING ERRCODE = 'HB105';
    END IF;
    IF EXISTS (SELECT FROM consent.agreement a WHERE a.request_id = p_request AND a.by_person = v_shown.by_person) THEN
        RAISE EXCEPTION 'agreed already' USING ERRCODE = 'HB185';
    END IF;
    IF v_shown.of_fourteen > p_at AND v_said ->> 'childNotice' IS DISTINCT FROM 'true' THEN
        RAISE EXCEPTION 'the notice about children is not accepted' USING ERRCODE = 'HB186';
    END IF;
    IF cardinality(p_parts) = 0 OR NOT p_parts <@ v_shown.parts OR NOT v_basis.parts <@ p_parts
       OR v_basis.heightened AND NOT p_heightened OR v_said ->> 'requestId' IS DISTINCT FROM p_request::text
       OR v_said ->> 'subject' IS DISTINCT FROM v_shown.person_id::text
       OR v_said ->> 'agreedBy' IS DISTINCT FROM v_shown.by_person::text
       OR v_said ->> 'party' IS DISTINCT FROM v_shown.party
       OR ARRAY (SELECT jsonb_array_elements_text(v_said -> 'parts')) <> p_parts
       OR (v_said ->> 'heightenedNotice')::boolean IS DISTINCT FROM p_heightened THEN
        RAISE EXCEPTION 'the agreement differs from the request' USING ERRCODE = 'HB106';
    END IF;
    -- What no rule opens without an adult is never agreed to about a minor, nor what belongs to the adults of the household.
    IF EXISTS (SELECT FROM unnest(p_parts) AS wanted (part)
               WHERE access.is_household_part(wanted.part) OR NOT EXISTS (
                   SELECT FROM access.decision d JOIN access.policy_set s ON s.digest = d.digest AND s.retired_at IS NULL
                   WHERE d.role = v_shown.role AND d.purpose = v_shown.purpose AND d.part = wanted.part
                     AND d.closed IS NULL AND d.needs_basis AND NOT d.needs_adult)) THEN
        RAISE EXCEPTION 'never open about minors' USING ERRCODE = 'HB184';
    END IF;
    INSERT INTO consent.agreement (county, request_id, person_id, by_person, party, guardianship_id, account_id, parts,
                                   heightened, agreed_at, ev, statement, signature, protected)
    VALUES (v_shown.county, p_request, v_shown.person_id, v_shown.by_person, v_shown.party, v_shown.guardianship_id,
            p_account, p_parts, p_heightened, p_at, p_ev, p_statement, p_signature, p_protected);
    IF v_basis.basis_id IS NOT NULL THEN
        INSERT INTO consent.event (request_id, consent_id, verb, at, by_whom, ev)
        VALUES (p_request, v_basis.basis_id, 'agreeConsent', p_at, p_account, p_ev);
        RETURN v_basis.basis_id;
    END IF;
    v_done := (v_shown.party = 'GUARDIAN' OR v_shown.agreed @? '$[*] ? (@.party == "GUARDIAN")')
              AND (v_shown.of_fourteen > p_at OR v_shown.party = 'MINOR' OR v_shown.agreed @? '$[*] ? (@.party == "MINOR")');
    IF v_done <> (p_terms IS NOT NULL) THEN
        RAISE EXCEPTION 'another agreement came or went meanwhile' USING ERRCODE = 'HB106';
    END IF;
    -- The organisation is told of nothing before all have agreed, so that it learns of no single yes.
    INSERT INTO consent.event (request_id, verb, at, by_whom, ev) VALUES (p_request, 'agreeConsent', p_at, p_account, p_ev);
    IF NOT v_done THEN
        RETURN NULL;
    END IF;
    v_parts := ARRAY (SELECT jsonb_array_elements_text(v_terms -> 'parts'));
    IF NOT v_parts <@ p_parts OR (v_terms ->> 'heightenedNotice')::boolean AND NOT p_heightened
       OR (v_terms ->> 'expiresAt')::timestamptz > v_shown.of_age OR v_terms -> 'indicatedBy' ->> 'kind' <> 'GUARDIAN'
       OR EXISTS (SELECT FROM jsonb_array_elements(v_shown.agreed) AS other
                  WHERE NOT v_parts <@ ARRAY (SELECT jsonb_array_elements_text(other -> 'parts'))
                     OR (v_terms ->> 'heightenedNotice')::boolean AND NOT (other ->> 'heightened')::boolean) THEN
        RAISE EXCEPTION 'terms differ from what was agreed to' USING ERRCODE = 'HB106';
    END IF;
    SELECT r.* INTO v_request FROM consent.request r WHERE r.request_id = p_request;
    v_consent := consent.put_in_force(v_request, v_shown.person_id, v_shown.county, p_terms, p_terms_signature,
                                      p_terms_protected, true, p_at, p_account, p_ev);
    UPDATE consent.basis b SET given_by = 'GUARDIAN' WHERE b.basis_id = v_consent;
    RETURN v_consent;
END $$;

-- As in 0025, also by a guardian or a minor: each of them alone says no for all.
DROP FUNCTION consent.refuse_request(text, text, uuid, timestamptz, uuid);
CREATE FUNCTION consent.refuse_request(
    p_account text, p_token text, p_request uuid, p_at timestamptz, p_ev uuid, p_ward uuid DEFAULT NULL
) RETURNS TABLE (organisation_id text, purpose text, person_id uuid, county char(6), party text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_request record;
BEGIN
    SELECT * INTO v_request FROM consent.requests_of(p_account, p_token, p_at, p_request, p_ward);
    IF NOT FOUND OR v_request.state NOT IN ('REQUESTED', 'CAPTURED') THEN
        RAISE EXCEPTION 'no open request' USING ERRCODE = 'HB105';
    END IF;
    UPDATE consent.request r SET state = 'REFUSED', decided_at = p_at WHERE r.request_id = p_request;
    PERFORM consent.note(p_request, NULL, 'refuseConsent', 'REFUSED', p_at, p_account, p_ev, NULL);
    RETURN QUERY SELECT v_request.organisation_id, v_request.purpose, v_request.person_id, v_request.county, v_request.party;
END $$;

-- As in 0025; about a minor, any guardian and the minor of 14 and more take it back, each alone. Only adults pause.
DROP FUNCTION consent.change(text, text, uuid, text, timestamptz, uuid);
CREATE FUNCTION consent.change(
    p_account text, p_token text, p_consent uuid, p_verb text, p_at timestamptz, p_ev uuid
) RETURNS TABLE (organisation_id text, purpose text, person_id uuid, county char(6), party text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_person record;
    v_basis  consent.basis;
BEGIN
    IF NOT EXISTS (SELECT FROM consent.party_of(p_account, p_token, p_at)) THEN
        RAISE EXCEPTION 'no living adult' USING ERRCODE = 'HB104';
    END IF;
    SELECT w.* INTO v_person FROM consent.basis b
    CROSS JOIN LATERAL consent.party_of(p_account, p_token, p_at, b.person_id) w
    WHERE b.basis_id = p_consent AND b.kind = 'CONSENT';
    IF NOT FOUND OR p_verb NOT IN ('suspendConsent', 'resumeConsent', 'withdrawConsent')
       OR v_person.party <> 'SELF' AND p_verb <> 'withdrawConsent' THEN
        RAISE EXCEPTION 'no consent in force' USING ERRCODE = 'HB107';
    END IF;
    SELECT s.* INTO v_basis FROM consent.step(p_consent, p_verb, p_at, p_account, p_ev) s;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no consent in force' USING ERRCODE = 'HB107';
    END IF;
    RETURN QUERY SELECT v_basis.organisation_id, v_basis.purpose, v_person.person_id, v_person.county, v_person.party;
END $$;

-- As in 0025, also a ward's and a minor's own.
DROP FUNCTION consent.consents_of(text, text, timestamptz);
CREATE FUNCTION consent.consents_of(p_account text, p_token text, p_at timestamptz, p_ward uuid DEFAULT NULL)
RETURNS TABLE (consent_id uuid, organisation_id text, name_zh text, name_en text, purpose text, parts text[],
               heightened boolean, effective_from timestamptz, expires_at timestamptz, max_uses int, uses int,
               status text, ended_at timestamptz, evidence_level smallint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT b.consent_id, b.organisation_id, o.name_zh, o.name_en, b.purpose, b.parts, b.heightened, b.effective_from,
           b.expires_at, b.max_uses, coalesce(q.uses, 0), s.standing, b.ended_at, b.evidence_level
    FROM consent.party_of(p_account, p_token, p_at, p_ward) p
    JOIN consent.basis b ON b.person_id = ANY (record.same_person(p.person_id)) AND b.kind = 'CONSENT'
    CROSS JOIN LATERAL consent.standing(b.basis_id, p_at) s
    JOIN access.organisation o ON o.organisation_id = b.organisation_id
    LEFT JOIN consent.quota q ON q.basis_id = b.basis_id
    ORDER BY b.effective_from DESC, b.basis_id;
END $$;

-- As in 0025; of a consent about a minor also for each guardian.
CREATE OR REPLACE FUNCTION consent.record_of(p_account text, p_token text, p_consent uuid, p_at timestamptz)
RETURNS TABLE (terms bytea, signature bytea, protected text, person_id uuid, county char(6), standing text, verb text,
               at timestamptz, cause text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT r.terms, r.signature, r.protected, p.person_id, p.county, s.standing, e.verb, e.at, e.cause
    FROM consent.record r
    CROSS JOIN LATERAL consent.party_of(p_account, p_token, p_at, r.person_id) p
    CROSS JOIN LATERAL consent.standing(r.consent_id, p_at) s
    JOIN consent.event e ON e.request_id = r.request_id
    WHERE r.consent_id = p_consent
    ORDER BY e.event_id;
END $$;

-- What ends. --------------------------------------------------------------------------------------------------------------

-- A consent ends by law, with an entry of its own.
CREATE FUNCTION consent.end_by_law(p_basis consent.basis, p_cause text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_ev uuid := uuidv7();
BEGIN
    PERFORM consent.step(p_basis.basis_id, 'invalidateConsent', clock_timestamp(), 'hub', v_ev, p_cause);
    INSERT INTO audit.pending (ev, kind, event, organisation, actor, purpose, decision, policy, county, subjects, facts)
    VALUES (v_ev, 'consent', 'consent:hub:ended', 'hub', 'hub', p_basis.purpose, 'allow', 'consent-terms-2',
            p_basis.county, ARRAY[p_basis.person_id],
            jsonb_build_object('consent', p_basis.basis_id, 'reason', p_cause, 'persons', jsonb_build_object(
                p_basis.person_id, jsonb_build_object('recipient', p_basis.organisation_id))));
END $$;

-- The consents about a minor to which no present guardian agreed end. Readers that hold one finish first.
CREATE FUNCTION consent.end_unguarded(p_ward uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_one consent.basis;
BEGIN
    FOR v_one IN SELECT b.* FROM consent.basis b
                 WHERE b.person_id = ANY (record.same_person(p_ward)) AND b.given_by = 'GUARDIAN'
                   AND b.status IN ('IN_FORCE', 'SUSPENDED')
                 ORDER BY b.basis_id FOR UPDATE LOOP
        IF NOT EXISTS (
            SELECT FROM consent.record r JOIN consent.agreement a ON a.request_id = r.request_id AND a.party = 'GUARDIAN'
            JOIN record.guardians_of(record.present_person(p_ward), clock_timestamp()) g
              ON g.guardian_id = record.present_person(a.by_person)
            WHERE r.consent_id = v_one.basis_id) THEN
            PERFORM consent.end_by_law(v_one, 'GUARDIANSHIP_ENDED');
        END IF;
    END LOOP;
END $$;

-- A steward ends a guardianship, at once: a registered one by its id, or what would follow from the roster by the two people.
-- HB180: there is none.
CREATE FUNCTION record.end_guardianship(
    p_id uuid, p_ward_identity bytea[], p_ward_name bytea[], p_guardian_identity bytea[], p_guardian_name bytea[],
    p_counties char(6)[], p_cause text, p_by text, p_at timestamptz
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
    PERFORM consent.end_unguarded(v_row.ward_id);
    RETURN QUERY SELECT v_row.guardianship_id, v_row.ward_id, v_row.guardian_id, v_row.county, v_row.source;
END $$;

-- The death of a guardian or a ward ends the guardianship, in the transaction that records it; so do the consents that rested
-- on it. The guardian's own consents are his own, and those of a ward's guardian stay as they are.
CREATE FUNCTION consent.end_guardianships() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_all uuid[] := record.same_person(NEW.person_id);
    v_one record.guardianship;
    v_who uuid;
BEGIN
    FOR v_one IN UPDATE record.guardianship g
                 SET state = 'ENDED', ended_by = 'hub', ended_at = clock_timestamp(), cause = 'DEATH'
                 WHERE g.state IN ('PROPOSED', 'IN_FORCE') AND (g.ward_id = ANY (v_all) OR g.guardian_id = ANY (v_all))
                 RETURNING g.* LOOP
        INSERT INTO audit.pending (ev, kind, event, organisation, actor, decision, policy, county, subjects, facts)
        VALUES (uuidv7(), 'write', 'guardianship:hub:ended', 'hub', 'hub', 'allow', 'guardianship-1', v_one.county,
                ARRAY[v_one.ward_id, v_one.guardian_id],
                jsonb_build_object('guardianship', v_one.guardianship_id, 'cause', 'DEATH', 'persons', jsonb_build_object(
                    v_one.ward_id, '{}'::jsonb, v_one.guardian_id, '{}'::jsonb)));
    END LOOP;
    FOR v_who IN SELECT DISTINCT a.person_id FROM consent.agreement a
                 WHERE a.by_person = ANY (v_all) AND a.party = 'GUARDIAN' ORDER BY 1 LOOP
        PERFORM consent.end_unguarded(v_who);
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER person_was_guardian AFTER UPDATE OF status ON record.person
    FOR EACH ROW WHEN (NEW.status = 'DECEASED' AND OLD.status <> 'DECEASED') EXECUTE FUNCTION consent.end_guardianships();
