-- A slip that nobody could ever verify leaves its request open to its person, and a request whose yes is in does not run out
-- because the reviewers take their time. That a signed answer was asked for, and for which key, stands in the log.

-- Until when a request waits: for the person's answer, or for the review of the yes that came in.
CREATE FUNCTION consent.open_until(p_request consent.request) RETURNS timestamptz
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_request.state WHEN 'CAPTURED' THEN greatest(p_request.expires_at, p_request.decided_at + interval '30 days')
                                ELSE p_request.expires_at END
$$;

-- As in 0065.
CREATE OR REPLACE FUNCTION consent.take_capture(
    p_device consent.device, p_batch uuid, p_slip jsonb, p_own bytea[], p_at timestamptz
) RETURNS consent.taken
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_person  record.person;
    v_request consent.request;
    v_capture consent.capture;
    v_taken   consent.taken;
BEGIN
    SELECT * INTO v_person FROM consent.person_named(p_slip);
    SELECT r.* INTO v_request FROM consent.request r WHERE r.request_id = (p_slip ->> 'requestId')::uuid FOR UPDATE;
    v_taken := ROW((p_slip ->> 'place')::int, (p_slip ->> 'id')::uuid, 'CONSENT',
                   ARRAY (SELECT jsonb_array_elements_text(p_slip -> 'flags'))
                       || consent.doubts_of(p_device, p_slip, v_person, v_request, p_own, p_at),
                   v_person.person_id, v_person.county, v_request.organisation_id, v_request.purpose,
                   (p_slip ->> 'draw')::smallint, (p_slip ->> 'drawBelow')::smallint, '[]');
    INSERT INTO consent.capture (county, capture_id, batch_id, place, device_id, collector, counter, slip_hash, kind,
                                 device_time, received_at, person_id, request_id, organisation_id, purpose, method, form_no,
                                 parts, heightened, read_aloud, has_own_witness, flags, draw, draw_below, state)
    VALUES (p_device.county, v_taken.capture_id, p_batch, v_taken.place, p_device.device_id, p_device.account_id,
            (p_slip ->> 'counter')::bigint, decode(p_slip ->> 'hash', 'hex'), 'CONSENT',
            (p_slip ->> 'time')::timestamptz, p_at, v_person.person_id, (p_slip ->> 'requestId')::uuid,
            v_taken.organisation_id, v_taken.purpose, p_slip ->> 'method', p_slip ->> 'formNo',
            ARRAY (SELECT jsonb_array_elements_text(p_slip -> 'parts')), (p_slip ->> 'heightenedNotice')::boolean,
            (p_slip ->> 'readAloud')::boolean, (p_slip ->> 'collectorWitness')::boolean, v_taken.flags,
            v_taken.draw, v_taken.draw_below, 'CAPTURED')
    RETURNING * INTO v_capture;
    INSERT INTO consent.evidence (county, evidence_id, capture_id, kind, media_type, sha256)
    SELECT p_device.county, uuidv7(), v_taken.capture_id, e ->> 'kind', e ->> 'mediaType', decode(e ->> 'sha256', 'hex')
    FROM jsonb_array_elements(p_slip -> 'evidence') e;
    v_taken.flags := v_taken.flags || consent.take_witnesses(
        p_device.county, v_taken.capture_id, v_person.person_id, p_slip, p_own, p_at);
    IF EXISTS (SELECT FROM consent.purpose p
               WHERE p.purpose = v_request.purpose AND p.retired_at IS NULL
                 AND p.min_evidence > consent.evidence_of(consent.captured_terms(v_capture), false)) THEN
        v_taken.flags := v_taken.flags || 'EVIDENCE_TOO_LOW'::text;
    END IF;
    v_taken.flags := v_taken.flags || consent.flag_reused(v_capture);
    UPDATE consent.capture c SET flags = v_taken.flags
    WHERE c.county = p_device.county AND c.capture_id = v_taken.capture_id;
    IF v_request.state = 'REQUESTED' AND v_request.expires_at > p_at
       AND NOT v_taken.flags && (consent.blocking_flags() || 'EVIDENCE_TOO_LOW'::text) THEN
        UPDATE consent.request r SET state = 'CAPTURED', decided_at = p_at WHERE r.request_id = v_request.request_id;
        PERFORM consent.note(v_request.request_id, NULL, 'captureConsent', 'CAPTURED', p_at, p_device.account_id,
                             (p_slip ->> 'ev')::uuid, NULL);
    END IF;
    RETURN v_taken;
END $$;

-- As in 0058; a slip that proves too little says so first, since it left its request open.
CREATE OR REPLACE FUNCTION consent.verify_capture(
    p_account text, p_token text, p_capture uuid, p_own bytea[], p_holders bytea[], p_terms bytea, p_signature bytea,
    p_protected text, p_called_back boolean, p_at timestamptz, p_ev uuid
) RETURNS smallint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_capture consent.capture := consent.reviewable(p_account, p_token, p_capture, p_own, p_holders);
    v_terms   jsonb := convert_from(p_terms, 'UTF8')::jsonb;
    v_request consent.request;
    v_person  record.person;
BEGIN
    SELECT p.* INTO v_person FROM record.person p WHERE p.person_id = record.present_person(v_capture.person_id);
    SELECT r.* INTO v_request FROM consent.request r WHERE r.request_id = v_capture.request_id FOR UPDATE;
    IF v_capture.state = 'CAPTURED' AND 'EVIDENCE_TOO_LOW' = ANY (v_capture.flags) THEN
        RAISE EXCEPTION 'the evidence is too weak for the purpose' USING ERRCODE = 'HB109';
    END IF;
    IF v_capture.state <> 'CAPTURED' OR v_capture.flags && consent.blocking_flags()
       OR (v_request.state = 'CAPTURED' AND consent.open_until(v_request) > p_at) IS NOT TRUE
       OR consent.is_adult(v_person, p_at) IS NOT TRUE
       OR consent.has_said_no(v_person.person_id, v_request, v_capture.device_id, v_capture.counter) THEN
        RAISE EXCEPTION 'the capture cannot be verified' USING ERRCODE = 'HB187';
    END IF;
    IF v_capture.draw < v_capture.draw_below AND p_called_back IS NOT TRUE THEN
        RAISE EXCEPTION 'the person is called back first' USING ERRCODE = 'HB188';
    END IF;
    IF EXISTS (SELECT FROM consent.evidence e WHERE e.county = v_capture.county AND e.capture_id = p_capture
               AND e.uploaded_at IS NULL) THEN
        RAISE EXCEPTION 'evidence is missing' USING ERRCODE = 'HB189';
    END IF;
    IF NOT v_terms @> consent.captured_terms(v_capture)
       OR jsonb_array_length(v_terms -> 'witnessedBy')
          <> jsonb_array_length(consent.captured_terms(v_capture) -> 'witnessedBy')
       OR jsonb_array_length(v_terms -> 'evidenceItems')
          <> jsonb_array_length(consent.captured_terms(v_capture) -> 'evidenceItems')
       OR v_terms ->> 'verifiedBy' IS DISTINCT FROM p_account
       OR NOT ARRAY (SELECT jsonb_array_elements_text(v_terms -> 'parts')) <@ v_capture.parts
       OR (v_terms ->> 'heightenedNotice')::boolean AND NOT v_capture.heightened THEN
        RAISE EXCEPTION 'terms differ from what was captured' USING ERRCODE = 'HB106';
    END IF;
    PERFORM consent.put_in_force(v_request, v_person.person_id, v_person.county, p_terms, p_signature, p_protected, false,
                                 p_at, p_account, p_ev);
    UPDATE consent.capture c
    SET state = 'VERIFIED', decided_by = p_account, decided_at = p_at, is_called_back = p_called_back,
        consent_id = (v_terms ->> 'consentId')::uuid
    WHERE c.county = v_capture.county AND c.capture_id = p_capture;
    RETURN consent.evidence_of(v_terms, false);
END $$;

-- As in 0025.
CREATE OR REPLACE FUNCTION consent.expire_due(p_at timestamptz, p_limit int)
RETURNS TABLE (ev uuid, consent_id uuid, organisation_id text, purpose text, person_id uuid, county char(6))
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_one record;
    v_ev  uuid;
BEGIN
    FOR v_one IN SELECT b.* FROM consent.basis b
                 WHERE b.status IN ('IN_FORCE', 'SUSPENDED') AND b.expires_at <= p_at AND b.kind = 'CONSENT'
                 ORDER BY b.basis_id LIMIT p_limit FOR UPDATE SKIP LOCKED LOOP
        v_ev := uuidv7();
        PERFORM consent.step(v_one.basis_id, 'expireConsent', p_at, 'hub', v_ev);
        RETURN QUERY SELECT v_ev, v_one.basis_id, v_one.organisation_id, v_one.purpose, v_one.person_id, v_one.county;
    END LOOP;
    FOR v_one IN SELECT r.* FROM consent.request r WHERE r.state IN ('REQUESTED', 'CAPTURED') AND r.expires_at <= p_at
                   AND consent.open_until(r) <= p_at
                 ORDER BY r.request_id LIMIT p_limit FOR UPDATE SKIP LOCKED LOOP
        v_ev := uuidv7();
        UPDATE consent.request r SET state = 'INVALIDATED', decided_at = p_at WHERE r.request_id = v_one.request_id;
        PERFORM consent.note(v_one.request_id, NULL, 'invalidateConsent', 'INVALIDATED', p_at, 'hub', v_ev, 'TIMEOUT');
        RETURN QUERY SELECT v_ev, v_one.request_id, v_one.organisation_id, v_one.purpose, d.person_id, d.county
                     FROM (SELECT) AS nothing LEFT JOIN LATERAL (
                         SELECT d.person_id, d.county FROM record.directory d
                         WHERE d.blind_index = ANY (v_one.identity_indexes) LIMIT 1) d ON true;
    END LOOP;
END $$;

-- As in 0044. `p_signed`: set where the answer was asked for as a signed text, BEARER or the thumbprint of the key that it is
-- bound to; noted where there is a yes, since nothing else is signed.
DROP FUNCTION benefit.record_of(access.asked, access.ruling, text, benefit.assessment, boolean, bytea, timestamptz);
CREATE FUNCTION benefit.record_of(
    p_asked access.asked, p_ruling access.ruling, p_programme text, p_told benefit.assessment, p_repeated boolean,
    p_signed text, p_digest bytea, p_now timestamptz
) RETURNS audit.pending
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_answer access.answer;
    v_record audit.pending;
    v_facts  jsonb;
BEGIN
    v_answer.ordinal := 1;
    v_answer.refusal := p_asked.refusal;
    v_answer.as_of := p_now;
    v_answer.organisation_id := p_asked.organisation_id;
    v_answer.person_id := p_ruling.person_id;
    v_answer.basis_id := p_ruling.basis_id;
    v_answer.other_adults := '{}';
    v_answer.withheld := p_ruling.withheld;
    v_answer.absent := '{}';
    v_record := access.record_of(p_asked, v_answer, p_ruling.cause, CASE WHEN p_told.answer IS NOT NULL THEN
        access.person_facts(p_asked.person_id, true, p_asked.household_id, p_ruling.basis_id, NULL, NULL) END, p_digest);
    v_facts := v_record.facts || jsonb_build_object('programme', p_programme)
               || jsonb_strip_nulls(jsonb_build_object('version', p_told.version, 'period', p_told.period));
    IF p_told.answer IS NOT NULL THEN
        v_facts := jsonb_set(v_facts, ARRAY['persons', p_asked.person_id::text],
            (v_facts #> ARRAY['persons', p_asked.person_id::text]) || jsonb_strip_nulls(jsonb_build_object(
                'answer', p_told.answer, 'decision', p_told.decision_id, 'repeated', p_repeated,
                'signed', CASE WHEN p_told.answer = 'YES' THEN p_signed END)));
    END IF;
    v_record.event := 'eligibility:client:asked';
    v_record.facts := v_facts;
    RETURN v_record;
END $$;

-- As in 0068.
CREATE OR REPLACE FUNCTION benefit.assess(p_request jsonb) RETURNS benefit.assessment
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    c_part      CONSTANT text := 'eligibility/YES_NO';
    v_today     date := (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date;
    v_now       timestamptz;
    v_wire      jsonb;
    v_digest    bytea;
    v_asked     access.asked;
    v_held      access.held_basis[];
    v_over      int[];
    v_programme benefit.programme;
    v_ruling    access.ruling;
    v_decision  benefit.decision;
    v_told      benefit.assessment;
    v_repeated  boolean := false;
BEGIN
    IF jsonb_typeof(p_request) IS DISTINCT FROM 'object' OR jsonb_typeof(p_request -> 'programme') IS DISTINCT FROM 'string' THEN
        RAISE EXCEPTION 'an incomplete request' USING ERRCODE = 'HB111';
    END IF;
    SELECT s.digest INTO v_digest FROM access.policy_set s WHERE s.retired_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no access rules are in force' USING ERRCODE = 'HB110';
    END IF;
    v_wire := jsonb_build_array(p_request || jsonb_build_object(
        'purpose', 'BENEFIT_ELIGIBILITY', 'parts', jsonb_build_array(c_part), 'others', false));
    v_asked := (access.resolve(v_wire, v_today, access.use_proofs(v_wire)))[1];
    SELECT g.* INTO v_programme FROM benefit.programme g
    WHERE g.programme_id = p_request ->> 'programme' AND g.organisation_id = v_asked.organisation_id
      AND g.approved_at IS NOT NULL AND g.retired_at IS NULL AND g.begins_on <= v_today AND v_today < g.ends_on;
    IF NOT FOUND AND v_asked.refusal IS NULL THEN
        v_asked.refusal := 'PROGRAMME_UNKNOWN';
        v_asked.barred := 'PROGRAMME_UNKNOWN';
    END IF;
    v_held := ARRAY (SELECT h FROM unnest(access.lock_bases(ARRAY[v_asked])) AS h
                     WHERE h.basis_id = coalesce((p_request ->> 'grant_id')::uuid, h.basis_id) ORDER BY h.basis_id);
    v_over := access.count_subjects(ARRAY[v_asked], v_today);
    v_now := clock_timestamp();
    v_ruling := access.rule_named(
        v_asked, benefit.covering(v_asked, v_held, v_programme, v_now), v_over, v_digest, v_now,
        CASE WHEN v_asked.retry_key IS NOT NULL THEN sha256(v_asked.operation || v_asked.subject_key || convert_to(
            'BENEFIT_ELIGIBILITY ' || (p_request ->> 'programme'), 'UTF8')) END);
    v_told.refusal := v_asked.refusal;
    v_told.organisation_id := v_asked.organisation_id;
    v_told.version := v_programme.version;
    v_told.period := benefit.period_of(v_programme.period, v_today);
    IF c_part = ANY (v_ruling.granted) THEN
        PERFORM pg_advisory_xact_lock(hashtextextended(v_asked.person_id || ' ' || v_asked.organisation_id, 54));
        SELECT d.* INTO v_decision FROM benefit.decision d
        WHERE d.person_id = ANY (record.same_person(v_asked.person_id)) AND d.programme_id = v_programme.programme_id
          AND d.version = v_programme.version AND d.period = v_told.period
        ORDER BY d.decided_at LIMIT 1;
        v_repeated := FOUND;
        IF NOT v_repeated AND benefit.is_probing(v_asked.person_id, v_programme, v_now) THEN
            v_ruling.granted := '{}';
            v_ruling.withheld := ARRAY[c_part || '=QUOTA'];
            v_ruling.cause := 'PROBING';
        ELSE
            IF NOT v_repeated THEN
                v_decision := benefit.decide(v_asked, v_programme, v_told.period, v_now);
            END IF;
            v_told.person_id := v_asked.person_id;
            v_told.answer := CASE WHEN v_decision.decision_id IS NULL THEN 'CANNOT_SAY'
                                  WHEN v_decision.overturned THEN 'YES' ELSE v_decision.answer END;
            v_told.decision_id := v_decision.decision_id;
            v_told.decided_at := v_decision.decided_at;
            v_told.valid_until := CASE WHEN v_decision.decision_id IS NOT NULL THEN
                least(benefit.period_end(v_programme.period, v_today), v_programme.ends_on) END;
        END IF;
    END IF;
    v_told.withheld := v_ruling.withheld;
    -- Nothing is returned without the record; this commit leaves the disk to the sequencer, as that of access.disclose.
    PERFORM access.record_all(ARRAY[benefit.record_of(
                v_asked, v_ruling, left(p_request ->> 'programme', 40), v_told, v_repeated,
                p_request ->> 'signed', v_digest, v_now)]),
            set_config('synchronous_commit', 'off', true);
    RETURN v_told;
END $$;

REVOKE ALL ON FUNCTION consent.open_until, benefit.record_of FROM PUBLIC;
