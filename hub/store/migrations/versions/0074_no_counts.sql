-- A no counts, whatever comes in beside it. A person's yes and no are decided one after the other: whoever decides takes the
-- lock of the person first, before capture, request and bases, so that neither misses what the other has not committed yet.

-- The locks of these persons, whatever id they are named by, in one order; they last until the transaction ends.
CREATE FUNCTION consent.lock_persons(p_persons uuid[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(k.key)
    FROM (SELECT DISTINCT hashtextextended(record.present_person(p.id)::text, 55) AS key
          FROM unnest(p_persons) AS p (id) WHERE p.id IS NOT NULL ORDER BY 1) k;
END $$;

-- As in 0068, after the lock of the person where a request is about to be decided.
CREATE OR REPLACE FUNCTION consent.requests_of(
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
        PERFORM consent.lock_persons(ARRAY[v_person.person_id]);
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

-- As in 0042, after the lock of the person.
CREATE OR REPLACE FUNCTION consent.change(
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
    PERFORM consent.lock_persons(ARRAY[v_person.person_id]);
    SELECT s.* INTO v_basis FROM consent.step(p_consent, p_verb, p_at, p_account, p_ev) s;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no consent in force' USING ERRCODE = 'HB107';
    END IF;
    RETURN QUERY SELECT v_basis.organisation_id, v_basis.purpose, v_person.person_id, v_person.county, v_person.party;
END $$;

-- As in 0063, after the lock of the person.
CREATE OR REPLACE FUNCTION consent.take_back(
    p_person uuid, p_organisation text, p_purpose text, p_at timestamptz, p_by text
) RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_basis consent.basis;
    v_ev    uuid;
    v_ended jsonb := '[]';
BEGIN
    PERFORM consent.lock_persons(ARRAY[p_person]);
    FOR v_basis IN SELECT b.* FROM consent.basis b
                   WHERE b.person_id = ANY (record.same_person(p_person)) AND b.kind = 'CONSENT'
                     AND b.status IN ('IN_FORCE', 'SUSPENDED')
                     AND b.organisation_id = coalesce(p_organisation, b.organisation_id)
                     AND b.purpose = coalesce(p_purpose, b.purpose)
                   ORDER BY b.basis_id LOOP
        v_ev := uuidv7();
        PERFORM consent.step(v_basis.basis_id, 'withdrawConsent', p_at, p_by, v_ev);
        v_ended := v_ended || jsonb_build_object(
            'ev', v_ev, 'consent', v_basis.basis_id, 'recipient', v_basis.organisation_id, 'purpose', v_basis.purpose,
            'person', v_basis.person_id, 'county', v_basis.county);
    END LOOP;
    -- A yes that still waits is not verified over the head of somebody who has said no meanwhile.
    UPDATE consent.capture c SET flags = c.flags || 'WITHDRAWN'::text
    WHERE c.person_id = ANY (record.same_person(p_person)) AND c.state = 'CAPTURED'
      AND c.organisation_id = coalesce(p_organisation, c.organisation_id)
      AND c.purpose = coalesce(p_purpose, c.purpose) AND NOT 'WITHDRAWN' = ANY (c.flags);
    RETURN v_ended;
END $$;

-- As in 0063, after the locks of all who take something back.
CREATE OR REPLACE FUNCTION consent.take_batch(
    p_account text, p_token text, p_device text, p_batch uuid, p_digest bytea, p_sealed bytea, p_own bytea[],
    p_slips jsonb, p_at timestamptz
) RETURNS SETOF consent.taken
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_device consent.device := consent.own_device(p_account, p_token, p_device);
    v_slip   jsonb;
    v_taken  consent.taken;
BEGIN
    INSERT INTO consent.capture_batch VALUES (v_device.county, p_batch, p_device, p_account, p_digest, p_sealed, p_at);
    PERFORM consent.lock_persons(ARRAY (
        SELECT p.person_id FROM jsonb_array_elements(p_slips) s CROSS JOIN LATERAL consent.person_numbered(s) p
        WHERE s ->> 'kind' = 'WITHDRAWAL'));
    -- All bases that withdrawals of this batch can end, in the order in which the gate takes them.
    PERFORM FROM consent.basis b
    WHERE b.kind = 'CONSENT' AND b.status IN ('IN_FORCE', 'SUSPENDED') AND b.person_id = ANY (ARRAY (
        SELECT unnest(record.same_person(p.person_id)) FROM jsonb_array_elements(p_slips) s
        CROSS JOIN LATERAL consent.person_numbered(s) p WHERE s ->> 'kind' = 'WITHDRAWAL'))
    ORDER BY b.basis_id FOR UPDATE;
    FOR v_slip IN SELECT s FROM jsonb_array_elements(p_slips) s
                  ORDER BY s ->> 'kind' <> 'WITHDRAWAL', (s ->> 'counter')::bigint, (s ->> 'place')::int LOOP
        IF v_slip ->> 'kind' = 'WITHDRAWAL' THEN
            v_taken := consent.take_withdrawal(v_device, p_batch, v_slip, p_at);
        ELSE
            v_taken := consent.take_capture(v_device, p_batch, v_slip, p_own, p_at);
        END IF;
        RETURN NEXT v_taken;
    END LOOP;
    UPDATE consent.device d
    SET last_counter = greatest(d.last_counter, (SELECT max((s ->> 'counter')::bigint) FROM jsonb_array_elements(p_slips) s)),
        last_time = greatest(d.last_time, (SELECT max((s ->> 'time')::timestamptz) FROM jsonb_array_elements(p_slips) s))
    WHERE d.device_id = p_device;
END $$;

-- As in 0066, after the lock of the person: everybody who reviews a capture takes it by this function.
CREATE OR REPLACE FUNCTION consent.reviewable(p_account text, p_token text, p_capture uuid, p_own bytea[], p_holders bytea[])
RETURNS consent.capture
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_account auth.account := consent.acting_as(p_account, p_token, '{STEWARD}');
    v_capture consent.capture;
BEGIN
    PERFORM consent.lock_persons(ARRAY (SELECT c.person_id FROM consent.capture c
                                        WHERE c.capture_id = p_capture AND c.county = ANY (v_account.county_codes)));
    SELECT c.* INTO v_capture FROM consent.capture c
    WHERE c.capture_id = p_capture AND c.kind = 'CONSENT' AND c.county = ANY (v_account.county_codes) FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such capture' USING ERRCODE = 'HB185';
    END IF;
    IF consent.is_concerned(v_capture, p_account, p_own, p_holders) THEN
        RAISE EXCEPTION 'the reviewer is concerned himself' USING ERRCODE = 'HB186';
    END IF;
    RETURN v_capture;
END $$;

-- As in 0068; a no to one version of a programme is one to all of them, and one that names none (before 0068) to every one.
CREATE OR REPLACE FUNCTION consent.has_said_no(p_person uuid, p_request consent.request, p_device text, p_counter bigint)
RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM consent.basis b
        WHERE b.person_id = ANY (record.same_person(p_person)) AND b.kind = 'CONSENT' AND b.status = 'WITHDRAWN'
          AND b.organisation_id = p_request.organisation_id AND b.purpose = p_request.purpose
          AND (b.reference IS NULL OR split_part(b.reference, '@', 1) = p_request.programme_id)
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
          AND (q.programme_id IS NULL OR q.programme_id = p_request.programme_id)
          AND q.state = 'REFUSED' AND q.decided_at >= p_request.asked_at
    )
$$;

-- As in 0068; another adult's no to one version of a programme stops the household's parts for all its versions.
CREATE OR REPLACE FUNCTION access.without_stopped(p_asked access.asked, p_basis access.held_basis, p_now timestamptz)
RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    v_own text[] := ARRAY (SELECT b.part FROM unnest(p_basis.parts) WITH ORDINALITY AS b (part, rank)
                           WHERE NOT access.is_household_part(b.part) ORDER BY b.rank);
BEGIN
    IF p_basis.kind <> 'CONSENT' OR cardinality(v_own) = cardinality(p_basis.parts) OR NOT EXISTS (
        SELECT FROM (
            SELECT m.person_id, b.status, split_part(b.reference, '@', 1) IS NOT DISTINCT FROM
                                        split_part(p_basis.reference, '@', 1) AS is_same
            FROM record.person m
            JOIN consent.basis b ON b.person_id = ANY (record.same_person(m.person_id)) AND b.organisation_id = p_asked.organisation_id
                                AND b.purpose = p_asked.purpose AND b.kind = 'CONSENT' AND b.given_by = 'SELF'
                                AND (b.reference IS NULL
                                     OR split_part(b.reference, '@', 1) = split_part(p_basis.reference, '@', 1))
                                AND b.status IN ('IN_FORCE', 'SUSPENDED', 'WITHDRAWN')
                                AND (b.expires_at > p_now OR b.ended_at >= p_basis.effective_from)
            WHERE m.county = p_asked.county AND m.household_id = p_asked.household_id AND m.status = 'ACTIVE'
              AND m.person_id <> p_asked.person_id
            FOR SHARE OF b) k
        GROUP BY k.person_id HAVING bool_or(k.status <> 'IN_FORCE')
                             AND NOT bool_or(k.status = 'IN_FORCE' AND k.is_same)) THEN
        RETURN p_basis.parts;
    END IF;
    RETURN v_own;
END $$;

-- As in 0071; a call for destruction counts thirty days, and while the account of whoever made it is open.
CREATE OR REPLACE FUNCTION consent.destroy_evidence(p_account text, p_token text, p_evidence uuid, p_at timestamptz, p_ev uuid,
                                         p_own bytea[], p_holders bytea[])
RETURNS TABLE (capture_id uuid, person_id uuid, county char(6), sha256 bytea, consent_id uuid, organisation_id text,
               purpose text, is_done boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_account auth.account := consent.acting_as(p_account, p_token, '{STEWARD}');
    v_item    consent.evidence;
    v_capture consent.capture;
    v_basis   consent.basis;
BEGIN
    SELECT e.* INTO v_item FROM consent.evidence e
    WHERE e.evidence_id = p_evidence AND e.county = ANY (v_account.county_codes)
      AND EXISTS (SELECT FROM consent.evidence_piece p WHERE p.county = e.county AND p.evidence_id = e.evidence_id);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such evidence' USING ERRCODE = 'HB191';
    END IF;
    SELECT c.* INTO v_capture FROM consent.capture c
    WHERE c.county = v_item.county AND c.capture_id = v_item.capture_id FOR UPDATE;
    IF consent.is_concerned(v_capture, p_account, p_own, p_holders) THEN
        RAISE EXCEPTION 'the steward is concerned himself' USING ERRCODE = 'HB186';
    END IF;
    IF v_capture.state = 'CAPTURED' THEN
        RAISE EXCEPTION 'it waits for a reviewer' USING ERRCODE = 'HB187';
    END IF;
    IF NOT EXISTS (SELECT FROM consent.condemned c WHERE c.county = v_item.county AND c.evidence_id = p_evidence
                   AND NOT auth.same_person(c.condemned_by, p_account) AND c.condemned_at > p_at - interval '30 days'
                   AND EXISTS (SELECT FROM auth.account a WHERE a.account_id = c.condemned_by AND a.status = 'ACTIVE')) THEN
        INSERT INTO consent.condemned (county, evidence_id, condemned_by, condemned_at)
        VALUES (v_item.county, p_evidence, p_account, p_at)
        ON CONFLICT ON CONSTRAINT condemned_pkey DO UPDATE SET condemned_by = p_account, condemned_at = p_at;
        RETURN QUERY SELECT v_capture.capture_id, v_capture.person_id, v_capture.county, v_item.sha256, NULL::uuid,
                            v_capture.organisation_id, v_capture.purpose, false;
        RETURN;
    END IF;
    DELETE FROM consent.evidence_piece p WHERE p.county = v_item.county AND p.evidence_id = p_evidence;
    SELECT s.* INTO v_basis
    FROM consent.step(v_capture.consent_id, 'revokeConsent', p_at, p_account, p_ev, 'EVIDENCE_INVALID') s;
    RETURN QUERY SELECT v_capture.capture_id, v_capture.person_id, v_capture.county, v_item.sha256, v_basis.basis_id,
                        v_capture.organisation_id, v_capture.purpose, true;
END $$;

REVOKE ALL ON FUNCTION consent.lock_persons FROM PUBLIC;
