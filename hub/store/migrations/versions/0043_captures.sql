-- Consent taken in the field: devices, the batches that they sign, what came in them, and the proof that belongs to it.
-- Nothing of it is in force before a reviewer has verified it; a withdrawal alone takes effect at once.
--
-- Refusals carry HB180 to HB191; hub/consent/captures.py and hub/flows/change_device.py map them. Order of locks: device,
-- bases by id, request, capture.

-- A collector's device. `jwk`: the public half of the key that never leaves it. A lost one delivers nothing any more.
CREATE TABLE consent.device (
    device_id     text PRIMARY KEY CHECK (device_id ~ '^[A-Za-z0-9._-]{1,64}$'),
    account_id    text NOT NULL REFERENCES auth.account,
    county        char(6) NOT NULL,
    village_code  text NOT NULL CHECK (village_code ~ '^[0-9]{9}([0-9]{3})?$'),
    jwk           jsonb NOT NULL,
    thumbprint    text NOT NULL UNIQUE,
    status        text NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'LOST', 'RETIRED')),
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at      timestamptz,
    last_counter  bigint NOT NULL DEFAULT 0,
    last_time     timestamptz,
    CHECK ((status = 'ACTIVE') = (ended_at IS NULL))
);
CREATE UNIQUE INDEX device_one_per_account ON consent.device (account_id) WHERE status = 'ACTIVE';

-- A batch as it was signed, sealed: it names people by number and name.
CREATE TABLE consent.capture_batch (
    county      char(6) NOT NULL,
    batch_id    uuid NOT NULL,
    device_id   text NOT NULL REFERENCES consent.device,
    account_id  text NOT NULL,
    digest      bytea NOT NULL CHECK (octet_length(digest) = 32),
    sealed      bytea NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (county, batch_id)
);

-- One slip of a batch: a yes that waits for a reviewer, or a withdrawal (then `organisation_id` and `purpose` say how far
-- it reaches; null: everything). `county` is the device's. `draw` < `draw_below`: the person is called back first.
CREATE TABLE consent.capture (
    county           char(6) NOT NULL,
    capture_id       uuid NOT NULL,
    batch_id         uuid NOT NULL,
    place            int NOT NULL,
    device_id        text NOT NULL REFERENCES consent.device,
    collector        text NOT NULL,
    counter          bigint NOT NULL CHECK (counter > 0),
    slip_hash        bytea NOT NULL CHECK (octet_length(slip_hash) = 32),
    kind             text NOT NULL CHECK (kind IN ('CONSENT', 'WITHDRAWAL')),
    device_time      timestamptz NOT NULL,
    received_at      timestamptz NOT NULL,
    person_id        uuid,
    request_id       uuid,
    organisation_id  text,
    purpose          text,
    method           text CHECK (method IN ('PAPER', 'SCREEN')),
    form_no          text,
    parts            text[],
    heightened       boolean,
    read_aloud       boolean,
    has_own_witness  boolean,
    flags            text[] NOT NULL DEFAULT '{}',
    draw             smallint,
    draw_below       smallint,
    state            text NOT NULL CHECK (state IN ('CAPTURED', 'VERIFIED', 'REJECTED', 'APPLIED')),
    decided_by       text,
    decided_at       timestamptz,
    cause            text,
    is_called_back   boolean,
    consent_id       uuid,
    PRIMARY KEY (county, capture_id),
    UNIQUE (county, device_id, counter, slip_hash),
    FOREIGN KEY (county, batch_id) REFERENCES consent.capture_batch,
    CHECK ((kind = 'WITHDRAWAL') = (state = 'APPLIED')),
    CHECK ((kind = 'CONSENT') = (num_nonnulls(method, form_no, parts, heightened, read_aloud, has_own_witness, draw,
                                              draw_below) = 8))
);
CREATE INDEX capture_waits ON consent.capture (county, received_at, capture_id) WHERE state = 'CAPTURED';
CREATE INDEX capture_person ON consent.capture (person_id);
CREATE INDEX capture_request ON consent.capture (request_id);
CREATE INDEX capture_consent ON consent.capture (consent_id) WHERE consent_id IS NOT NULL;

-- Witnesses who count: known, living adults, neither the person himself nor the collector. `witness_id` stands in the record
-- and means nothing elsewhere.
CREATE TABLE consent.capture_witness (
    county     char(6) NOT NULL,
    capture_id uuid NOT NULL,
    witness_id uuid NOT NULL,
    person_id  uuid NOT NULL,
    PRIMARY KEY (county, capture_id, person_id),
    FOREIGN KEY (county, capture_id) REFERENCES consent.capture
);

-- Evidence that a capture announced by its hash; `size` is there once it was uploaded. The content lies sealed in pieces.
CREATE TABLE consent.evidence (
    county      char(6) NOT NULL,
    evidence_id uuid NOT NULL,
    capture_id  uuid NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('MASKED_FORM_PHOTO', 'MASKED_FORM_SCAN', 'SCREEN_SIGNATURE')),
    media_type  text NOT NULL CHECK (media_type IN ('image/jpeg', 'image/png', 'application/pdf')),
    sha256      bytea NOT NULL CHECK (octet_length(sha256) = 32),
    size        int CHECK (size BETWEEN 1 AND 1048576),
    uploaded_at timestamptz,
    PRIMARY KEY (county, evidence_id),
    FOREIGN KEY (county, capture_id) REFERENCES consent.capture,
    UNIQUE (county, capture_id, sha256)
);
CREATE INDEX evidence_hash ON consent.evidence (sha256);
CREATE TABLE consent.evidence_piece (
    county      char(6) NOT NULL,
    evidence_id uuid NOT NULL,
    piece_no    int NOT NULL CHECK (piece_no >= 0),
    sealed      bytea NOT NULL,
    PRIMARY KEY (county, evidence_id, piece_no),
    FOREIGN KEY (county, evidence_id) REFERENCES consent.evidence
);

-- What came from a device stays as it came; flags are only added, and a decision is made once.
CREATE FUNCTION consent.keep_capture() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_free CONSTANT text[] := CASE TG_TABLE_NAME
        WHEN 'capture' THEN '{flags,state,decided_by,decided_at,cause,is_called_back,consent_id}'
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
CREATE TRIGGER capture_is_kept BEFORE UPDATE OR DELETE ON consent.capture
    FOR EACH ROW EXECUTE FUNCTION consent.keep_capture();
CREATE TRIGGER batch_is_kept BEFORE UPDATE OR DELETE ON consent.capture_batch
    FOR EACH ROW EXECUTE FUNCTION consent.keep_capture();
CREATE TRIGGER evidence_is_kept BEFORE UPDATE OR DELETE ON consent.evidence
    FOR EACH ROW EXECUTE FUNCTION consent.keep_capture();

-- Devices. ------------------------------------------------------------------------------------------------------------

-- HB180: no open collector's account, HB181: the village is not his, HB182: the id or the key is taken, HB183: he has one.
CREATE FUNCTION consent.register_device(
    p_device text, p_account text, p_village text, p_jwk jsonb, p_thumbprint text, OUT county char(6)
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_account auth.account;
BEGIN
    SELECT a.* INTO v_account FROM auth.account a
    WHERE a.account_id = p_account AND a.role = 'COLLECTOR' AND a.status = 'ACTIVE' FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no collector' USING ERRCODE = 'HB180';
    END IF;
    county := left(p_village, 6);
    IF NOT EXISTS (
        SELECT FROM unnest(auth.villages_of(p_account, v_account.village_codes,
                                            (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date)) AS w (code)
        WHERE starts_with(p_village, w.code)) THEN
        RAISE EXCEPTION 'not his village' USING ERRCODE = 'HB181';
    END IF;
    IF EXISTS (SELECT FROM consent.device d WHERE d.device_id = p_device OR d.thumbprint = p_thumbprint) THEN
        RAISE EXCEPTION 'device or key is taken' USING ERRCODE = 'HB182';
    END IF;
    IF EXISTS (SELECT FROM consent.device d WHERE d.account_id = p_account AND d.status = 'ACTIVE') THEN
        RAISE EXCEPTION 'one device for one person' USING ERRCODE = 'HB183';
    END IF;
    INSERT INTO consent.device (device_id, account_id, county, village_code, jwk, thumbprint)
    VALUES (p_device, p_account, county, p_village, p_jwk, p_thumbprint);
END $$;

-- A device is lost or given back. What it delivered and nobody has looked at yet is flagged if it was lost. HB184: there is
-- no such device in use.
CREATE FUNCTION consent.end_device(
    p_device text, p_status text, OUT account_id text, OUT county char(6), OUT flagged int
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE consent.device d SET status = p_status, ended_at = clock_timestamp()
    WHERE d.device_id = p_device AND (d.status = 'ACTIVE' OR d.status = 'RETIRED' AND p_status = 'LOST')
    RETURNING d.account_id, d.county INTO account_id, county;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such device in use' USING ERRCODE = 'HB184';
    END IF;
    UPDATE consent.capture c SET flags = c.flags || 'DEVICE_LOST'::text
    WHERE c.device_id = p_device AND c.state = 'CAPTURED' AND p_status = 'LOST';
    GET DIAGNOSTICS flagged = ROW_COUNT;
END $$;

-- Who acts. -----------------------------------------------------------------------------------------------------------

-- The open account that acts in one of these roles; all members null where there is none.
CREATE FUNCTION consent.acting_as(p_account text, p_token text, p_roles text[]) RETURNS auth.account
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT a FROM auth.account a
    WHERE a.account_id = p_account AND a.status = 'ACTIVE' AND a.role = ANY (p_roles)
      AND NOT EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = p_token)
$$;

-- What names the holder of the acting account, sealed: the application works out from it whether he is concerned himself.
CREATE FUNCTION consent.own_holder(p_account text, p_token text) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT (consent.acting_as(p_account, p_token, '{COLLECTOR,STEWARD}')).sealed_holder
$$;

-- The collector's own device in use, locked. HB184: it is not his, not in use, or he may not act.
CREATE FUNCTION consent.own_device(p_account text, p_token text, p_device text) RETURNS consent.device
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_device consent.device;
BEGIN
    IF (consent.acting_as(p_account, p_token, '{COLLECTOR}')).account_id IS NOT NULL THEN
        SELECT d.* INTO v_device FROM consent.device d
        WHERE d.device_id = p_device AND d.account_id = p_account AND d.status = 'ACTIVE' FOR UPDATE;
    END IF;
    IF v_device.device_id IS NULL THEN
        RAISE EXCEPTION 'no such device of this collector in use' USING ERRCODE = 'HB184';
    END IF;
    RETURN v_device;
END $$;

-- What a batch of a device is judged by: its key, how far it had come, and which slips of these counters are held.
CREATE FUNCTION consent.open_device(p_account text, p_token text, p_device text, p_first bigint, p_last bigint)
RETURNS TABLE (county char(6), jwk jsonb, last_counter bigint, last_time timestamptz, held jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_device consent.device := consent.own_device(p_account, p_token, p_device);
BEGIN
    RETURN QUERY SELECT v_device.county, v_device.jwk, v_device.last_counter, v_device.last_time, coalesce(
        (SELECT jsonb_agg(jsonb_build_array(c.counter, encode(c.slip_hash, 'hex'), c.capture_id, c.kind, c.flags))
         FROM consent.capture c
         WHERE c.county = v_device.county AND c.device_id = p_device AND c.counter BETWEEN p_first - 1 AND p_last),
        '[]');
END $$;

-- Requests as the hub worded them, for a collector who holds their ids; whom they fit is not told.
CREATE FUNCTION consent.requests_shown(p_account text, p_token text, p_requests uuid[])
RETURNS TABLE (request_id uuid, organisation_id text, name_zh text, name_en text, role text, purpose text,
               parts text[], application_ref text, valid_days int, max_uses int, asked_at timestamptz,
               expires_at timestamptz, state text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT r.request_id, r.organisation_id, o.name_zh, o.name_en, r.role, r.purpose, r.parts, r.application_ref,
           r.valid_days, r.max_uses, r.asked_at, r.expires_at, r.state
    FROM consent.request r JOIN access.organisation o ON o.organisation_id = r.organisation_id
    WHERE r.request_id = ANY (p_requests)
      AND (consent.acting_as(p_account, p_token, '{COLLECTOR,STEWARD}')).account_id IS NOT NULL
$$;

-- Evidence. -----------------------------------------------------------------------------------------------------------

-- As in 0025, and for what a resident signed on the screen of the device, with a picture of the signature for the photo.
CREATE OR REPLACE FUNCTION consent.evidence_of(p_terms jsonb, p_by_himself boolean) RETURNS smallint
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN p_by_himself THEN CASE WHEN p_terms ->> 'medium' = 'DIGITAL' THEN 3 ELSE 0 END
        WHEN (p_terms ->> 'medium' IN ('PAPER', 'SCREEN')) IS NOT TRUE OR k.independent = 0 THEN 0
        WHEN k.witnesses >= 2 AND k.pictures > 0 AND p_terms -> 'capturedBy' ->> 'device' IS NOT NULL THEN 2
        ELSE 1 END::smallint
    FROM (SELECT
        (SELECT count(DISTINCT w ->> 'id') FROM jsonb_array_elements(p_terms -> 'witnessedBy') w) AS witnesses,
        (SELECT count(DISTINCT w ->> 'id') FROM jsonb_array_elements(p_terms -> 'witnessedBy') w
         WHERE w ->> 'id' IS DISTINCT FROM p_terms -> 'capturedBy' ->> 'account') AS independent,
        (SELECT count(*) FROM jsonb_array_elements(p_terms -> 'evidenceItems') e
         WHERE e ->> 'kind' = ANY (CASE p_terms ->> 'medium' WHEN 'PAPER' THEN '{MASKED_FORM_PHOTO,MASKED_FORM_SCAN}'::text[]
                                   ELSE '{SCREEN_SIGNATURE}'::text[] END)) AS pictures) k
$$;

-- What a capture proves, in the words of the record.
CREATE FUNCTION consent.captured_terms(p_capture consent.capture) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'medium', p_capture.method,
        'capturedBy', jsonb_build_object('account', p_capture.collector, 'device', p_capture.device_id),
        'witnessedBy', coalesce((
            SELECT jsonb_agg(jsonb_build_object('id', w.witness_id, 'kind', 'RESIDENT') ORDER BY w.witness_id)
            FROM consent.capture_witness w
            WHERE w.county = p_capture.county AND w.capture_id = p_capture.capture_id), '[]')
            || CASE WHEN p_capture.has_own_witness
                    THEN jsonb_build_array(jsonb_build_object('id', p_capture.collector, 'kind', 'COLLECTOR'))
                    ELSE '[]' END,
        'evidenceItems', coalesce((
            SELECT jsonb_agg(jsonb_build_object('kind', e.kind, 'mediaType', e.media_type,
                                                'sha256', encode(e.sha256, 'hex')) ORDER BY e.sha256)
            FROM consent.evidence e
            WHERE e.county = p_capture.county AND e.capture_id = p_capture.capture_id), '[]'))
$$;

-- Evidence that this collector announced under a hash and that has not come yet. HB190: none.
CREATE FUNCTION consent.evidence_wanted(p_account text, p_token text, p_sha256 bytea)
RETURNS TABLE (county char(6), evidence_id uuid, kind text, media_type text, is_uploaded boolean, capture_id uuid,
               person_id uuid)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (consent.acting_as(p_account, p_token, '{COLLECTOR}')).account_id IS NOT NULL THEN
        RETURN QUERY
        SELECT e.county, e.evidence_id, e.kind, e.media_type, e.uploaded_at IS NOT NULL, c.capture_id, c.person_id
        FROM consent.evidence e JOIN consent.capture c ON c.county = e.county AND c.capture_id = e.capture_id
        WHERE e.sha256 = p_sha256 AND c.collector = p_account
          AND (c.state = 'CAPTURED' OR e.uploaded_at IS NOT NULL)
        ORDER BY e.evidence_id FOR UPDATE OF e;
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'nobody announced it' USING ERRCODE = 'HB190';
    END IF;
END $$;

CREATE FUNCTION consent.store_evidence(
    p_account text, p_token text, p_evidence uuid, p_size int, p_pieces bytea[], p_at timestamptz
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_county char(6);
BEGIN
    UPDATE consent.evidence e SET size = p_size, uploaded_at = p_at FROM consent.capture c
    WHERE e.evidence_id = p_evidence AND e.uploaded_at IS NULL AND c.county = e.county
      AND c.capture_id = e.capture_id AND c.collector = p_account AND c.state = 'CAPTURED'
      AND (consent.acting_as(p_account, p_token, '{COLLECTOR}')).account_id IS NOT NULL
    RETURNING e.county INTO v_county;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'nobody announced it' USING ERRCODE = 'HB190';
    END IF;
    INSERT INTO consent.evidence_piece (county, evidence_id, piece_no, sealed)
    SELECT v_county, p_evidence, p.place - 1, p.piece FROM unnest(p_pieces) WITH ORDINALITY AS p (piece, place);
END $$;

-- Evidence for whoever may look at it: a steward of the county, the person himself, or a regulator on a court's basis about
-- the person. `by_role` says as what. HB191: there is none for him.
CREATE FUNCTION consent.read_evidence(p_asker text, p_token text, p_evidence uuid, p_at timestamptz)
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
    RETURN QUERY SELECT v_item.county, v_item.kind, v_item.media_type, v_item.sha256, v_capture.capture_id,
        v_capture.person_id, v_capture.purpose, v_account.role, v_basis,
        ARRAY (SELECT p.sealed FROM consent.evidence_piece p
               WHERE p.county = v_item.county AND p.evidence_id = p_evidence ORDER BY p.piece_no);
END $$;
