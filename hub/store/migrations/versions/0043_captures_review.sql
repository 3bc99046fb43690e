-- What a reviewer does with a capture: looks at it, verifies or rejects it; and what proves it afterwards.

-- Flags with which no capture is verified, whatever a reviewer thinks.
CREATE FUNCTION consent.blocking_flags() RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT '{PERSON_UNKNOWN,NOT_ADULT,REQUEST_UNKNOWN,REQUEST_MISMATCH,PARTS_NOT_ASKED,COLLECTOR_IS_SUBJECT,WITHDRAWN,NOTICE_DIFFERS,EVIDENCE_ALTERED}'::text[]
$$;

-- The captures of a steward's counties, oldest first: no names, nothing of a record.
CREATE FUNCTION consent.captures(p_account text, p_token text, p_state text, p_after uuid, p_limit int)
RETURNS TABLE (capture_id uuid, county char(6), device_id text, counter bigint, device_time timestamptz,
               received_at timestamptz, organisation_id text, purpose text, method text, flags text[], state text,
               call_back boolean, evidence int, evidence_in int, decided_at timestamptz, cause text, consent_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.capture_id, c.county, c.device_id, c.counter, c.device_time, c.received_at, c.organisation_id, c.purpose,
           c.method, c.flags, c.state, c.draw < c.draw_below, e.announced::int, e.came::int, c.decided_at, c.cause,
           c.consent_id
    FROM consent.acting_as(p_account, p_token, '{STEWARD}') a
    JOIN consent.capture c ON c.county = ANY (a.county_codes) AND c.kind = 'CONSENT'
    CROSS JOIN LATERAL (SELECT count(*) AS announced, count(i.uploaded_at) AS came FROM consent.evidence i
                        WHERE i.county = c.county AND i.capture_id = c.capture_id) e
    WHERE (p_state IS NULL OR c.state = p_state) AND (p_after IS NULL OR c.capture_id > p_after)
    ORDER BY c.capture_id LIMIT least(p_limit, 101)
$$;

-- A capture for its reviewer, locked. `p_own`: blind indexes of his own number, `p_holders`: its keyed hashes as an account
-- holder. HB185: there is none for him. HB186: he is the collector, a witness, the person or of the household.
CREATE FUNCTION consent.reviewable(p_account text, p_token text, p_capture uuid, p_own bytea[], p_holders bytea[])
RETURNS consent.capture
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_account auth.account := consent.acting_as(p_account, p_token, '{STEWARD}');
    v_capture consent.capture;
    v_me      uuid[];
BEGIN
    SELECT c.* INTO v_capture FROM consent.capture c
    WHERE c.capture_id = p_capture AND c.kind = 'CONSENT' AND c.county = ANY (v_account.county_codes) FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such capture' USING ERRCODE = 'HB185';
    END IF;
    v_me := ARRAY (SELECT record.present_person(d.person_id) FROM record.directory d WHERE d.blind_index = ANY (p_own));
    IF EXISTS (SELECT FROM auth.account a WHERE a.account_id = v_capture.collector
               AND (a.account_id = p_account OR a.holder = ANY (p_holders)))
       OR record.present_person(v_capture.person_id) = ANY (v_me)
       OR EXISTS (SELECT FROM consent.capture_witness w WHERE w.county = v_capture.county
                  AND w.capture_id = p_capture AND record.present_person(w.person_id) = ANY (v_me))
       OR EXISTS (SELECT FROM record.person s JOIN record.person m
                      ON m.county = s.county AND m.household_id = s.household_id
                  WHERE s.person_id = record.present_person(v_capture.person_id) AND m.person_id = ANY (v_me)) THEN
        RAISE EXCEPTION 'the reviewer is concerned himself' USING ERRCODE = 'HB186';
    END IF;
    RETURN v_capture;
END $$;

-- Everything about a capture that its reviewer needs; the batch is still sealed. HB185, HB186 as above.
CREATE FUNCTION consent.open_capture(p_account text, p_token text, p_capture uuid, p_own bytea[], p_holders bytea[])
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
           (SELECT o.basis_id FROM consent.basis o
            WHERE o.organisation_id = v_capture.organisation_id AND o.purpose = v_capture.purpose AND o.kind = 'CONSENT'
              AND o.person_id = ANY (record.same_person(p.person_id)) AND o.status IN ('IN_FORCE', 'SUSPENDED')
            ORDER BY o.effective_from DESC LIMIT 1)
    FROM consent.capture_batch b
    JOIN consent.device d ON d.device_id = v_capture.device_id
    CROSS JOIN LATERAL (SELECT consent.captured_terms(v_capture) AS terms) k
    LEFT JOIN record.person p ON p.person_id = record.present_person(v_capture.person_id)
    WHERE b.county = v_capture.county AND b.batch_id = v_capture.batch_id;
END $$;

-- A capture or its evidence is not what came in: it is kept, and nothing is in force on it.
CREATE FUNCTION consent.flag_altered(p_account text, p_token text, p_capture uuid) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE consent.capture c SET flags = c.flags || 'EVIDENCE_ALTERED'::text
    FROM consent.acting_as(p_account, p_token, '{STEWARD}') a
    WHERE c.capture_id = p_capture AND c.county = ANY (a.county_codes) AND NOT 'EVIDENCE_ALTERED' = ANY (c.flags)
$$;

-- The reviewer verifies: the signed terms are put in force from now on. What they say of witnesses, collector and evidence is
-- what came in; the level follows from it. HB187: it is decided, blocked, or its request is over; HB188: the person was drawn
-- to be called back first; HB189: announced evidence has not come; HB109: the evidence is too weak for the purpose.
CREATE FUNCTION consent.verify_capture(
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
       -- He took the same thing back by another way after this came in.
       OR EXISTS (SELECT FROM consent.basis b
                  WHERE b.person_id = ANY (record.same_person(v_person.person_id)) AND b.kind = 'CONSENT'
                    AND b.organisation_id = v_request.organisation_id AND b.purpose = v_request.purpose
                    AND b.status = 'WITHDRAWN' AND b.ended_at > v_capture.received_at) THEN
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

-- The reviewer rejects, for a cause of the list; pictures on which a print shows are destroyed. The request ends with it unless another capture of it still waits.
CREATE FUNCTION consent.reject_capture(
    p_account text, p_token text, p_capture uuid, p_own bytea[], p_holders bytea[], p_cause text, p_called_back boolean,
    p_at timestamptz, p_ev uuid
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_capture consent.capture := consent.reviewable(p_account, p_token, p_capture, p_own, p_holders);
BEGIN
    IF v_capture.state <> 'CAPTURED' THEN
        RAISE EXCEPTION 'it is decided' USING ERRCODE = 'HB187';
    END IF;
    UPDATE consent.capture c
    SET state = 'REJECTED', decided_by = p_account, decided_at = p_at, is_called_back = p_called_back, cause = p_cause
    WHERE c.county = v_capture.county AND c.capture_id = p_capture;
    DELETE FROM consent.evidence_piece p USING consent.evidence e
    WHERE p_cause = 'PRINT_NOT_MASKED' AND e.county = v_capture.county AND e.capture_id = p_capture
      AND p.county = e.county AND p.evidence_id = e.evidence_id;
    UPDATE consent.request r SET state = 'INVALIDATED', decided_at = p_at
    WHERE r.request_id = v_capture.request_id AND r.state = 'CAPTURED' AND NOT EXISTS (
        SELECT FROM consent.capture c WHERE c.request_id = r.request_id AND c.state = 'CAPTURED'
        AND NOT c.flags && consent.blocking_flags());
    IF FOUND THEN
        PERFORM consent.note(v_capture.request_id, NULL, 'invalidateConsent', 'INVALIDATED', p_at, p_account, p_ev, p_cause);
    END IF;
END $$;

-- Whether the words shown for a request are for somebody of the collector's area; no row otherwise, whatever the reason.
CREATE FUNCTION consent.form_for(p_account text, p_token text, p_device text, p_request uuid, p_named jsonb, p_at timestamptz)
RETURNS TABLE (request_id uuid, person_id uuid, county char(6), organisation_id text, purpose text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_device consent.device := consent.own_device(p_account, p_token, p_device);
BEGIN
    RETURN QUERY
    SELECT r.request_id, p.person_id, p.county, r.organisation_id, r.purpose
    FROM consent.person_named(p_named) p
    JOIN consent.request r ON r.request_id = p_request AND r.state = 'REQUESTED' AND r.expires_at > p_at
    WHERE consent.is_in_area(p, v_device) AND consent.is_adult(p, p_at) AND p.name_index = ANY (r.name_indexes)
      AND EXISTS (SELECT FROM record.directory d WHERE d.blind_index = ANY (r.identity_indexes)
                  AND record.present_person(d.person_id) = p.person_id);
END $$;

-- What proves a consent that came from a device, for the job that compares; no row for any other consent.
CREATE FUNCTION consent.captured_proof(p_consent uuid)
RETURNS TABLE (capture_id uuid, batch_id uuid, sealed bytea, place int, jwk jsonb, slip_hash bytea, evidence_id uuid,
               sha256 bytea, pieces bytea[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.capture_id, b.batch_id, b.sealed, c.place, d.jwk, c.slip_hash, e.evidence_id, e.sha256,
           ARRAY (SELECT p.sealed FROM consent.evidence_piece p
                  WHERE p.county = e.county AND p.evidence_id = e.evidence_id ORDER BY p.piece_no)
    FROM consent.capture c
    JOIN consent.capture_batch b ON b.county = c.county AND b.batch_id = c.batch_id
    JOIN consent.device d ON d.device_id = c.device_id
    LEFT JOIN consent.evidence e ON e.county = c.county AND e.capture_id = c.capture_id
    WHERE c.consent_id = p_consent
$$;

REVOKE ALL ON consent.device, consent.capture_batch, consent.capture, consent.capture_witness, consent.evidence,
    consent.evidence_piece FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA consent FROM PUBLIC;
GRANT EXECUTE ON FUNCTION consent.own_holder, consent.open_device, consent.requests_shown, consent.take_batch,
    consent.evidence_wanted, consent.store_evidence, consent.read_evidence, consent.captures, consent.open_capture,
    consent.flag_altered, consent.verify_capture, consent.reject_capture, consent.form_for TO hub_app;
GRANT EXECUTE ON FUNCTION consent.register_device, consent.end_device, consent.captured_proof TO hub_ingest;
GRANT SELECT ON consent.device TO hub_ingest;

INSERT INTO audit.event_name (name) VALUES
    ('consent:collector:captured'), ('consent:collector:withdrawn'), ('consent:steward:verified'),
    ('consent:steward:rejected'), ('capture:collector:delivered'), ('capture:collector:refused'),
    ('capture:collector:form_shown'), ('capture:steward:listed'), ('capture:steward:shown'),
    ('evidence:collector:uploaded'), ('evidence:steward:shown'), ('evidence:resident:shown'),
    ('evidence:official:shown'), ('device:operator:changed');
