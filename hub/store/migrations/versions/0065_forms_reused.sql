-- One form proves the yes of one person to one request: a picture or a number of a form that another capture has proves
-- neither.

CREATE OR REPLACE FUNCTION consent.blocking_flags() RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT '{PERSON_UNKNOWN,NOT_ADULT,REQUEST_UNKNOWN,REQUEST_MISMATCH,PARTS_NOT_ASKED,COLLECTOR_IS_SUBJECT,WITHDRAWN,NOTICE_DIFFERS,EVIDENCE_ALTERED,EVIDENCE_REUSED,FORM_REUSED}'::text[]
$$;

-- What of a new capture's proof another capture has, of somebody else or for another request (captures of people unknown do
-- not count; the number of a rejected form may be used again). Both are flagged: no program can see which of them is true.
CREATE FUNCTION consent.flag_reused(p_new consent.capture) RETURNS text[]
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_pictures CONSTANT uuid[] := ARRAY (
        SELECT o.capture_id FROM consent.evidence e JOIN consent.evidence o ON o.sha256 = e.sha256
        WHERE e.county = p_new.county AND e.capture_id = p_new.capture_id);
    v_forms    CONSTANT uuid[] := ARRAY (
        SELECT c.capture_id FROM consent.capture c
        WHERE c.county = p_new.county AND c.form_no = p_new.form_no AND c.state <> 'REJECTED');
    v_other    record;
    v_flags    text[] := '{}';
BEGIN
    FOR v_other IN
        SELECT c.county, c.capture_id, f.flag
        FROM (SELECT unnest(v_pictures), 'EVIDENCE_REUSED'
              UNION SELECT unnest(v_forms), 'FORM_REUSED') AS f (capture_id, flag)
        JOIN consent.capture c ON c.capture_id = f.capture_id
        WHERE record.present_person(c.person_id) <> record.present_person(p_new.person_id)
           OR c.person_id IS NOT NULL AND p_new.person_id IS NOT NULL AND c.request_id <> p_new.request_id
        ORDER BY c.capture_id, f.flag LOOP
        UPDATE consent.capture c SET flags = c.flags || v_other.flag
        WHERE c.county = v_other.county AND c.capture_id = v_other.capture_id AND c.state = 'CAPTURED'
          AND NOT v_other.flag = ANY (c.flags);
        v_flags := v_flags || v_other.flag;
    END LOOP;
    RETURN ARRAY (SELECT DISTINCT unnest(v_flags) ORDER BY 1);
END $$;

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
       AND NOT v_taken.flags && '{PERSON_UNKNOWN,REQUEST_MISMATCH,WITHDRAWN,EVIDENCE_REUSED,FORM_REUSED}' THEN
        UPDATE consent.request r SET state = 'CAPTURED', decided_at = p_at WHERE r.request_id = v_request.request_id;
        PERFORM consent.note(v_request.request_id, NULL, 'captureConsent', 'CAPTURED', p_at, p_device.account_id,
                             (p_slip ->> 'ev')::uuid, NULL);
    END IF;
    RETURN v_taken;
END $$;

CREATE INDEX capture_form ON consent.capture (county, form_no) WHERE form_no IS NOT NULL;
REVOKE ALL ON FUNCTION consent.flag_reused FROM PUBLIC;
