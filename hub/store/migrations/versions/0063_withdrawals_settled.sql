-- A withdrawal in the field is never lost: the number alone finds its person, and what is doubtful about it is looked at.

-- `settled_for`: whose withdrawal it was after all, where the reviewer found out. `decided_by`, `decided_at` and `cause` say how
-- it was settled; its effect does not wait for that.
ALTER TABLE consent.capture
    ADD COLUMN settled_for uuid,
    ADD CONSTRAINT capture_settled CHECK (
        kind = 'CONSENT' AND settled_for IS NULL OR kind = 'WITHDRAWAL'
        AND (cause IS NULL OR cause IN ('PERSON_FOUND', 'NOBODY_FITS', 'IN_ORDER'))
        AND (settled_for IS NOT NULL) = (cause IS NOT DISTINCT FROM 'PERSON_FOUND'));
CREATE INDEX withdrawal_waits ON consent.capture (county, capture_id)
    WHERE kind = 'WITHDRAWAL' AND decided_at IS NULL AND flags <> '{}';
CREATE INDEX withdrawal_settled ON consent.capture (settled_for) WHERE settled_for IS NOT NULL;

CREATE OR REPLACE FUNCTION consent.keep_capture() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_free CONSTANT text[] := CASE TG_TABLE_NAME
        WHEN 'capture' THEN '{flags,state,decided_by,decided_at,cause,is_called_back,consent_id,settled_for}'
        WHEN 'evidence' THEN '{size,uploaded_at}' ELSE '{sealed}' END;
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'what a device delivered is never deleted' USING ERRCODE = 'HB001';
    END IF;
    IF (to_jsonb(NEW) - v_free) <> (to_jsonb(OLD) - v_free) THEN
        RAISE EXCEPTION 'what a device delivered is never changed' USING ERRCODE = 'HB001';
    END IF;
    IF TG_TABLE_NAME = 'capture' THEN
        IF NOT NEW.flags @> OLD.flags OR OLD.decided_at IS NOT NULL
           AND (to_jsonb(NEW) - '{flags}'::text[]) <> (to_jsonb(OLD) - '{flags}'::text[]) THEN
            RAISE EXCEPTION 'a decision stands' USING ERRCODE = 'HB001';
        END IF;
    ELSIF TG_TABLE_NAME = 'evidence' THEN
        IF OLD.uploaded_at IS NOT NULL THEN
            RAISE EXCEPTION 'evidence is stored once' USING ERRCODE = 'HB001';
        END IF;
    END IF;
    RETURN NEW;
END $$;

-- Somebody by the number alone, for what harms nobody; whose name fits as well comes first.
CREATE FUNCTION consent.person_numbered(p_named jsonb) RETURNS SETOF record.person
LANGUAGE sql STABLE AS $$
    SELECT p.* FROM record.directory d JOIN record.person p ON p.person_id = record.present_person(d.person_id)
    WHERE d.blind_index = ANY (ARRAY (SELECT decode(t, 'hex') FROM jsonb_array_elements_text(p_named -> 'identity') t))
    ORDER BY p.name_index = ANY (ARRAY (SELECT decode(t, 'hex') FROM jsonb_array_elements_text(p_named -> 'names') t)) DESC,
             p.person_id
    LIMIT 1
$$;

-- End what somebody gave to an organisation for a purpose (null: to all, for all), and stop what of it still waits. Gives the
-- consents that ended, each with the id under which the log records it.
CREATE FUNCTION consent.take_back(
    p_person uuid, p_organisation text, p_purpose text, p_at timestamptz, p_by text
) RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_basis consent.basis;
    v_ev    uuid;
    v_ended jsonb := '[]';
BEGIN
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

-- Somebody takes consents back. Whatever is doubtful about the slip, it takes effect: nobody is harmed by it for good.
CREATE OR REPLACE FUNCTION consent.take_withdrawal(p_device consent.device, p_batch uuid, p_slip jsonb, p_at timestamptz)
RETURNS consent.taken
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_person record.person;
    v_taken  consent.taken;
BEGIN
    SELECT * INTO v_person FROM consent.person_numbered(p_slip);
    v_taken := ROW((p_slip ->> 'place')::int, (p_slip ->> 'id')::uuid, 'WITHDRAWAL',
                   ARRAY (SELECT jsonb_array_elements_text(p_slip -> 'flags')), v_person.person_id, v_person.county,
                   p_slip ->> 'recipient', p_slip ->> 'purpose', NULL, NULL, '[]');
    IF v_person.person_id IS NULL THEN
        v_taken.flags := v_taken.flags || 'PERSON_UNKNOWN'::text;
    ELSE
        v_taken.flags := v_taken.flags || array_remove(ARRAY[
            CASE WHEN NOT EXISTS (SELECT FROM consent.person_named(p_slip)) THEN 'NAME_DIFFERS' END,
            CASE WHEN NOT consent.is_in_area(v_person, p_device) THEN 'OUT_OF_AREA' END], NULL);
    END IF;
    v_taken.ended := consent.take_back(v_person.person_id, v_taken.organisation_id, v_taken.purpose, p_at,
                                       p_device.account_id);
    INSERT INTO consent.capture (county, capture_id, batch_id, place, device_id, collector, counter, slip_hash, kind,
                                 device_time, received_at, person_id, organisation_id, purpose, flags, state)
    VALUES (p_device.county, v_taken.capture_id, p_batch, v_taken.place, p_device.device_id, p_device.account_id,
            (p_slip ->> 'counter')::bigint, decode(p_slip ->> 'hash', 'hex'), 'WITHDRAWAL',
            (p_slip ->> 'time')::timestamptz, p_at, v_person.person_id, v_taken.organisation_id, v_taken.purpose,
            v_taken.flags, 'APPLIED');
    RETURN v_taken;
END $$;

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

CREATE OR REPLACE FUNCTION consent.has_said_no(p_person uuid, p_request consent.request, p_device text, p_counter bigint)
RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM consent.basis b
        WHERE b.person_id = ANY (record.same_person(p_person)) AND b.kind = 'CONSENT' AND b.status = 'WITHDRAWN'
          AND b.organisation_id = p_request.organisation_id AND b.purpose = p_request.purpose
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
          AND q.state = 'REFUSED' AND q.decided_at >= p_request.asked_at
    )
$$;

-- Flagged withdrawals of a steward's counties that nobody has settled, oldest first: no names.
CREATE FUNCTION consent.withdrawals(p_account text, p_token text, p_after uuid, p_limit int)
RETURNS TABLE (capture_id uuid, county char(6), device_id text, counter bigint, device_time timestamptz,
               received_at timestamptz, organisation_id text, purpose text, flags text[], names_somebody boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.capture_id, c.county, c.device_id, c.counter, c.device_time, c.received_at, c.organisation_id, c.purpose,
           c.flags, c.person_id IS NOT NULL
    FROM consent.acting_as(p_account, p_token, '{STEWARD}') a
    JOIN consent.capture c ON c.county = ANY (a.county_codes) AND c.kind = 'WITHDRAWAL' AND c.decided_at IS NULL
        AND c.flags <> '{}'
    WHERE p_after IS NULL OR c.capture_id > p_after
    ORDER BY c.capture_id LIMIT least(p_limit, 101)
$$;

-- A flagged withdrawal for the steward who settles it, locked. HB185: there is none for him. HB186: he is the collector.
CREATE FUNCTION consent.withdrawal_for(p_account text, p_token text, p_capture uuid, p_holders bytea[])
RETURNS consent.capture
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_account auth.account := consent.acting_as(p_account, p_token, '{STEWARD}');
    v_capture consent.capture;
BEGIN
    SELECT c.* INTO v_capture FROM consent.capture c
    WHERE c.capture_id = p_capture AND c.kind = 'WITHDRAWAL' AND c.flags <> '{}' AND c.county = ANY (v_account.county_codes)
    FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such withdrawal' USING ERRCODE = 'HB185';
    END IF;
    IF EXISTS (SELECT FROM auth.account a WHERE a.account_id = v_capture.collector
               AND (a.account_id = p_account OR a.holder = ANY (p_holders))) THEN
        RAISE EXCEPTION 'the reviewer is concerned himself' USING ERRCODE = 'HB186';
    END IF;
    RETURN v_capture;
END $$;

CREATE FUNCTION consent.open_withdrawal(p_account text, p_token text, p_capture uuid, p_holders bytea[])
RETURNS TABLE (capture_id uuid, county char(6), batch_id uuid, sealed bytea, place int, jwk jsonb, slip_hash bytea,
               flags text[], cause text, person_id uuid)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_capture consent.capture := consent.withdrawal_for(p_account, p_token, p_capture, p_holders);
BEGIN
    RETURN QUERY
    SELECT v_capture.capture_id, coalesce(p.county, v_capture.county), v_capture.batch_id, b.sealed, v_capture.place, d.jwk,
           v_capture.slip_hash, v_capture.flags, v_capture.cause, v_capture.person_id
    FROM consent.capture_batch b JOIN consent.device d ON d.device_id = v_capture.device_id
    LEFT JOIN record.person p ON p.person_id = record.present_person(v_capture.person_id)
    WHERE b.county = v_capture.county AND b.batch_id = v_capture.batch_id;
END $$;

-- The steward settles it: for the person whom he found (by number and name; what he gave ends now), or as it is. HB187: it is
-- settled already; HB195: nobody has this number and name.
CREATE FUNCTION consent.settle_withdrawal(
    p_account text, p_token text, p_capture uuid, p_holders bytea[], p_found jsonb, p_at timestamptz
) RETURNS TABLE (cause text, person_id uuid, county char(6), ended jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_capture consent.capture := consent.withdrawal_for(p_account, p_token, p_capture, p_holders);
    v_person  record.person;
    v_ended   jsonb := '[]';
    v_cause   text := CASE WHEN p_found IS NOT NULL THEN 'PERSON_FOUND'
                           WHEN v_capture.person_id IS NULL THEN 'NOBODY_FITS' ELSE 'IN_ORDER' END;
BEGIN
    IF v_capture.decided_at IS NOT NULL THEN
        RAISE EXCEPTION 'it is settled' USING ERRCODE = 'HB187';
    END IF;
    IF p_found IS NOT NULL THEN
        SELECT * INTO v_person FROM consent.person_named(p_found);
        IF NOT FOUND THEN
            RAISE EXCEPTION 'nobody of this number and name' USING ERRCODE = 'HB195';
        END IF;
        v_ended := consent.take_back(v_person.person_id, v_capture.organisation_id, v_capture.purpose, p_at, p_account);
    END IF;
    UPDATE consent.capture c
    SET decided_by = p_account, decided_at = p_at, cause = v_cause, settled_for = v_person.person_id
    WHERE c.county = v_capture.county AND c.capture_id = p_capture;
    RETURN QUERY SELECT v_cause, v_person.person_id, coalesce(v_person.county, v_capture.county), v_ended;
END $$;

REVOKE ALL ON FUNCTION consent.person_numbered, consent.take_back, consent.withdrawals, consent.withdrawal_for,
    consent.open_withdrawal, consent.settle_withdrawal FROM PUBLIC;
GRANT EXECUTE ON FUNCTION consent.withdrawals, consent.open_withdrawal, consent.settle_withdrawal TO hub_app;

INSERT INTO audit.event_name (name) VALUES ('withdrawal:steward:listed'), ('withdrawal:steward:shown'),
    ('withdrawal:steward:settled'), ('consent:steward:withdrawn');
