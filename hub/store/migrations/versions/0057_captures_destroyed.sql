-- A picture on which a fingerprint is found after the decision is destroyed (征信业管理条例 art. 14(1)); a consent that rests on
-- it ends. Before the decision the reviewer rejects with PRINT_NOT_MASKED, which does the same.

-- HB187: the capture still waits. HB191: there is no such picture for this steward.
CREATE FUNCTION consent.destroy_evidence(p_account text, p_token text, p_evidence uuid, p_at timestamptz, p_ev uuid)
RETURNS TABLE (capture_id uuid, person_id uuid, county char(6), sha256 bytea, consent_id uuid, organisation_id text,
               purpose text)
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
    IF v_capture.state = 'CAPTURED' THEN
        RAISE EXCEPTION 'it waits for a reviewer' USING ERRCODE = 'HB187';
    END IF;
    DELETE FROM consent.evidence_piece p WHERE p.county = v_item.county AND p.evidence_id = p_evidence;
    SELECT s.* INTO v_basis
    FROM consent.step(v_capture.consent_id, 'revokeConsent', p_at, p_account, p_ev, 'EVIDENCE_INVALID') s;
    RETURN QUERY SELECT v_capture.capture_id, v_capture.person_id, v_capture.county, v_item.sha256, v_basis.basis_id,
                        v_capture.organisation_id, v_capture.purpose;
END $$;
REVOKE ALL ON FUNCTION consent.destroy_evidence FROM PUBLIC;
GRANT EXECUTE ON FUNCTION consent.destroy_evidence TO hub_app;

INSERT INTO audit.event_name (name) VALUES ('evidence:steward:destroyed');
