-- A consent for a benefit programme names the programme and its version: another condition is another way of handling
-- the data and needs another consent (个人信息保护法 art. 14(2)). Request, notice, signed terms and basis carry it, and a
-- question is answered on the consent for that very version only. Consents that were given before name none and answer
-- nothing more.

ALTER TABLE consent.request
    ADD COLUMN programme_id text,
    ADD COLUMN programme_version int,
    ADD COLUMN programme text,
    ADD FOREIGN KEY (programme_id, programme_version) REFERENCES benefit.programme (programme_id, version),
    ADD CHECK (num_nulls(programme_id, programme_version) IN (0, 2)),
    ADD CHECK (programme IS NOT DISTINCT FROM programme_id || '@' || programme_version);

-- One of a kind in force for each purpose, and for each version of a programme. `reference` of such a basis is the version.
DROP INDEX consent.basis_in_force;
CREATE UNIQUE INDEX basis_in_force ON consent.basis (
    organisation_id, person_id, purpose, kind, coalesce(holder, ''),
    (CASE WHEN purpose = 'BENEFIT_ELIGIBILITY' THEN coalesce(reference, '') ELSE '' END)) WHERE status = 'IN_FORCE';

-- The programme of a request as its notice and the signed terms name it; null where there is none.
CREATE FUNCTION consent.programme_of(p_request consent.request) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_build_object('id', g.programme_id, 'version', g.version, 'nameZh', g.terms::jsonb ->> 'nameZh',
                              'nameEn', g.terms::jsonb ->> 'nameEn', 'document', g.terms::jsonb ->> 'reference')
    FROM benefit.programme g
    WHERE g.programme_id = p_request.programme_id AND g.version = p_request.programme_version
$$;

-- The consents that a yes to a request takes the place of.
CREATE FUNCTION consent.replaced_by(p_request consent.request, p_person uuid) RETURNS SETOF consent.basis
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT b.* FROM consent.basis b
    WHERE b.organisation_id = p_request.organisation_id AND b.person_id = ANY (record.same_person(p_person))
      AND b.purpose = p_request.purpose AND b.reference IS NOT DISTINCT FROM p_request.programme AND b.kind = 'CONSENT'
      AND b.status IN ('IN_FORCE', 'SUSPENDED')
$$;

-- As in 0044; a provider asks for one programme of its own, by its id (the version that is in force) or with the version,
-- and for what that one reads. HB196: no such programme; HB197: a provider named none.
DROP FUNCTION consent.ask(uuid, text, text, text, text, text[], text, int, int, bytea[], bytea[], timestamptz, timestamptz, uuid);
CREATE FUNCTION consent.ask(
    p_request uuid, p_client text, p_token text, p_actor text, p_purpose text, p_parts text[], p_application text,
    p_valid_days int, p_max_uses int, p_identity bytea[], p_name bytea[], p_at timestamptz, p_answer_by timestamptz,
    p_ev uuid, p_programme text DEFAULT NULL
) RETURNS TABLE (organisation_id text, role text, found_id uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_client    access.client;
    v_programme benefit.programme;
BEGIN
    SELECT c.* INTO v_client FROM access.client c WHERE c.client_id = p_client AND c.status = 'ACTIVE';
    IF NOT FOUND OR EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = p_token) THEN
        RAISE EXCEPTION 'client may not ask' USING ERRCODE = 'HB101';
    END IF;
    IF NOT p_purpose = ANY (v_client.purposes) THEN
        RAISE EXCEPTION 'purpose not registered' USING ERRCODE = 'HB102';
    END IF;
    SELECT g.* INTO v_programme FROM benefit.programme g
    WHERE p_programme IN (g.programme_id, g.programme_id || '@' || g.version) AND p_purpose = 'BENEFIT_ELIGIBILITY'
      AND g.organisation_id = v_client.organisation_id AND g.approved_at IS NOT NULL AND g.retired_at IS NULL
      AND g.begins_on <= (p_at AT TIME ZONE 'Asia/Shanghai')::date AND (p_at AT TIME ZONE 'Asia/Shanghai')::date < g.ends_on;
    IF NOT FOUND AND p_programme IS NOT NULL THEN
        RAISE EXCEPTION 'no such programme of the organisation may be asked' USING ERRCODE = 'HB196';
    END IF;
    IF NOT FOUND AND v_client.role = 'PROVIDER' THEN
        RAISE EXCEPTION 'a provider asks for a programme' USING ERRCODE = 'HB197';
    END IF;
    IF EXISTS (
        SELECT FROM unnest(p_parts) AS wanted (part) WHERE NOT EXISTS (
            SELECT FROM access.decision d JOIN access.policy_set s ON s.digest = d.digest AND s.retired_at IS NULL
            WHERE d.role = v_client.role AND d.purpose = p_purpose AND d.part = wanted.part
              AND d.closed IS NULL AND d.needs_basis)
        AND (wanted.part = ANY (v_programme.reads)) IS NOT TRUE
    ) THEN
        RAISE EXCEPTION 'part not open to this role and purpose' USING ERRCODE = 'HB103';
    END IF;
    INSERT INTO consent.request (request_id, organisation_id, client_id, actor, role, purpose, parts, application_ref,
                                 valid_days, max_uses, identity_indexes, name_indexes, asked_at, expires_at,
                                 programme_id, programme_version, programme)
    VALUES (p_request, v_client.organisation_id, p_client, p_actor, v_client.role, p_purpose, p_parts, p_application,
            p_valid_days, p_max_uses, p_identity, p_name, p_at, p_answer_by, v_programme.programme_id,
            v_programme.version, v_programme.programme_id || '@' || v_programme.version);
    INSERT INTO consent.event (request_id, verb, at, by_whom, ev)
    VALUES (p_request, 'requestConsent', p_at, p_client, p_ev);
    RETURN QUERY SELECT v_client.organisation_id, v_client.role,
                        (SELECT d.person_id FROM record.directory d WHERE d.blind_index = ANY (p_identity) LIMIT 1);
END $$;

-- As in 0043, with the programme.
DROP FUNCTION consent.requests_shown(text, text, uuid[]);
CREATE FUNCTION consent.requests_shown(p_account text, p_token text, p_requests uuid[])
RETURNS TABLE (request_id uuid, organisation_id text, name_zh text, name_en text, role text, purpose text,
               parts text[], application_ref text, valid_days int, max_uses int, asked_at timestamptz,
               expires_at timestamptz, state text, programme jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT r.request_id, r.organisation_id, o.name_zh, o.name_en, r.role, r.purpose, r.parts, r.application_ref,
           r.valid_days, r.max_uses, r.asked_at, r.expires_at, r.state,
           consent.programme_of(r)
    FROM consent.request r JOIN access.organisation o ON o.organisation_id = r.organisation_id
    WHERE r.request_id = ANY (p_requests)
      AND (consent.acting_as(p_account, p_token, '{COLLECTOR,STEWARD}')).account_id IS NOT NULL
$$;

-- As in 0042, with the programme.
DROP FUNCTION consent.requests_of(text, text, timestamptz, uuid, uuid);
CREATE FUNCTION consent.requests_of(
    p_account text, p_token text, p_at timestamptz, p_request uuid DEFAULT NULL, p_ward uuid DEFAULT NULL
) RETURNS TABLE (request_id uuid, organisation_id text, name_zh text, name_en text, role text, purpose text,
               parts text[], application_ref text, valid_days int, max_uses int, asked_at timestamptz,
               expires_at timestamptz, state text, person_id uuid, county char(6), supersedes uuid, party text,
               by_person uuid, guardianship_id uuid, ground text, of_fourteen timestamptz, of_age timestamptz, agreed jsonb,
               programme jsonb)
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
           (SELECT b.basis_id FROM consent.replaced_by(r, v_person.person_id) b
            ORDER BY b.effective_from DESC, b.basis_id LIMIT 1),
           v_person.party, v_person.by_person, v_person.guardianship_id, v_person.ground,
           record.of_age(v_person.birth_date, 14), record.of_age(v_person.birth_date, 18), k.agreed,
           consent.programme_of(r)
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

-- As in 0025; the signed terms name the programme of the request, or none, and the basis carries it.
CREATE OR REPLACE FUNCTION consent.put_in_force(
    p_request consent.request, p_person uuid, p_county char(6), p_terms bytea, p_signature bytea, p_protected text,
    p_by_himself boolean, p_at timestamptz, p_by text, p_ev uuid
) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    v_terms   jsonb := convert_from(p_terms, 'UTF8')::jsonb;
    v_consent uuid := v_terms ->> 'consentId';
    v_parts   text[] := ARRAY (SELECT jsonb_array_elements_text(v_terms -> 'parts'));
    v_expires timestamptz := v_terms ->> 'expiresAt';
    v_from    timestamptz := v_terms ->> 'effectiveFrom';
    v_uses    int := v_terms ->> 'maxUses';
    v_level   smallint := consent.evidence_of(v_terms, p_by_himself);
    v_old     uuid;
BEGIN
    IF v_terms ->> 'requestId' IS DISTINCT FROM p_request.request_id::text
       OR v_terms ->> 'subject' IS DISTINCT FROM p_person::text
       OR v_terms ->> 'recipient' IS DISTINCT FROM p_request.organisation_id
       OR v_terms ->> 'purpose' IS DISTINCT FROM p_request.purpose
       OR v_terms -> 'programme' IS DISTINCT FROM consent.programme_of(p_request)
       OR cardinality(v_parts) = 0 OR NOT v_parts <@ p_request.parts
       OR v_from < p_at - interval '1 minute'
       OR v_expires > p_at + make_interval(days => p_request.valid_days)
       OR v_uses IS NULL OR v_uses > p_request.max_uses
       OR v_terms ->> 'evidenceLevel' IS DISTINCT FROM 'L' || v_level THEN
        RAISE EXCEPTION 'terms differ from the request' USING ERRCODE = 'HB106';
    END IF;
    IF NOT EXISTS (SELECT FROM consent.purpose p WHERE p.purpose = p_request.purpose AND p.retired_at IS NULL
                   AND p.min_evidence <= v_level) THEN
        RAISE EXCEPTION 'the evidence is too weak for the purpose' USING ERRCODE = 'HB109';
    END IF;
    INSERT INTO consent.record (consent_id, county, person_id, request_id, terms, digest, signature, protected, recorded_at)
    VALUES (v_consent, p_county, p_person, p_request.request_id, p_terms, sha256(p_terms), p_signature, p_protected, p_at);
    FOR v_old IN SELECT b.basis_id FROM consent.basis b
                 WHERE b.basis_id IN (SELECT o.basis_id FROM consent.replaced_by(p_request, p_person) o)
                 ORDER BY b.basis_id FOR UPDATE LOOP
        PERFORM consent.step(v_old, 'supersedeConsent', p_at, p_by, p_ev);
    END LOOP;
    INSERT INTO consent.basis (basis_id, kind, consent_id, county, organisation_id, person_id, purpose, parts,
                               heightened, effective_from, expires_at, max_uses, evidence_level, reference)
    VALUES (v_consent, 'CONSENT', v_consent, p_county, p_request.organisation_id, p_person, p_request.purpose, v_parts,
            (v_terms ->> 'heightenedNotice')::boolean, v_from, v_expires, v_uses, v_level,
            p_request.programme);
    INSERT INTO consent.quota (basis_id, max_uses) VALUES (v_consent, v_uses);
    UPDATE consent.request r SET state = 'GIVEN', decided_at = p_at WHERE r.request_id = p_request.request_id;
    PERFORM consent.note(p_request.request_id, v_consent, 'grantConsent', 'IN_FORCE', p_at, p_by, p_ev, NULL);
    RETURN v_consent;
END $$;

-- As in 0063; who said no to one programme has not said no to another. A withdrawal on paper names none: it is one of all.
CREATE OR REPLACE FUNCTION consent.has_said_no(p_person uuid, p_request consent.request, p_device text, p_counter bigint)
RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM consent.basis b
        WHERE b.person_id = ANY (record.same_person(p_person)) AND b.kind = 'CONSENT' AND b.status = 'WITHDRAWN'
          AND b.organisation_id = p_request.organisation_id AND b.purpose = p_request.purpose
          AND b.reference IS NOT DISTINCT FROM p_request.programme
          AND b.ended_at >= p_request.asked_at
          AND NOT EXISTS (SELECT FROM consent.capture w
                          WHERE w.kind = 'WITHDRAWAL' AND coalesce(w.settled_for, w.person_id) = ANY (record.same_person(p_person))
                            AND w.received_at = b.ended_at
                            AND w.device_id = p_device AND w.counter < p_counter)
    ) OR EXISTS (
        SELECT FROM consent.capture w
        WHERE w.kind = 'WITHDRAWAL' AND coalesce(w.settled_for, w.person_id) = ANY (record.same_person(p_person))
          AND coalesce(w.organisation_id, p_request.organisation_id) = p_request.organisation_id
          AND coalesce(w.purpose, p_request.purpose) = p_request.purpose
          AND CASE WHEN w.device_id = p_device THEN w.counter > p_counter ELSE w.received_at >= p_request.asked_at END
    ) OR EXISTS (
        SELECT FROM consent.request q
        WHERE q.identity_indexes && ARRAY (SELECT d.blind_index FROM record.directory d
                                           WHERE d.person_id = ANY (record.same_person(p_person)))
          AND q.organisation_id = p_request.organisation_id AND q.purpose = p_request.purpose
          AND q.programme IS NOT DISTINCT FROM p_request.programme
          AND q.state = 'REFUSED' AND q.decided_at >= p_request.asked_at
    )
$$;

-- As in 0043.
CREATE OR REPLACE FUNCTION consent.open_capture(p_account text, p_token text, p_capture uuid, p_own bytea[], p_holders bytea[])
RETURNS TABLE (capture_id uuid, county char(6), batch_id uuid, sealed bytea, place int, device_id text, jwk jsonb,
               collector text, counter bigint, slip_hash bytea, device_time timestamptz, received_at timestamptz,
               flags text[], blocked text[], state text, call_back boolean, cause text, consent_id uuid, person_id uuid,
               person_county char(6), request_id uuid, captured jsonb, level smallint, min_level smallint, evidence jsonb,
               supersedes uuid)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_capture consent.capture := consent.reviewable(p_account, p_token, p_capture, p_own, p_holders);
BEGIN
    RETURN QUERY
    SELECT v_capture.capture_id, v_capture.county, v_capture.batch_id, b.sealed, v_capture.place, v_capture.device_id,
           d.jwk, v_capture.collector, v_capture.counter, v_capture.slip_hash, v_capture.device_time,
           v_capture.received_at, v_capture.flags,
           ARRAY (SELECT unnest(v_capture.flags) INTERSECT SELECT unnest(consent.blocking_flags())),
           v_capture.state, v_capture.draw < v_capture.draw_below, v_capture.cause, v_capture.consent_id,
           p.person_id, p.county, v_capture.request_id, k.terms, consent.evidence_of(k.terms, false),
           (SELECT u.min_evidence FROM consent.purpose u WHERE u.purpose = v_capture.purpose AND u.retired_at IS NULL),
           coalesce((SELECT jsonb_agg(jsonb_build_object(
                         'id', e.evidence_id, 'kind', e.kind, 'mediaType', e.media_type,
                         'sha256', encode(e.sha256, 'hex'), 'isUploaded', e.uploaded_at IS NOT NULL) ORDER BY e.sha256)
                     FROM consent.evidence e
                     WHERE e.county = v_capture.county AND e.capture_id = v_capture.capture_id), '[]'),
           (SELECT o.basis_id FROM consent.request r, consent.replaced_by(r, p.person_id) o
            WHERE r.request_id = v_capture.request_id ORDER BY o.effective_from DESC LIMIT 1)
    FROM consent.capture_batch b
    JOIN consent.device d ON d.device_id = v_capture.device_id
    CROSS JOIN LATERAL (SELECT consent.captured_terms(v_capture) AS terms) k
    LEFT JOIN record.person p ON p.person_id = record.present_person(v_capture.person_id)
    WHERE b.county = v_capture.county AND b.batch_id = v_capture.batch_id;
END $$;
