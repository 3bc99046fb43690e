-- The first security administrator is the first one who is a person: a sandbox's own two decide about nobody's account, so
-- beside them somebody has to begin as well.
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
        WHEN p_role = 'SECURITY_ADMIN' AND NOT EXISTS (
            SELECT FROM auth.account a WHERE a.role = 'SECURITY_ADMIN' AND NOT starts_with(a.account_id, 'sandbox-'))
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

CREATE OR REPLACE FUNCTION auth.issue_enrolment(
    p_enrolment uuid, p_account text, p_digest bytea, p_expires timestamptz, p_change uuid, p_by text,
    OUT role text, OUT person_id uuid, OUT change_id uuid
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_account auth.account := auth.lock_account(p_account);
    v_first   boolean;
BEGIN
    IF v_account.status NOT IN ('ACTIVE', 'PENDING') THEN
        RAISE EXCEPTION 'the account is not open' USING ERRCODE = 'HB166';
    END IF;
    role := v_account.role;
    person_id := v_account.person_id;
    UPDATE auth.enrolment e SET ended_at = clock_timestamp() WHERE e.account_id = p_account AND e.ended_at IS NULL;
    -- The very first security administrator has nobody who could approve, and nobody whose place he could take.
    v_first := v_account.role = 'SECURITY_ADMIN' AND v_account.status = 'ACTIVE' AND NOT EXISTS (
        SELECT FROM auth.passkey p JOIN auth.account a ON a.account_id = p.account_id WHERE a.role = 'SECURITY_ADMIN'
           AND NOT starts_with(a.account_id, 'sandbox-'));
    IF auth.takes_two(p_account, v_account.role, ARRAY[v_account.holder]) AND NOT v_first THEN
        change_id := auth.propose_change(p_change, p_account, 'ENROL', p_by);
    END IF;
    INSERT INTO auth.enrolment (enrolment_id, account_id, change_id, digest, expires_at)
    VALUES (p_enrolment, p_account, change_id, p_digest, p_expires);
END $$;
