-- What nobody can verify is one list: also too little proof, and a yes that came in after the time to answer. A request whose yes
-- waits for its review is not told to its organisation as run out.

CREATE OR REPLACE FUNCTION consent.blocking_flags() RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT '{PERSON_UNKNOWN,NOT_ADULT,REQUEST_UNKNOWN,REQUEST_MISMATCH,PARTS_NOT_ASKED,COLLECTOR_IS_SUBJECT,WITHDRAWN,NOTICE_DIFFERS,EVIDENCE_ALTERED,EVIDENCE_REUSED,FORM_REUSED,EVIDENCE_TOO_LOW,
             REQUEST_CLOSED}'::text[]
$$;

-- As in 0070.
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
       AND NOT v_taken.flags && consent.blocking_flags() THEN
        UPDATE consent.request r SET state = 'CAPTURED', decided_at = p_at WHERE r.request_id = v_request.request_id;
        PERFORM consent.note(v_request.request_id, NULL, 'captureConsent', 'CAPTURED', p_at, p_device.account_id,
                             (p_slip ->> 'ev')::uuid, NULL);
    END IF;
    RETURN v_taken;
END $$;

-- As in 0025.
CREATE OR REPLACE FUNCTION consent.request_state(p_client text, p_token text, p_request uuid, p_at timestamptz)
RETURNS TABLE (state text, consent_id uuid, expires_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT CASE WHEN r.state IN ('REQUESTED', 'CAPTURED') AND consent.open_until(r) <= p_at
                  OR r.state = 'INVALIDATED' AND r.expires_at <= p_at THEN 'EXPIRED'
                ELSE r.state END,
           k.consent_id, coalesce(b.expires_at, r.expires_at)
    FROM access.client c
    JOIN consent.request r ON r.organisation_id = c.organisation_id AND r.request_id = p_request
    LEFT JOIN consent.record k ON k.request_id = r.request_id
    LEFT JOIN consent.basis b ON b.consent_id = k.consent_id
    WHERE c.client_id = p_client AND c.status = 'ACTIVE'
      AND NOT EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = p_token);
END $$;
