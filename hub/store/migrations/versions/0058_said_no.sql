-- A withdrawal or a refusal stops every yes on paper to a request that had been asked before it, whichever comes in first:
-- paper may be days under way, and a device's clock does not decide. The organisation asks again.

-- Whether somebody said no to what a request asks for since it was asked: took his consent back by any way, or refused
-- another such request. What he took back with the device before it noted the yes (a lower counter) is no answer to it.
CREATE FUNCTION consent.has_said_no(p_person uuid, p_request consent.request, p_device text, p_counter bigint)
RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM consent.basis b
        WHERE b.person_id = ANY (record.same_person(p_person)) AND b.kind = 'CONSENT' AND b.status = 'WITHDRAWN'
          AND b.organisation_id = p_request.organisation_id AND b.purpose = p_request.purpose
          AND b.ended_at >= p_request.asked_at
          AND NOT EXISTS (SELECT FROM consent.capture w
                          WHERE w.kind = 'WITHDRAWAL' AND w.person_id = ANY (record.same_person(p_person))
                            AND w.received_at = b.ended_at AND w.device_id = p_device AND w.counter < p_counter)
    ) OR EXISTS (
        SELECT FROM consent.capture w
        WHERE w.kind = 'WITHDRAWAL' AND w.person_id = ANY (record.same_person(p_person))
          AND coalesce(w.organisation_id, p_request.organisation_id) = p_request.organisation_id
          AND coalesce(w.purpose, p_request.purpose) = p_request.purpose
          AND CASE WHEN w.device_id = p_device THEN w.counter > p_counter ELSE w.received_at >= p_request.asked_at END
    ) OR EXISTS (
        SELECT FROM consent.request q
        WHERE q.identity_indexes && ARRAY (SELECT d.blind_index FROM record.directory d
                                           WHERE d.person_id = ANY (record.same_person(p_person)))
          AND q.organisation_id = p_request.organisation_id AND q.purpose = p_request.purpose
          AND q.state = 'REFUSED' AND q.decided_at >= p_request.asked_at
    )
$$;

CREATE OR REPLACE FUNCTION consent.doubts_of(
    p_device consent.device, p_slip jsonb, p_person record.person, p_request consent.request, p_own bytea[], p_at timestamptz
) RETURNS text[]
LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(f.flag), '{}') FROM (VALUES
        ('PERSON_UNKNOWN', p_person.person_id IS NULL),
        ('NOT_ADULT', p_person.person_id IS NOT NULL AND NOT consent.is_adult(p_person, p_at)),
        ('OUT_OF_AREA', p_person.person_id IS NOT NULL AND NOT consent.is_in_area(p_person, p_device)),
        ('COLLECTOR_IS_SUBJECT', EXISTS (
            SELECT FROM record.directory d WHERE d.blind_index = ANY (p_own)
            AND record.present_person(d.person_id) = p_person.person_id)),
        ('REQUEST_UNKNOWN', p_request.request_id IS NULL),
        ('REQUEST_CLOSED', p_request.state NOT IN ('REQUESTED', 'CAPTURED') OR p_request.expires_at <= p_at),
        ('REQUEST_TAKEN', p_request.state = 'CAPTURED'),
        ('REQUEST_MISMATCH', p_request.request_id IS NOT NULL AND p_person.person_id IS NOT NULL
            AND NOT (p_person.name_index = ANY (p_request.name_indexes) AND EXISTS (
                SELECT FROM record.directory d WHERE d.blind_index = ANY (p_request.identity_indexes)
                AND record.present_person(d.person_id) = p_person.person_id))),
        ('PARTS_NOT_ASKED', NOT ARRAY (SELECT jsonb_array_elements_text(p_slip -> 'parts')) <@ p_request.parts),
        ('BEFORE_ASKED', (p_slip ->> 'time')::timestamptz < p_request.asked_at - interval '5 minutes'),
        ('WITHDRAWN', consent.has_said_no(p_person.person_id, p_request, p_device.device_id,
                                          (p_slip ->> 'counter')::bigint))
    ) AS f (flag, holds) WHERE f.holds
$$;

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
    IF v_capture.state <> 'CAPTURED' OR v_capture.flags && consent.blocking_flags()
       OR (v_request.state = 'CAPTURED' AND v_request.expires_at > p_at) IS NOT TRUE
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

REVOKE ALL ON FUNCTION consent.has_said_no FROM PUBLIC;
