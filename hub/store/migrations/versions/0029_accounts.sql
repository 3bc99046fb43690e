-- Accounts of real people: who holds one, how it is opened, changed and closed, and which changes need two people.
--
-- Refusals carry HB160 to HB169; hub/flows/change_account.py maps them. Order of locks: holder (advisory), account, change,
-- enrolment, passkey, session.

-- Who holds an account: a keyed hash of the ID number, so that one person is known as one, and what names him, sealed.
-- Residents and guardians are in the record and have a person_id instead.
ALTER TABLE auth.account
    ADD COLUMN holder        bytea,
    ADD COLUMN sealed_holder bytea,
    ADD CHECK ((holder IS NULL) = (sealed_holder IS NULL)),
    DROP CONSTRAINT account_status_check,
    ADD CONSTRAINT account_status_check CHECK (status IN ('PENDING', 'ACTIVE', 'SUSPENDED', 'CLOSED'));
CREATE UNIQUE INDEX account_one_per_person ON auth.account (person_id, role)
    WHERE person_id IS NOT NULL AND status <> 'CLOSED';
CREATE UNIQUE INDEX account_one_per_holder ON auth.account (holder, role) WHERE holder IS NOT NULL AND status <> 'CLOSED';
-- System, security and audit are three people (三员分立, GB/T 22239-2019).
CREATE UNIQUE INDEX account_separation ON auth.account (holder)
    WHERE holder IS NOT NULL AND status <> 'CLOSED' AND role IN ('OPERATOR', 'SECURITY_ADMIN', 'AUDITOR');

-- What an account was before each change of it.
CREATE TABLE auth.past_account (
    account_id      text NOT NULL,
    until           timestamptz NOT NULL,
    status          text NOT NULL,
    organisation_id text,
    county_codes    char(6)[] NOT NULL,
    village_codes   text[] NOT NULL,
    PRIMARY KEY (account_id, until)
);
CREATE FUNCTION auth.keep_past_account() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO auth.past_account
    VALUES (OLD.account_id, clock_timestamp(), OLD.status, OLD.organisation_id, OLD.county_codes, OLD.village_codes);
    RETURN NULL;
END $$;
CREATE TRIGGER keep_past AFTER UPDATE ON auth.account FOR EACH ROW
    WHEN ((OLD.status, OLD.organisation_id, OLD.county_codes, OLD.village_codes)
          IS DISTINCT FROM (NEW.status, NEW.organisation_id, NEW.county_codes, NEW.village_codes))
    EXECUTE FUNCTION auth.keep_past_account();

-- For which days a village is a collector's. An account without any row here has the villages of auth.account.
CREATE TABLE auth.assignment (
    assignment_id uuid PRIMARY KEY,
    account_id    text NOT NULL REFERENCES auth.account,
    village_code  text NOT NULL CHECK (village_code ~ '^[0-9]{6,12}$'),
    from_day      date NOT NULL,
    to_day        date CHECK (to_day >= from_day - 1),  -- the day before: taken back before it began
    made_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX assignment_account ON auth.assignment (account_id);

-- The villages of an account on a day; the last day counts.
CREATE FUNCTION auth.villages_of(p_account text, p_standing text[], p_day date) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN count(*) = 0 THEN p_standing
                ELSE coalesce(array_agg(DISTINCT s.village_code) FILTER (
                         WHERE p_day >= s.from_day AND (s.to_day IS NULL OR p_day <= s.to_day)), '{}') END
      FROM auth.assignment s WHERE s.account_id = p_account
$$;

-- A change that one person asked for and another has to approve.
CREATE TABLE auth.account_change (
    change_id    uuid PRIMARY KEY,
    account_id   text NOT NULL REFERENCES auth.account,
    verb         text NOT NULL CHECK (verb IN ('OPEN', 'RESUME', 'ENROL')),
    proposed_by  text NOT NULL,
    proposed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    lapses_at    timestamptz NOT NULL DEFAULT clock_timestamp() + interval '7 days',
    state        text NOT NULL DEFAULT 'PENDING' CHECK (state IN ('PENDING', 'APPROVED', 'REFUSED', 'DROPPED')),
    decided_by   text REFERENCES auth.account,
    decided_at   timestamptz,
    CHECK ((state IN ('APPROVED', 'REFUSED')) = (decided_by IS NOT NULL) AND (decided_by IS NULL) = (decided_at IS NULL))
);
CREATE UNIQUE INDEX account_change_pending ON auth.account_change (account_id, verb) WHERE state = 'PENDING';

-- A single-use code with which a person makes the account's passkey. For accounts that need two people there are two
-- codes: one goes to who asked for it, the other to who approved, so that neither can take the account alone.
CREATE TABLE auth.enrolment (
    enrolment_id  uuid PRIMARY KEY,
    account_id    text NOT NULL REFERENCES auth.account,
    change_id     uuid UNIQUE REFERENCES auth.account_change,
    digest        bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    second_digest bytea CHECK (octet_length(second_digest) = 32),
    issued_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at    timestamptz NOT NULL,
    ended_at      timestamptz
);
CREATE INDEX enrolment_account ON auth.enrolment (account_id) WHERE ended_at IS NULL;

-- Whether opening, resuming and enrolling an account of this role takes two people.
CREATE FUNCTION auth.needs_approval(p_account text, p_role text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT p_role IN ('OPERATOR', 'SECURITY_ADMIN', 'AUDITOR', 'REGULATOR') AND NOT starts_with(p_account, 'sandbox-')
$$;

-- Opens an account. `p_holders`: the holder's keyed hash under every key held, newest first; empty for residents.
-- Gives its status and, where it waits for a second person, the change. The very first security administrator is opened
-- without one, since there is nobody yet. HB160: the id is taken, HB161: the person has such an account,
-- HB162: separation of duties, HB163: what the role needs is missing, HB164: no such organisation.
CREATE FUNCTION auth.open_account(
    p_account text, p_role text, p_person uuid, p_holders bytea[], p_sealed bytea, p_organisation text,
    p_counties text[], p_change uuid, p_by text, OUT status text, OUT change_id uuid
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c_separate CONSTANT text[] := '{OPERATOR,SECURITY_ADMIN,AUDITOR}';
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('auth.account'), 0);
    IF EXISTS (SELECT FROM auth.account a WHERE a.account_id = p_account)
       OR EXISTS (SELECT FROM access.client c WHERE c.client_id = p_account) THEN
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
        WHEN NOT auth.needs_approval(p_account, p_role) THEN 'ACTIVE'
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

-- Locks an account that is not closed. HB165: there is none.
CREATE FUNCTION auth.lock_account(p_account text) RETURNS auth.account
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_account auth.account;
BEGIN
    SELECT * INTO v_account FROM auth.account a
     WHERE a.account_id = p_account AND a.status <> 'CLOSED' FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such account' USING ERRCODE = 'HB165';
    END IF;
    RETURN v_account;
END $$;

-- Suspends or closes an account at once: sessions, their tokens, codes, enrolments and open changes end with it; a
-- closed one loses its passkeys too. Gives role and how many sessions ended.
CREATE FUNCTION auth.stop_account(p_account text, p_status text, OUT role text, OUT person_id uuid, OUT sessions int)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_account auth.account := auth.lock_account(p_account);
BEGIN
    IF p_status NOT IN ('SUSPENDED', 'CLOSED') OR v_account.status = p_status
       OR (v_account.status = 'PENDING' AND p_status <> 'CLOSED') THEN
        RAISE EXCEPTION 'no such change of status' USING ERRCODE = 'HB166';
    END IF;
    UPDATE auth.account a SET status = p_status WHERE a.account_id = p_account;
    UPDATE auth.enrolment e SET ended_at = clock_timestamp() WHERE e.account_id = p_account AND e.ended_at IS NULL;
    UPDATE auth.account_change c SET state = 'DROPPED' WHERE c.account_id = p_account AND c.state = 'PENDING';
    DELETE FROM auth.one_time_code c WHERE c.account_id = p_account;
    IF p_status = 'CLOSED' THEN
        UPDATE auth.passkey p SET revoked_at = clock_timestamp()
         WHERE p.account_id = p_account AND p.revoked_at IS NULL;
        UPDATE auth.assignment s SET to_day = (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date
         WHERE s.account_id = p_account AND s.to_day IS NULL
           AND s.from_day <= (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date;
    END IF;
    role := v_account.role;
    person_id := v_account.person_id;
    sessions := auth.end_sessions_of(p_account, NULL, p_status);
END $$;

-- Resumes a suspended account, or asks for it where that takes two people.
CREATE FUNCTION auth.resume_account(
    p_account text, p_change uuid, p_by text, OUT role text, OUT person_id uuid, OUT change_id uuid
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_account auth.account := auth.lock_account(p_account);
BEGIN
    IF v_account.status <> 'SUSPENDED' THEN
        RAISE EXCEPTION 'it is not suspended' USING ERRCODE = 'HB166';
    END IF;
    role := v_account.role;
    person_id := v_account.person_id;
    IF auth.needs_approval(p_account, v_account.role) THEN
        change_id := auth.propose_change(p_change, p_account, 'RESUME', p_by);
    ELSE
        UPDATE auth.account a SET status = 'ACTIVE' WHERE a.account_id = p_account;
    END IF;
END $$;

-- Puts a change before a second person, in the place of an older one of its kind.
CREATE FUNCTION auth.propose_change(p_change uuid, p_account text, p_verb text, p_by text) RETURNS uuid
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE auth.account_change c SET state = 'DROPPED'
     WHERE c.account_id = p_account AND c.verb = p_verb AND c.state = 'PENDING';
    INSERT INTO auth.account_change (change_id, account_id, verb, proposed_by)
    VALUES (p_change, p_account, p_verb, p_by);
    RETURN p_change;
END $$;

-- Assigns a village to a collector or reviewer for some days. HB167: not a role that works in villages.
CREATE FUNCTION auth.assign_village(
    p_assignment uuid, p_account text, p_village text, p_from date, p_to date, OUT role text
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_account auth.account := auth.lock_account(p_account);
BEGIN
    IF v_account.role NOT IN ('COLLECTOR', 'VILLAGE_REVIEWER') THEN
        RAISE EXCEPTION 'this role has no villages' USING ERRCODE = 'HB167';
    END IF;
    role := v_account.role;
    INSERT INTO auth.assignment (assignment_id, account_id, village_code, from_day, to_day)
    VALUES (p_assignment, p_account, p_village, p_from, p_to);
END $$;

-- Ends the assignments of a village after a day; gives how many. Those that would begin later are taken away.
CREATE FUNCTION auth.unassign_village(p_account text, p_village text, p_last date) RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_account auth.account := auth.lock_account(p_account);
    v_ended   int;
    v_removed int;
BEGIN
    UPDATE auth.assignment s SET to_day = p_last
     WHERE s.account_id = v_account.account_id AND s.village_code = p_village AND s.from_day <= p_last
       AND (s.to_day IS NULL OR s.to_day > p_last);
    GET DIAGNOSTICS v_ended = ROW_COUNT;
    UPDATE auth.assignment s SET to_day = s.from_day - 1
     WHERE s.account_id = v_account.account_id AND s.village_code = p_village AND s.from_day > p_last
       AND (s.to_day IS NULL OR s.to_day >= s.from_day);
    GET DIAGNOSTICS v_removed = ROW_COUNT;
    RETURN v_ended + v_removed;
END $$;

-- Issues an enrolment code, in the place of earlier ones of the account.
CREATE FUNCTION auth.issue_enrolment(
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
        SELECT FROM auth.passkey p JOIN auth.account a ON a.account_id = p.account_id WHERE a.role = 'SECURITY_ADMIN');
    IF auth.needs_approval(p_account, v_account.role) AND NOT v_first THEN
        change_id := auth.propose_change(p_change, p_account, 'ENROL', p_by);
    END IF;
    INSERT INTO auth.enrolment (enrolment_id, account_id, change_id, digest, expires_at)
    VALUES (p_enrolment, p_account, change_id, p_digest, p_expires);
END $$;

-- The enrolment behind one code, or two, at this moment; no row where there is none.
CREATE FUNCTION auth.find_enrolment(p_digest bytea, p_second bytea)
    RETURNS TABLE (enrolment_id uuid, account_id text, handle uuid, known bytea[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT e.enrolment_id, a.account_id, a.handle,
           ARRAY (SELECT p.credential_id FROM auth.passkey p WHERE p.account_id = a.account_id AND p.revoked_at IS NULL)
      FROM auth.enrolment e JOIN auth.account a ON a.account_id = e.account_id
     WHERE e.digest = p_digest AND e.ended_at IS NULL AND e.expires_at > clock_timestamp() AND a.status = 'ACTIVE'
       AND e.second_digest IS NOT DISTINCT FROM p_second
       AND (e.change_id IS NULL OR e.second_digest IS NOT NULL)
$$;

-- Stores the passkey that was made with an enrolment's codes; the codes are gone afterwards. HB165: they were before.
-- HB168: the passkey is somebody's already.
CREATE FUNCTION auth.enrol_passkey(
    p_digest bytea, p_second bytea, p_passkey uuid, p_credential bytea, p_key bytea, p_count bigint, p_synced boolean,
    p_challenge bytea, p_expires timestamptz
)
    RETURNS TABLE (enrolment_id uuid, account_id text, role text, person_id uuid)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_found   record;
    v_account auth.account;
BEGIN
    PERFORM auth.use_challenge(p_challenge, p_expires);
    SELECT * INTO v_found FROM auth.find_enrolment(p_digest, p_second);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such enrolment' USING ERRCODE = 'HB165';
    END IF;
    v_account := auth.lock_account(v_found.account_id);
    UPDATE auth.enrolment e SET ended_at = clock_timestamp()
     WHERE e.enrolment_id = v_found.enrolment_id AND e.ended_at IS NULL;
    IF NOT FOUND OR v_account.status <> 'ACTIVE' THEN
        RAISE EXCEPTION 'no such enrolment' USING ERRCODE = 'HB165';
    END IF;
    INSERT INTO auth.passkey (passkey_id, account_id, credential_id, public_key, sign_count, synced)
    VALUES (p_passkey, v_account.account_id, p_credential, p_key, p_count, p_synced) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this passkey is enrolled already' USING ERRCODE = 'HB168';
    END IF;
    RETURN QUERY SELECT v_found.enrolment_id, v_account.account_id, v_account.role, v_account.person_id;
END $$;

-- Revokes a passkey (a lost device) and ends its sessions at once. HB165: there is no such passkey.
CREATE FUNCTION auth.revoke_passkey(p_passkey uuid, OUT account_id text, OUT person_id uuid, OUT sessions int)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT a.account_id, a.person_id INTO account_id, person_id FROM auth.account a
     WHERE a.account_id = (SELECT p.account_id FROM auth.passkey p WHERE p.passkey_id = p_passkey) FOR UPDATE;
    UPDATE auth.passkey p SET revoked_at = clock_timestamp() WHERE p.passkey_id = p_passkey AND p.revoked_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such passkey' USING ERRCODE = 'HB165';
    END IF;
    sessions := auth.end_sessions_of(account_id, p_passkey, 'PASSKEY_REVOKED');
END $$;

-- The security administrator behind a cookie who showed two factors; null for everybody else.
CREATE FUNCTION auth.administrator_of(p_cookie bytea) RETURNS auth.account
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT a FROM auth.session s JOIN auth.account a ON a.account_id = s.account_id
     WHERE s.digest = p_cookie AND auth.stands(s) AND s.factors >= 2 AND a.role = 'SECURITY_ADMIN'
       AND s.seen_at > clock_timestamp() - interval '30 minutes'
$$;

-- What waits for a second person, for a security administrator; `own`: it concerns his own account.
CREATE FUNCTION auth.pending_changes(p_cookie bytea)
    RETURNS TABLE (change_id uuid, account_id text, role text, verb text, proposed_by text, proposed_at timestamptz,
                   organisation_id text, own boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_admin auth.account := auth.administrator_of(p_cookie);
BEGIN
    IF v_admin.account_id IS NULL THEN
        RAISE EXCEPTION 'not a security administrator' USING ERRCODE = 'HB169';
    END IF;
    RETURN QUERY
    SELECT c.change_id, c.account_id, a.role, c.verb, c.proposed_by, c.proposed_at, a.organisation_id,
           a.account_id = v_admin.account_id OR coalesce(a.holder = v_admin.holder, false)
      FROM auth.account_change c JOIN auth.account a ON a.account_id = c.account_id
     WHERE c.state = 'PENDING' AND c.lapses_at > clock_timestamp()
     ORDER BY c.proposed_at;
END $$;

-- Decides a change. The cookie itself is asked for, so that whoever holds the application's login alone can approve
-- nothing. HB169: not a security administrator, or his own account, or his own proposal. HB165: nothing waits.
CREATE FUNCTION auth.decide_change(p_cookie bytea, p_change uuid, p_approve boolean, p_second bytea)
    RETURNS TABLE (account_id text, role text, verb text, decided_by text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_admin   auth.account := auth.administrator_of(p_cookie);
    v_account auth.account;
    v_change  auth.account_change;
BEGIN
    IF v_admin.account_id IS NULL THEN
        RAISE EXCEPTION 'not a security administrator' USING ERRCODE = 'HB169';
    END IF;
    v_account := auth.lock_account((SELECT c.account_id FROM auth.account_change c WHERE c.change_id = p_change));
    SELECT * INTO v_change FROM auth.account_change c
     WHERE c.change_id = p_change AND c.state = 'PENDING' AND c.lapses_at > clock_timestamp() FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'nothing waits' USING ERRCODE = 'HB165';
    END IF;
    IF v_admin.account_id IN (v_account.account_id, v_change.proposed_by)
       OR coalesce(v_admin.holder = v_account.holder, false) THEN
        RAISE EXCEPTION 'nobody approves his own' USING ERRCODE = 'HB169';
    END IF;
    UPDATE auth.account_change c
       SET state = CASE WHEN p_approve THEN 'APPROVED' ELSE 'REFUSED' END, decided_by = v_admin.account_id,
           decided_at = clock_timestamp()
     WHERE c.change_id = p_change;
    IF v_change.verb = 'ENROL' THEN
        UPDATE auth.enrolment e
           SET second_digest = CASE WHEN p_approve THEN p_second END,
               ended_at = CASE WHEN NOT p_approve THEN clock_timestamp() END
         WHERE e.change_id = p_change AND e.ended_at IS NULL;
    ELSIF p_approve THEN
        UPDATE auth.account a SET status = 'ACTIVE' WHERE a.account_id = v_account.account_id;
    ELSIF v_change.verb = 'OPEN' THEN
        PERFORM auth.stop_account(v_account.account_id, 'CLOSED');
    END IF;
    RETURN QUERY SELECT v_account.account_id, v_account.role, v_change.verb, v_admin.account_id;
END $$;

-- Who may ask: the villages are those of the day.
CREATE OR REPLACE FUNCTION access.find_asker(p_asker text) RETURNS access.asker
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_asker access.asker;
BEGIN
    SELECT c.role, c.organisation_id, c.status, c.purposes, c.county_codes, '{}', NULL, c.max_subjects_per_day
    INTO v_asker FROM access.client c WHERE c.client_id = p_asker;
    IF NOT FOUND THEN
        SELECT a.role, CASE WHEN a.role = 'RESIDENT' THEN '' ELSE coalesce(a.organisation_id, 'hub') END, a.status,
               NULL, a.county_codes,
               auth.villages_of(a.account_id, a.village_codes, (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date),
               CASE WHEN a.role = 'RESIDENT' THEN record.present_person(a.person_id) END,
               (SELECT l.max_subjects_per_day FROM access.role_limit l WHERE l.role = a.role)
        INTO v_asker FROM auth.account a WHERE a.account_id = p_asker;
    END IF;
    RETURN v_asker;
END $$;

CREATE OR REPLACE FUNCTION access.official_coverage(
    p_account text, p_token text, p_area text, p_digits int, p_at timestamptz,
    OUT role text, OUT organisation_id text, OUT lines jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_within text[];
BEGIN
    SELECT a.role, a.organisation_id,
        CASE WHEN cardinality(v.codes) > 0 THEN v.codes
             WHEN a.role IN ('REGULATOR', 'STEWARD', 'TOWNSHIP') THEN a.county_codes::text[] END
    INTO role, organisation_id, v_within
    FROM auth.account a
    CROSS JOIN LATERAL (SELECT auth.villages_of(
        a.account_id, a.village_codes, (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date) AS codes) v
    WHERE a.account_id = p_account AND a.status = 'ACTIVE'
      AND a.role IN ('REGULATOR', 'STEWARD', 'TOWNSHIP', 'COLLECTOR')
      AND NOT EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = p_token);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'role may not read coverage' USING ERRCODE = 'HB120';
    END IF;
    IF v_within IS NULL OR NOT EXISTS (
        SELECT FROM unnest(v_within) AS w (code) WHERE starts_with(w.code, p_area) OR starts_with(p_area, w.code)) THEN
        RAISE EXCEPTION 'area is not the account''s' USING ERRCODE = 'HB121';
    END IF;
    SELECT coalesce(jsonb_agg(to_jsonb(c)), '[]') INTO lines
    FROM record.coverage(p_area, p_digits, v_within, p_at) c;
END $$;
-- People of lenders who sign in themselves are counted like the systems that act for them.
INSERT INTO access.role_limit VALUES ('LOAN_OFFICER', 100), ('BANK_RISK', 100) ON CONFLICT DO NOTHING;

-- All changes of accounts go through the functions above.
REVOKE INSERT, UPDATE ON auth.account FROM hub_ingest;
REVOKE ALL ON auth.past_account, auth.assignment, auth.account_change, auth.enrolment FROM PUBLIC;
REVOKE ALL ON FUNCTION auth.keep_past_account, auth.villages_of, auth.needs_approval, auth.open_account,
    auth.lock_account, auth.stop_account, auth.resume_account, auth.propose_change, auth.assign_village,
    auth.unassign_village, auth.issue_enrolment, auth.find_enrolment, auth.enrol_passkey, auth.revoke_passkey,
    auth.administrator_of, auth.pending_changes, auth.decide_change FROM PUBLIC;
GRANT EXECUTE ON FUNCTION auth.open_account, auth.stop_account, auth.resume_account, auth.assign_village,
    auth.unassign_village, auth.issue_enrolment, auth.revoke_passkey TO hub_ingest;
GRANT SELECT ON auth.passkey, auth.assignment, auth.account_change TO hub_ingest;
GRANT EXECUTE ON FUNCTION auth.find_enrolment, auth.enrol_passkey, auth.pending_changes, auth.decide_change TO hub_app;

INSERT INTO audit.event_name (name) VALUES
    ('account:operator:assigned'), ('account:operator:proposed'), ('account:administrator:decided'),
    ('enrolment:operator:issued'), ('passkey:person:enrolled'), ('passkey:operator:revoked');
