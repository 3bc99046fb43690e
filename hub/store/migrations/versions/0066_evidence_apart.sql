-- A steward who is concerned himself neither looks at a captured form nor destroys it, as he does not review it.

-- Whether an account's person took part in a capture: as collector under any account, as witness, as the person, or as one of
-- the person's household. `p_own`, `p_holders`: the keyed hashes of his own number.
CREATE FUNCTION consent.is_concerned(p_capture consent.capture, p_account text, p_own bytea[], p_holders bytea[])
RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM auth.account a WHERE a.account_id = p_capture.collector
                   AND (a.account_id = p_account OR a.holder = ANY (p_holders)))
        OR EXISTS (SELECT FROM consent.capture_witness w JOIN record.directory d ON d.blind_index = ANY (p_own)
                   WHERE w.county = p_capture.county AND w.capture_id = p_capture.capture_id
                     AND record.present_person(w.person_id) = record.present_person(d.person_id))
        OR record.is_concerned(ARRAY[p_capture.person_id], p_own, p_account)
$$;

CREATE OR REPLACE FUNCTION consent.reviewable(p_account text, p_token text, p_capture uuid, p_own bytea[], p_holders bytea[])
RETURNS consent.capture
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_account auth.account := consent.acting_as(p_account, p_token, '{STEWARD}');
    v_capture consent.capture;
BEGIN
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

DROP FUNCTION consent.read_evidence(text, text, uuid, timestamptz);
CREATE FUNCTION consent.read_evidence(p_asker text, p_token text, p_evidence uuid, p_at timestamptz, p_own bytea[],
                                      p_holders bytea[])
RETURNS TABLE (county char(6), kind text, media_type text, sha256 bytea, capture_id uuid, person_id uuid, purpose text,
               by_role text, basis_id uuid, pieces bytea[])
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_account auth.account := consent.acting_as(p_asker, p_token, '{STEWARD,RESIDENT,REGULATOR}');
    v_capture consent.capture;
    v_item    consent.evidence;
    v_basis   uuid;
BEGIN
    SELECT e.* INTO v_item FROM consent.evidence e WHERE e.evidence_id = p_evidence AND e.uploaded_at IS NOT NULL;
    SELECT c.* INTO v_capture FROM consent.capture c
    WHERE c.county = v_item.county AND c.capture_id = v_item.capture_id;
    IF v_account.role = 'REGULATOR' THEN
        SELECT b.basis_id INTO v_basis FROM consent.basis b
        WHERE b.kind = 'JUDICIAL' AND b.person_id = ANY (record.same_person(record.present_person(v_capture.person_id)))
          AND b.declared_by = p_asker AND consent.lack(b.status, b.effective_from, b.expires_at,
                                                       b.frozen_cause IS NULL, p_at) IS NULL
        ORDER BY b.basis_id LIMIT 1;
    END IF;
    IF (CASE v_account.role WHEN 'STEWARD' THEN v_capture.county = ANY (v_account.county_codes)
                            WHEN 'RESIDENT' THEN v_capture.person_id = ANY (
                                record.same_person(record.present_person(v_account.person_id)))
                            WHEN 'REGULATOR' THEN v_basis IS NOT NULL END) IS NOT TRUE THEN
        RAISE EXCEPTION 'no such evidence' USING ERRCODE = 'HB191';
    END IF;
    IF v_account.role = 'STEWARD' AND consent.is_concerned(v_capture, p_asker, p_own, p_holders) THEN
        RAISE EXCEPTION 'the steward is concerned himself' USING ERRCODE = 'HB186';
    END IF;
    RETURN QUERY SELECT v_item.county, v_item.kind, v_item.media_type, v_item.sha256, v_capture.capture_id,
        v_capture.person_id, v_capture.purpose, v_account.role, v_basis,
        ARRAY (SELECT p.sealed FROM consent.evidence_piece p
               WHERE p.county = v_item.county AND p.evidence_id = p_evidence ORDER BY p.piece_no);
END $$;

DROP FUNCTION consent.destroy_evidence(text, text, uuid, timestamptz, uuid);
CREATE FUNCTION consent.destroy_evidence(p_account text, p_token text, p_evidence uuid, p_at timestamptz, p_ev uuid,
                                         p_own bytea[], p_holders bytea[])
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
    IF consent.is_concerned(v_capture, p_account, p_own, p_holders) THEN
        RAISE EXCEPTION 'the steward is concerned himself' USING ERRCODE = 'HB186';
    END IF;
    IF v_capture.state = 'CAPTURED' THEN
        RAISE EXCEPTION 'it waits for a reviewer' USING ERRCODE = 'HB187';
    END IF;
    DELETE FROM consent.evidence_piece p WHERE p.county = v_item.county AND p.evidence_id = p_evidence;
    SELECT s.* INTO v_basis
    FROM consent.step(v_capture.consent_id, 'revokeConsent', p_at, p_account, p_ev, 'EVIDENCE_INVALID') s;
    RETURN QUERY SELECT v_capture.capture_id, v_capture.person_id, v_capture.county, v_item.sha256, v_basis.basis_id,
                        v_capture.organisation_id, v_capture.purpose;
END $$;
REVOKE ALL ON FUNCTION consent.is_concerned, consent.read_evidence, consent.destroy_evidence FROM PUBLIC;
GRANT EXECUTE ON FUNCTION consent.read_evidence, consent.destroy_evidence TO hub_app;
