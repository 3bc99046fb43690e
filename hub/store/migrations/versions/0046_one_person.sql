-- A person is one person under every id that he was known by, in what stops a household's parts too and in what takes the
-- place of an older basis.
CREATE OR REPLACE FUNCTION access.without_stopped(p_asked access.asked, p_basis access.held_basis, p_now timestamptz)
RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    v_own text[] := ARRAY (SELECT b.part FROM unnest(p_basis.parts) WITH ORDINALITY AS b (part, rank)
                           WHERE NOT access.is_household_part(b.part) ORDER BY b.rank);
BEGIN
    IF p_basis.kind <> 'CONSENT' OR cardinality(v_own) = cardinality(p_basis.parts) OR NOT EXISTS (
        SELECT FROM (
            SELECT m.person_id, b.status
            FROM record.person m
            JOIN consent.basis b ON b.person_id = ANY (record.same_person(m.person_id)) AND b.organisation_id = p_asked.organisation_id
                                AND b.purpose = p_asked.purpose AND b.kind = 'CONSENT' AND b.given_by = 'SELF'
                                AND b.status IN ('IN_FORCE', 'SUSPENDED', 'WITHDRAWN')
                                AND (b.expires_at > p_now OR b.ended_at >= p_basis.effective_from)
            WHERE m.county = p_asked.county AND m.household_id = p_asked.household_id AND m.status = 'ACTIVE'
              AND m.person_id <> p_asked.person_id
            FOR SHARE OF b) k
        GROUP BY k.person_id HAVING NOT bool_or(k.status = 'IN_FORCE')) THEN
        RETURN p_basis.parts;
    END IF;
    RETURN v_own;
END $$;

CREATE OR REPLACE FUNCTION consent.declare_basis(
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
        WHERE b.organisation_id = v_asker.organisation_id AND b.person_id = ANY (record.same_person(v_person.person_id)) AND b.kind = p_kind
          AND b.purpose = v_kind.purpose AND b.status = 'IN_FORCE'
          AND coalesce(b.holder, '') = CASE WHEN p_kind = 'POST_LOAN' THEN '' ELSE p_asker END
          AND (p_kind <> 'POST_LOAN' OR b.reference = p_reference OR b.expires_at <= p_at);
        -- Another loan of the same person is watched under the basis that there is: once a month for all of them.
        IF EXISTS (SELECT FROM consent.basis b WHERE b.organisation_id = v_asker.organisation_id AND b.kind = p_kind
                   AND b.person_id = ANY (record.same_person(v_person.person_id)) AND b.purpose = v_kind.purpose AND b.status = 'IN_FORCE'
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
            WHERE b.organisation_id = v_asker.organisation_id AND b.person_id = ANY (record.same_person(v_person.person_id)) AND b.kind = p_kind
            ORDER BY q.period DESC NULLS LAST LIMIT 1) k ON true;
    END IF;
    RETURN QUERY SELECT v_asker.organisation_id, v_asker.role, v_kind.purpose, v_state, p_at + v_kind.lasts,
                        v_person.person_id, v_person.county;
END $$;

-- Whoever declared a basis is looked at when it is decided: his area, and whether he may still act; a proposal lapses.
CREATE OR REPLACE FUNCTION consent.decide_basis(p_asker text, p_token text, p_basis uuid, p_yes boolean, p_at timestamptz)
RETURNS TABLE (role text, kind text, purpose text, status text, person_id uuid, county char(6), expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_asker access.asker := access.find_asker(p_asker);
    v_basis consent.basis;
    v_kind  consent.basis_kind;
    v_other access.asker;
BEGIN
    SELECT b.* INTO v_basis FROM consent.basis b WHERE b.basis_id = p_basis FOR UPDATE;
    SELECT k.* INTO v_kind FROM consent.basis_kind k WHERE k.kind = v_basis.kind;
    -- By the area of who declared it, not of whom it is about: a basis for nobody has to look like any other.
    v_other := access.find_asker(v_basis.declared_by);
    IF v_asker.role IS NULL OR v_asker.status <> 'ACTIVE' OR v_kind.kind IS NULL
       OR NOT coalesce(v_asker.county_codes && v_other.county_codes, false)
       OR EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = p_token)
       OR auth.same_person(p_asker, v_basis.declared_by) THEN
        RAISE EXCEPTION 'nothing to decide' USING ERRCODE = 'HB124';
    END IF;
    IF v_basis.status = 'PROPOSED' AND v_asker.role = ANY (v_kind.approved_by) AND v_other.status = 'ACTIVE'
       AND v_basis.declared_at > p_at - interval '7 days' THEN
        -- It takes the place of an earlier one of the same case, whether that is in force or ran out.
        UPDATE consent.basis b SET status = 'ENDED', ended_at = p_at
        WHERE p_yes AND b.status = 'IN_FORCE' AND b.organisation_id = v_basis.organisation_id
          AND b.person_id = v_basis.person_id AND b.purpose = v_basis.purpose AND b.kind = v_basis.kind
          AND b.holder IS NOT DISTINCT FROM v_basis.holder;
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

-- An id stands for one account, system or app, whichever is first: a token's subject tells them apart.
CREATE OR REPLACE FUNCTION auth.open_account(
    p_account text, p_role text, p_person uuid, p_holders bytea[], p_sealed bytea, p_organisation text,
    p_counties text[], p_change uuid, p_by text, OUT status text, OUT change_id uuid
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c_separate CONSTANT text[] := '{OPERATOR,SECURITY_ADMIN,AUDITOR}';
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('auth.account'), 0);
    IF EXISTS (SELECT FROM auth.account a WHERE a.account_id = p_account)
       OR EXISTS (SELECT FROM access.client c WHERE c.client_id = p_account)
       OR EXISTS (SELECT FROM auth.app p WHERE p.client_id = p_account) THEN
        RAISE EXCEPTION 'the id is taken' USING ERRCODE = 'HB160';
    END IF;
    IF num_nonnulls(p_person, p_sealed) <> 1 OR (p_person IS NOT NULL) <> (p_role IN ('RESIDENT', 'GUARDIAN'))
       OR (p_sealed IS NOT NULL AND cardinality(p_holders) = 0)
       OR (p_role IN ('LOAN_OFFICER', 'BANK_RISK', 'INSURER', 'MUTUAL_SOCIETY', 'PROVIDER', 'FURNISHER')
           AND p_organisation IS NULL) THEN
        RAISE EXCEPTION 'who holds it is missing' USING ERRCODE = 'HB163';
    END IF;
    IF p_organisation IS NOT NULL AND NOT EXISTS (
        SELECT FROM access.organisation o WHERE o.organisation_id = p_organisation) THEN
        RAISE EXCEPTION 'no such organisation' USING ERRCODE = 'HB164';
    END IF;
    IF EXISTS (SELECT FROM auth.account a WHERE a.status <> 'CLOSED' AND a.role = p_role
                AND (a.person_id = p_person OR a.holder = ANY (p_holders))) THEN
        RAISE EXCEPTION 'one account per person and role' USING ERRCODE = 'HB161';
    END IF;
    IF p_role = ANY (c_separate) AND EXISTS (
        SELECT FROM auth.account a WHERE a.status <> 'CLOSED' AND a.role = ANY (c_separate)
           AND a.holder = ANY (p_holders)) THEN
        RAISE EXCEPTION 'system, security and audit are three people' USING ERRCODE = 'HB162';
    END IF;
    status := CASE
        WHEN NOT auth.takes_two(p_account, p_role, p_holders) THEN 'ACTIVE'
        WHEN p_role = 'SECURITY_ADMIN' AND NOT EXISTS (SELECT FROM auth.account a WHERE a.role = 'SECURITY_ADMIN')
            THEN 'ACTIVE'
        ELSE 'PENDING' END;
    INSERT INTO auth.account (account_id, role, person_id, holder, sealed_holder, organisation_id, county_codes, status)
    VALUES (p_account, p_role, p_person, p_holders[1], p_sealed, p_organisation, p_counties, status);
    IF status = 'PENDING' THEN
        change_id := p_change;
        INSERT INTO auth.account_change (change_id, account_id, verb, proposed_by)
        VALUES (p_change, p_account, 'OPEN', p_by);
    END IF;
END $$;

-- Accounts that a sandbox makes decide about nobody's account.
CREATE OR REPLACE FUNCTION auth.administrator_of(p_cookie bytea) RETURNS auth.account
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT a FROM auth.session s JOIN auth.account a ON a.account_id = s.account_id
     WHERE s.digest = p_cookie AND auth.stands(s) AND s.factors >= 2 AND a.role = 'SECURITY_ADMIN'
       AND NOT starts_with(a.account_id, 'sandbox-')
$$;

-- Other adults are shown on a basis of their own, so under a review of loans only while there is a loan of their own.
CREATE OR REPLACE FUNCTION access.rule_others(
    p_asked access.asked, p_held access.held_basis[], p_digest bytea, p_now timestamptz, p_print bytea
) RETURNS access.other_adult[]
LANGUAGE plpgsql AS $$
DECLARE
    v_others access.other_adult[] := '{}';
    v_shown  uuid[] := '{}';
    v_adult  access.asked := p_asked;
    v_basis  access.held_basis;
    v_one    record;
BEGIN
    FOR v_one IN
        SELECT m.person_id, h AS basis
        FROM access.decision d
        CROSS JOIN unnest(p_asked.adults) WITH ORDINALITY AS m (person_id, place)
        LEFT JOIN unnest(p_held) AS h
               ON h.person_id = m.person_id
              AND consent.lack('IN_FORCE', h.effective_from, h.expires_at, h.fit, p_now) IS NULL
        -- The rule by which the person named was granted it: only what hangs on the basis is left to decide.
        WHERE d.digest = p_digest AND d.role = p_asked.role AND d.purpose = p_asked.purpose
          AND d.part = 'identity/VALUE' AND p_asked.role <> 'GUARDIAN'
          AND (NOT d.needs_basis OR 'identity/VALUE' = ANY (h.parts))
          AND (NOT d.needs_heightened_notice OR h.heightened)
        ORDER BY m.place, h.basis_id
    LOOP
        v_basis := v_one.basis;
        v_adult.person_id := v_one.person_id;
        CONTINUE WHEN v_one.person_id = ANY (v_shown)
            OR p_asked.purpose = 'POST_LOAN_REVIEW' AND NOT access.has_watched_loan(v_adult, v_basis);
        v_shown := v_shown || v_one.person_id;
        IF v_basis.limited IS NOT TRUE
           OR access.use_basis(v_basis.basis_id, p_asked.asker, p_asked.retry_key, p_print) THEN
            v_others := v_others || ROW(v_one.person_id, v_basis.basis_id)::access.other_adult;
        END IF;
    END LOOP;
    RETURN v_others;
END $$;

-- From the first registered officer on, an organisation acts by registered ones only, whatever the act (HB175).
CREATE FUNCTION access.check_officer(p_client text, p_officer text) RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_officer <> p_client AND access.is_unknown_officer(p_client, p_officer) THEN
        RAISE EXCEPTION 'officer is not in the register' USING ERRCODE = 'HB175';
    END IF;
END $$;
REVOKE ALL ON FUNCTION access.check_officer FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access.check_officer TO hub_app;
