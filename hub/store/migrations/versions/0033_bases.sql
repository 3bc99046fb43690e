-- Bases other than consent: each kind is a row, each basis is declared with a reference, for one person and one holder,
-- and goes through the same gate as a consent.

-- `reference_form`: what the required reference must look like. `approved_by`: whose second person must say yes before it
-- counts; `reviewed_by`: whose second person must look at it within `review_within` after it began. `told_within`: when the
-- person is told at the latest, apart from his list of accesses, which shows every use at once.
CREATE TABLE consent.basis_kind (
    kind           text PRIMARY KEY,
    purpose        text NOT NULL,
    reference_form text NOT NULL,
    declared_by    text[] NOT NULL,
    approved_by    text[],
    reviewed_by    text[],
    review_within  interval,
    lasts          interval NOT NULL,
    uses           int,
    uses_per       text CHECK (uses_per IN ('MONTH')),
    parts          text[],
    told_within    interval NOT NULL,
    law            text NOT NULL,
    CHECK ((reviewed_by IS NULL) = (review_within IS NULL))
);
INSERT INTO consent.basis_kind VALUES
    ('POST_LOAN', 'POST_LOAN_REVIEW', '^[A-Za-z0-9._/-]{1,64}$', '{LOAN_OFFICER,BANK_RISK}', NULL, NULL, NULL,
     '1 year', 1, 'MONTH', NULL, '0', 'PBoC order 2005-3 art. 12(4), 13'),
    ('SUPERVISION', 'SUPERVISION', '^\S.{2,63}$', '{REGULATOR}', '{REGULATOR}', NULL, NULL,
     '90 days', NULL, NULL, NULL, '0', '征信业管理条例 art. 33, 34; 个人信息保护法 art. 34'),
    ('JUDICIAL', 'JUDICIAL', '^\S.{2,63}$', '{REGULATOR}', '{REGULATOR}', NULL, NULL,
     '30 days', NULL, NULL, NULL, '0', '个人信息保护法 art. 13(1)(3), 34, 35'),
    ('OBJECTION', 'OBJECTION', '^\S.{2,63}$', '{STEWARD}', NULL, NULL, NULL,
     '20 days', NULL, NULL, NULL, '0', '征信业管理条例 art. 25'),
    ('EMERGENCY', 'EMERGENCY', '^\S.{2,63}$', '{TOWNSHIP,STEWARD}', NULL, '{STEWARD,REGULATOR,SECURITY_ADMIN}', '24 hours',
     '24 hours', NULL, NULL, '{identity/VALUE,contact/VALUE}', '72 hours', '个人信息保护法 art. 13(1)(4), 18');

-- `holder`: the account or system that alone may rest on it; null: the whole organisation.
ALTER TABLE consent.basis
    ADD COLUMN holder text,
    ADD COLUMN declared_by text,
    ADD COLUMN declared_at timestamptz,
    ADD COLUMN decided_by text,
    ADD COLUMN decided_at timestamptz,
    ADD COLUMN reviewed_by text,
    ADD COLUMN reviewed_at timestamptz,
    ADD COLUMN alarmed_at timestamptz,
    ADD COLUMN told_at timestamptz,
    DROP CONSTRAINT basis_kind_check,
    ADD CONSTRAINT basis_kind_check CHECK (kind IN (
        'CONSENT', 'CASE', 'POST_LOAN', 'SUPERVISION', 'JUDICIAL', 'OBJECTION', 'EMERGENCY')),
    DROP CONSTRAINT basis_status_check,
    ADD CONSTRAINT basis_status_check CHECK (status IN (
        'IN_FORCE', 'SUSPENDED', 'WITHDRAWN', 'REVOKED', 'EXPIRED', 'SUPERSEDED', 'INVALIDATED', 'PROPOSED', 'DECLINED',
        'ENDED'));
DROP INDEX consent.basis_in_force;
CREATE UNIQUE INDEX basis_in_force ON consent.basis (organisation_id, person_id, purpose, kind, coalesce(holder, ''))
    WHERE status = 'IN_FORCE';
CREATE INDEX basis_open ON consent.basis (declared_at) WHERE kind NOT IN ('CONSENT', 'CASE');

-- Uses of a basis that may be used so often in a calendar month.
ALTER TABLE consent.quota ADD COLUMN per text CHECK (per IN ('MONTH')), ADD COLUMN period date;

CREATE OR REPLACE FUNCTION access.use_basis(p_basis uuid, p_asker text, p_key text, p_print bytea) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_month CONSTANT date := date_trunc('month', clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date;
BEGIN
    IF p_key IS NOT NULL THEN
        IF EXISTS (SELECT FROM consent.use u
                   WHERE u.basis_id = p_basis AND u.asker = p_asker AND u.retry_key = p_key AND u.fingerprint = p_print
                     AND u.used_at > clock_timestamp() - interval '1 day') THEN
            RETURN true;
        END IF;
    END IF;
    UPDATE consent.quota q
    SET uses = CASE WHEN q.per IS NULL OR q.period = v_month THEN q.uses + 1 ELSE 1 END,
        period = CASE WHEN q.per IS NOT NULL THEN v_month END
    WHERE q.basis_id = p_basis AND (q.uses < q.max_uses OR q.per IS NOT NULL AND q.period IS DISTINCT FROM v_month);
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF p_key IS NOT NULL THEN
        INSERT INTO consent.use (basis_id, asker, retry_key, fingerprint, used_at)
        VALUES (p_basis, p_asker, p_key, p_print, clock_timestamp())
        ON CONFLICT (basis_id, asker, retry_key, fingerprint) DO UPDATE SET used_at = excluded.used_at;
    END IF;
    RETURN true;
END $$;

-- Whether a bank has this live loan to this person: the contract or receipt stands in its own detail and is not settled.
CREATE FUNCTION consent.has_live_loan(p_county char(6), p_household uuid, p_person uuid, p_bank text, p_reference text)
RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM record.section s
        CROSS JOIN LATERAL jsonb_array_elements((s.body::jsonb) -> 'items') AS loan
        WHERE s.county = p_county AND s.household_id = p_household AND s.person_id = p_person
          AND s.category = 'bank.loan' AND s.form = 'VALUE' AND s.owner = p_bank
          AND p_reference IN (loan ->> 'contractNo', loan ->> 'receiptNo')
          AND loan -> 'provenance' ->> 'validTo' IS NULL)
$$;

-- Declare a basis. Who the number and name fit is told to the log alone: a basis for nobody looks the same, and leads
-- to nobody. Refusals depend on the caller and the reference.
CREATE FUNCTION consent.declare_basis(
    p_basis uuid, p_asker text, p_token text, p_kind text, p_reference text, p_identity bytea[], p_name bytea[],
    p_parts text[], p_at timestamptz
) RETURNS TABLE (organisation_id text, role text, purpose text, status text, expires_at timestamptz, person_id uuid,
                 county char(6))
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_asker  access.asker := access.find_asker(p_asker);
    v_kind   consent.basis_kind;
    v_person record;
    v_state  text;
BEGIN
    SELECT k.* INTO v_kind FROM consent.basis_kind k WHERE k.kind = p_kind;
    IF NOT FOUND OR v_asker.role IS NULL OR v_asker.status <> 'ACTIVE' OR NOT v_asker.role = ANY (v_kind.declared_by)
       OR EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = p_token)
       OR NOT coalesce(v_kind.purpose = ANY (v_asker.purposes), true) OR NOT access.basis_allowed(p_kind) THEN
        RAISE EXCEPTION 'may not declare this' USING ERRCODE = 'HB120';
    END IF;
    IF p_reference !~ v_kind.reference_form THEN
        RAISE EXCEPTION 'the reference has another form' USING ERRCODE = 'HB121';
    END IF;
    IF cardinality(p_parts) = 0 OR NOT p_parts <@ coalesce(v_kind.parts, p_parts) OR EXISTS (
        SELECT FROM unnest(p_parts) AS wanted (part) WHERE NOT EXISTS (
            SELECT FROM access.decision d JOIN access.policy_set s ON s.digest = d.digest AND s.retired_at IS NULL
            WHERE d.role = v_asker.role AND d.purpose = v_kind.purpose AND d.part = wanted.part
              AND d.closed IS NULL AND d.needs_basis)) THEN
        RAISE EXCEPTION 'part not open to this role and purpose' USING ERRCODE = 'HB103';
    END IF;
    SELECT p.person_id, p.county, p.household_id INTO v_person
    FROM record.directory d JOIN record.person p ON p.person_id = record.present_person(d.person_id)
    WHERE d.blind_index = ANY (p_identity) AND p.name_index = ANY (p_name) AND p.status = 'ACTIVE'
      AND p.county = ANY (v_asker.county_codes)
    LIMIT 1;
    -- The loan is the bank's own, so it may be told that there is none; the same for whoever is not known.
    IF p_kind = 'POST_LOAN' AND (v_person.person_id IS NULL OR NOT consent.has_live_loan(
        v_person.county, v_person.household_id, v_person.person_id, v_asker.organisation_id, p_reference)) THEN
        RAISE EXCEPTION 'no live loan' USING ERRCODE = 'HB122';
    END IF;
    v_state := CASE WHEN v_kind.approved_by IS NULL THEN 'IN_FORCE' ELSE 'PROPOSED' END;
    IF v_state = 'IN_FORCE' THEN
        UPDATE consent.basis b SET status = 'ENDED', ended_at = p_at
        WHERE b.organisation_id = v_asker.organisation_id AND b.person_id = v_person.person_id AND b.kind = p_kind
          AND b.purpose = v_kind.purpose AND b.status = 'IN_FORCE'
          AND coalesce(b.holder, '') = CASE WHEN p_kind = 'POST_LOAN' THEN '' ELSE p_asker END
          AND (p_kind <> 'POST_LOAN' OR b.reference = p_reference OR b.expires_at <= p_at);
        -- Another loan of the same person is watched under the basis that there is: once a month for all of them.
        IF EXISTS (SELECT FROM consent.basis b WHERE b.organisation_id = v_asker.organisation_id AND b.kind = p_kind
                   AND b.person_id = v_person.person_id AND b.purpose = v_kind.purpose AND b.status = 'IN_FORCE'
                   AND coalesce(b.holder, '') = CASE WHEN p_kind = 'POST_LOAN' THEN '' ELSE p_asker END) THEN
            RAISE EXCEPTION 'there is one in force' USING ERRCODE = 'HB123';
        END IF;
    END IF;
    INSERT INTO consent.basis AS b (basis_id, kind, reference, county, organisation_id, person_id, purpose, parts,
        heightened, effective_from, expires_at, max_uses, status, holder, declared_by, declared_at)
    VALUES (p_basis, p_kind, p_reference, coalesce(v_person.county, '000000'), v_asker.organisation_id,
        coalesce(v_person.person_id, gen_random_uuid()), v_kind.purpose, p_parts, false, p_at, p_at + v_kind.lasts,
        v_kind.uses, v_state, CASE WHEN p_kind <> 'POST_LOAN' THEN p_asker END, p_asker, p_at);
    IF v_kind.uses IS NOT NULL THEN
        -- A basis that takes another's place goes on with its count.
        INSERT INTO consent.quota (basis_id, max_uses, per, uses, period)
        SELECT p_basis, v_kind.uses, v_kind.uses_per, coalesce(k.uses, 0), k.period
        FROM (SELECT) AS nothing LEFT JOIN LATERAL (
            SELECT q.uses, q.period FROM consent.basis b JOIN consent.quota q ON q.basis_id = b.basis_id
            WHERE b.organisation_id = v_asker.organisation_id AND b.person_id = v_person.person_id AND b.kind = p_kind
            ORDER BY q.period DESC NULLS LAST LIMIT 1) k ON true;
    END IF;
    RETURN QUERY SELECT v_asker.organisation_id, v_asker.role, v_kind.purpose, v_state, p_at + v_kind.lasts,
                        v_person.person_id, v_person.county;
END $$;

-- A second person says yes or no to a proposed basis, or looks afterwards at one that began without. Never who declared it.
CREATE FUNCTION consent.decide_basis(p_asker text, p_token text, p_basis uuid, p_yes boolean, p_at timestamptz)
RETURNS TABLE (role text, kind text, purpose text, status text, person_id uuid, county char(6), expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_asker access.asker := access.find_asker(p_asker);
    v_basis consent.basis;
    v_kind  consent.basis_kind;
BEGIN
    SELECT b.* INTO v_basis FROM consent.basis b
    WHERE b.basis_id = p_basis AND b.county = ANY (v_asker.county_codes || '000000'::char(6)) FOR UPDATE;
    SELECT k.* INTO v_kind FROM consent.basis_kind k WHERE k.kind = v_basis.kind;
    IF v_asker.role IS NULL OR v_asker.status <> 'ACTIVE' OR v_kind.kind IS NULL OR v_basis.declared_by = p_asker
       OR EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = p_token)
       OR EXISTS (SELECT FROM auth.account one JOIN auth.account two ON one.person_id = two.person_id
                  WHERE one.account_id = p_asker AND two.account_id = v_basis.declared_by) THEN
        RAISE EXCEPTION 'nothing to decide' USING ERRCODE = 'HB124';
    END IF;
    IF v_basis.status = 'PROPOSED' AND v_asker.role = ANY (v_kind.approved_by) THEN
        UPDATE consent.basis b SET status = CASE WHEN p_yes THEN 'IN_FORCE' ELSE 'DECLINED' END, decided_by = p_asker,
            decided_at = p_at, effective_from = p_at, expires_at = p_at + v_kind.lasts,
            ended_at = CASE WHEN NOT p_yes THEN p_at END
        WHERE b.basis_id = p_basis RETURNING b.* INTO v_basis;
    ELSIF v_kind.reviewed_by IS NOT NULL AND v_asker.role = ANY (v_kind.reviewed_by) AND v_basis.reviewed_at IS NULL THEN
        UPDATE consent.basis b SET reviewed_by = p_asker, reviewed_at = p_at,
            status = CASE WHEN p_yes THEN b.status ELSE 'REVOKED' END, ended_at = CASE WHEN NOT p_yes THEN p_at END
        WHERE b.basis_id = p_basis RETURNING b.* INTO v_basis;
    ELSE
        RAISE EXCEPTION 'nothing to decide' USING ERRCODE = 'HB124';
    END IF;
    RETURN QUERY SELECT v_asker.role, v_basis.kind, v_basis.purpose, v_basis.status, v_basis.person_id, v_basis.county,
                        v_basis.expires_at;
END $$;

-- Whoever declared a basis ends it when the case is over.
CREATE FUNCTION consent.end_basis(p_asker text, p_token text, p_basis uuid, p_at timestamptz)
RETURNS TABLE (role text, kind text, purpose text, status text, person_id uuid, county char(6), expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_asker access.asker := access.find_asker(p_asker);
    v_basis consent.basis;
BEGIN
    UPDATE consent.basis b SET status = 'ENDED', ended_at = p_at
    WHERE b.basis_id = p_basis AND b.kind NOT IN ('CONSENT', 'CASE') AND b.status IN ('IN_FORCE', 'PROPOSED')
      AND v_asker.status = 'ACTIVE'
      AND (b.declared_by = p_asker OR b.holder IS NULL AND b.organisation_id = v_asker.organisation_id)
      AND NOT EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = p_token)
    RETURNING b.* INTO v_basis;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'nothing to end' USING ERRCODE = 'HB124';
    END IF;
    RETURN QUERY SELECT v_asker.role, v_basis.kind, v_basis.purpose, v_basis.status, v_basis.person_id, v_basis.county,
                        v_basis.expires_at;
END $$;

-- Bases that are not consents, newest first, as whoever administers them sees them: no person.
CREATE FUNCTION consent.bases(p_open boolean, p_at timestamptz)
RETURNS TABLE (basis_id uuid, kind text, organisation_id text, purpose text, reference text, status text,
               declared_by text, declared_at timestamptz, decided_by text, reviewed_by text, expires_at timestamptz,
               review_late boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT b.basis_id, b.kind, b.organisation_id, b.purpose, b.reference,
           CASE WHEN b.status = 'IN_FORCE' AND b.expires_at <= p_at THEN 'EXPIRED' ELSE b.status END, b.declared_by,
           b.declared_at, b.decided_by, b.reviewed_by, b.expires_at,
           b.reviewed_at IS NULL AND coalesce(b.declared_at + k.review_within <= p_at, false)
    FROM consent.basis b JOIN consent.basis_kind k ON k.kind = b.kind
    WHERE NOT p_open OR b.status = 'PROPOSED' OR b.status = 'IN_FORCE' AND b.expires_at > p_at
       OR k.reviewed_by IS NOT NULL AND b.reviewed_at IS NULL
    ORDER BY b.declared_at DESC LIMIT 500
$$;

-- What of bases falls due: people who are to be told, and emergencies that nobody looked at in time. Each once.
CREATE FUNCTION consent.bases_due(p_at timestamptz)
RETURNS TABLE (ev uuid, what text, basis_id uuid, kind text, organisation_id text, purpose text, reference text,
               person_id uuid, county char(6))
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    UPDATE consent.basis b SET alarmed_at = p_at FROM consent.basis_kind k
    WHERE k.kind = b.kind AND k.review_within IS NOT NULL AND b.reviewed_at IS NULL AND b.alarmed_at IS NULL
      AND b.declared_at + k.review_within <= p_at
    RETURNING uuidv7(), 'unreviewed', b.basis_id, b.kind, b.organisation_id, b.purpose, b.reference, b.person_id, b.county;
    -- A day before the last moment, so that a day on which the worker stands still is not too late.
    RETURN QUERY
    UPDATE consent.basis b SET told_at = p_at FROM consent.basis_kind k
    WHERE k.kind = b.kind AND k.told_within > interval '0' AND b.told_at IS NULL
      AND b.declared_at + greatest(k.told_within - interval '48 hours', interval '0') <= p_at
      AND EXISTS (SELECT FROM record.person p WHERE p.person_id = b.person_id)
    RETURNING uuidv7(), 'told', b.basis_id, b.kind, b.organisation_id, b.purpose, b.reference, b.person_id, b.county;
END $$;

-- Integrity. ------------------------------------------------------------------------------------------------------------

-- Records of consents that still live, by id. `agrees`: the basis is what the signed terms say.
CREATE FUNCTION consent.standing_records(p_after uuid, p_limit int)
RETURNS TABLE (consent_id uuid, person_id uuid, county char(6), organisation_id text, purpose text, terms bytea,
               signature bytea, protected text, agrees boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT r.consent_id, b.person_id, b.county, b.organisation_id, b.purpose, r.terms, r.signature, r.protected,
           r.digest = sha256(r.terms) AND k.t ->> 'consentId' = b.basis_id::text AND k.t ->> 'purpose' = b.purpose
           AND k.t ->> 'recipient' = b.organisation_id AND k.t ->> 'subject' = b.person_id::text
           AND b.parts <@ ARRAY (SELECT jsonb_array_elements_text(k.t -> 'parts'))
           AND b.expires_at <= (k.t ->> 'expiresAt')::timestamptz
           AND coalesce(b.max_uses <= (k.t ->> 'maxUses')::int, false)
    FROM consent.basis b JOIN consent.record r ON r.consent_id = b.consent_id
    CROSS JOIN LATERAL (SELECT convert_from(r.terms, 'UTF8')::jsonb AS t) k
    WHERE b.status IN ('IN_FORCE', 'SUSPENDED') AND (p_after IS NULL OR b.basis_id > p_after)
    ORDER BY b.basis_id LIMIT p_limit
$$;

-- A consent whose record proves nothing any more. False if it was frozen already.
CREATE FUNCTION consent.freeze(p_consent uuid, p_cause text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE consent.basis b SET frozen_cause = p_cause WHERE b.basis_id = p_consent AND b.frozen_cause IS NULL;
    IF FOUND THEN
        PERFORM consent.tell(b.organisation_id, 'CONSENT', json_build_object(
            'requestId', r.request_id, 'consentId', b.basis_id, 'purpose', b.purpose, 'state', 'FROZEN',
            'at', clock_timestamp()))
        FROM consent.basis b JOIN consent.record r ON r.consent_id = b.consent_id WHERE b.basis_id = p_consent;
        RETURN true;
    END IF;
    RETURN false;
END $$;
