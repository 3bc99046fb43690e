-- Taking a batch: withdrawals first and at once, then what was captured, which only waits.

-- What became of one slip. `flags`: what a reviewer has to look at; `ended`: consents that a withdrawal ended, each with the
-- id under which the log records it.
CREATE TYPE consent.taken AS (
    place int, capture_id uuid, kind text, flags text[], person_id uuid, person_county char(6), organisation_id text,
    purpose text, draw smallint, draw_below smallint, ended jsonb
);

-- Somebody by number and name, as a bank names a borrower; no row where nobody fits both.
CREATE FUNCTION consent.person_named(p_named jsonb) RETURNS SETOF record.person
LANGUAGE sql STABLE AS $$
    SELECT p.* FROM record.directory d JOIN record.person p ON p.person_id = record.present_person(d.person_id)
    WHERE d.blind_index = ANY (ARRAY (SELECT decode(t, 'hex') FROM jsonb_array_elements_text(p_named -> 'identity') t))
      AND p.name_index = ANY (ARRAY (SELECT decode(t, 'hex') FROM jsonb_array_elements_text(p_named -> 'names') t))
    LIMIT 1
$$;

CREATE FUNCTION consent.is_adult(p_person record.person, p_at timestamptz) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT p_person.status = 'ACTIVE'
       AND p_person.birth_date <= ((p_at AT TIME ZONE 'Asia/Shanghai')::date - interval '18 years')::date
$$;

-- Whether a person lives where a device and its collector work today.
CREATE FUNCTION consent.is_in_area(p_person record.person, p_device consent.device) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM record.household h, auth.account a
        WHERE h.county = p_person.county AND h.household_id = p_person.household_id
          AND a.account_id = p_device.account_id AND starts_with(h.village_code, p_device.village_code)
          AND EXISTS (SELECT FROM unnest(auth.villages_of(a.account_id, a.village_codes,
                                         (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date)) AS w (code)
                      WHERE starts_with(h.village_code, w.code)))
$$;

-- Somebody takes consents back. Whatever is doubtful about the slip, it takes effect: nobody is harmed by it for good.
CREATE FUNCTION consent.take_withdrawal(p_device consent.device, p_batch uuid, p_slip jsonb, p_at timestamptz)
RETURNS consent.taken
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_person record.person;
    v_basis  consent.basis;
    v_taken  consent.taken;
    v_ev     uuid;
BEGIN
    SELECT * INTO v_person FROM consent.person_named(p_slip);
    v_taken := ROW((p_slip ->> 'place')::int, (p_slip ->> 'id')::uuid, 'WITHDRAWAL',
                   ARRAY (SELECT jsonb_array_elements_text(p_slip -> 'flags')), v_person.person_id, v_person.county,
                   p_slip ->> 'recipient', p_slip ->> 'purpose', NULL, NULL, '[]');
    IF v_person.person_id IS NULL THEN
        v_taken.flags := v_taken.flags || 'PERSON_UNKNOWN'::text;
    ELSIF NOT consent.is_in_area(v_person, p_device) THEN
        v_taken.flags := v_taken.flags || 'OUT_OF_AREA'::text;
    END IF;
    FOR v_basis IN SELECT b.* FROM consent.basis b
                   WHERE b.person_id = ANY (record.same_person(v_person.person_id)) AND b.kind = 'CONSENT'
                     AND b.status IN ('IN_FORCE', 'SUSPENDED')
                     AND b.organisation_id = coalesce(v_taken.organisation_id, b.organisation_id)
                     AND b.purpose = coalesce(v_taken.purpose, b.purpose)
                   ORDER BY b.basis_id LOOP
        v_ev := uuidv7();
        PERFORM consent.step(v_basis.basis_id, 'withdrawConsent', p_at, p_device.account_id, v_ev);
        v_taken.ended := v_taken.ended || jsonb_build_object(
            'ev', v_ev, 'consent', v_basis.basis_id, 'recipient', v_basis.organisation_id, 'purpose', v_basis.purpose,
            'person', v_basis.person_id, 'county', v_basis.county);
    END LOOP;
    -- A yes that still waits is not verified over the head of somebody who has said no meanwhile.
    UPDATE consent.capture c SET flags = c.flags || 'WITHDRAWN'::text
    WHERE c.person_id = ANY (record.same_person(v_person.person_id)) AND c.state = 'CAPTURED'
      AND c.organisation_id = coalesce(v_taken.organisation_id, c.organisation_id)
      AND c.purpose = coalesce(v_taken.purpose, c.purpose) AND NOT 'WITHDRAWN' = ANY (c.flags);
    INSERT INTO consent.capture (county, capture_id, batch_id, place, device_id, collector, counter, slip_hash, kind,
                                 device_time, received_at, person_id, organisation_id, purpose, flags, state)
    VALUES (p_device.county, v_taken.capture_id, p_batch, v_taken.place, p_device.device_id, p_device.account_id,
            (p_slip ->> 'counter')::bigint, decode(p_slip ->> 'hash', 'hex'), 'WITHDRAWAL',
            (p_slip ->> 'time')::timestamptz, p_at, v_person.person_id, v_taken.organisation_id, v_taken.purpose,
            v_taken.flags, 'APPLIED');
    RETURN v_taken;
END $$;

-- Witnesses of a capture: those who count are kept, and what keeps one from counting is returned.
CREATE FUNCTION consent.take_witnesses(
    p_county char(6), p_capture uuid, p_subject uuid, p_slip jsonb, p_own bytea[], p_at timestamptz
) RETURNS text[]
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_named   jsonb;
    v_witness record.person;
    v_flags   text[] := '{}';
BEGIN
    FOR v_named IN SELECT * FROM jsonb_array_elements(p_slip -> 'witnesses') LOOP
        SELECT * INTO v_witness FROM consent.person_named(v_named);
        v_flags := v_flags || CASE
            WHEN v_witness.person_id IS NULL THEN 'WITNESS_UNKNOWN'
            WHEN v_witness.person_id = p_subject THEN 'WITNESS_IS_SUBJECT'
            WHEN EXISTS (SELECT FROM record.directory d WHERE d.blind_index = ANY (p_own)
                         AND record.present_person(d.person_id) = v_witness.person_id) THEN 'WITNESS_IS_COLLECTOR'
            WHEN NOT consent.is_adult(v_witness, p_at) THEN 'WITNESS_NOT_ADULT' END;
        IF v_flags[cardinality(v_flags)] IS NULL THEN
            INSERT INTO consent.capture_witness VALUES (p_county, p_capture, gen_random_uuid(), v_witness.person_id)
            ON CONFLICT DO NOTHING;
        END IF;
    END LOOP;
    RETURN array_remove(v_flags, NULL);
END $$;

-- What of a captured yes does not fit its request, its person or its collector.
CREATE FUNCTION consent.doubts_of(
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
        -- A withdrawal that the same device noted later has taken effect already.
        ('WITHDRAWN', EXISTS (
            SELECT FROM consent.capture w
            WHERE w.kind = 'WITHDRAWAL' AND w.person_id = ANY (record.same_person(p_person.person_id))
              AND coalesce(w.organisation_id, p_request.organisation_id) = p_request.organisation_id
              AND coalesce(w.purpose, p_request.purpose) = p_request.purpose
              AND (w.device_time > (p_slip ->> 'time')::timestamptz
                   OR w.device_id = p_device.device_id AND w.counter > (p_slip ->> 'counter')::bigint)))
    ) AS f (flag, holds) WHERE f.holds
$$;

-- A captured yes is kept, whatever is wrong with it; the request waits for the reviewer where it can still be answered.
CREATE FUNCTION consent.take_capture(
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
    UPDATE consent.capture c SET flags = v_taken.flags
    WHERE c.county = p_device.county AND c.capture_id = v_taken.capture_id;
    IF v_request.state = 'REQUESTED' AND v_request.expires_at > p_at
       AND NOT v_taken.flags && '{PERSON_UNKNOWN,REQUEST_MISMATCH,WITHDRAWN}' THEN
        UPDATE consent.request r SET state = 'CAPTURED', decided_at = p_at WHERE r.request_id = v_request.request_id;
        PERFORM consent.note(v_request.request_id, NULL, 'captureConsent', 'CAPTURED', p_at, p_device.account_id,
                             (p_slip ->> 'ev')::uuid, NULL);
    END IF;
    RETURN v_taken;
END $$;

-- Take the slips of a batch that are not held yet. `p_own`: blind indexes of the collector's own number; a slip carries
-- the blind indexes of whom it names, and what its place in the chain and its notice look like (`flags`).
CREATE FUNCTION consent.take_batch(
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
    -- All bases that withdrawals of this batch can end, in the order in which the gate takes them.
    PERFORM FROM consent.basis b
    WHERE b.kind = 'CONSENT' AND b.status IN ('IN_FORCE', 'SUSPENDED') AND b.person_id = ANY (ARRAY (
        SELECT unnest(record.same_person(p.person_id)) FROM jsonb_array_elements(p_slips) s
        CROSS JOIN LATERAL consent.person_named(s) p WHERE s ->> 'kind' = 'WITHDRAWAL'))
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
