-- A picture of a decided capture is what proves a consent, or its abuse: one steward condemns it, another destroys it.
CREATE TABLE consent.condemned (
    county       char(6) NOT NULL,
    evidence_id  uuid NOT NULL,
    condemned_by text NOT NULL REFERENCES auth.account,
    condemned_at timestamptz NOT NULL,
    PRIMARY KEY (county, evidence_id),
    FOREIGN KEY (county, evidence_id) REFERENCES consent.evidence (county, evidence_id)
);

-- As in 0066, by two: the first call notes who condemns it (`is_done` false), one by another person destroys it.
DROP FUNCTION consent.destroy_evidence(text, text, uuid, timestamptz, uuid, bytea[], bytea[]);
CREATE FUNCTION consent.destroy_evidence(p_account text, p_token text, p_evidence uuid, p_at timestamptz, p_ev uuid,
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
                   AND NOT auth.same_person(c.condemned_by, p_account)) THEN
        INSERT INTO consent.condemned (county, evidence_id, condemned_by, condemned_at)
        VALUES (v_item.county, p_evidence, p_account, p_at) ON CONFLICT DO NOTHING;
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

INSERT INTO audit.event_name (name) VALUES ('evidence:steward:condemned');

REVOKE ALL ON consent.condemned FROM PUBLIC;
REVOKE ALL ON FUNCTION consent.destroy_evidence FROM PUBLIC;
GRANT EXECUTE ON FUNCTION consent.destroy_evidence TO hub_app;
