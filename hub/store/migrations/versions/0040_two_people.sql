-- What takes two people takes two people: accounts are compared by whom they belong to, and the key of an administrator who
-- signs for rules is confirmed by another administrator, not registered on the word of whoever has the shell.

-- Whether two accounts are one person's. Those of the record name it, all others keep a keyed hash of the holder.
CREATE FUNCTION auth.same_person(p_one text, p_two text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT p_one = p_two OR EXISTS (
        SELECT FROM auth.account one JOIN auth.account two ON one.person_id = two.person_id OR one.holder = two.holder
         WHERE one.account_id = p_one AND two.account_id = p_two)
$$;

-- A key counts from `confirmed_at` on; `change_id` is the change under which another administrator confirmed it. Keys that
-- were registered before this was asked for have to be registered anew; generated ones count in the sandbox only.
ALTER TABLE access.approver
    ADD COLUMN change_id    uuid UNIQUE REFERENCES auth.account_change,
    ADD COLUMN confirmed_at timestamptz;
UPDATE access.approver SET confirmed_at = registered_at WHERE starts_with(account_id, 'sandbox-');
DROP INDEX access.approver_key;
CREATE UNIQUE INDEX approver_key ON access.approver (account_id) WHERE revoked_at IS NULL AND confirmed_at IS NOT NULL;
ALTER TABLE auth.account_change
    DROP CONSTRAINT account_change_verb_check,
    ADD CONSTRAINT account_change_verb_check CHECK (verb IN ('OPEN', 'RESUME', 'ENROL', 'APPROVER'));

-- What waits for a second person, for a security administrator; `own`: it concerns his own account. `key_digest`: SHA-256 of
-- the key to be registered, so that it can be compared with what its owner has.
DROP FUNCTION auth.pending_changes(bytea);
CREATE FUNCTION auth.pending_changes(p_cookie bytea)
    RETURNS TABLE (change_id uuid, account_id text, role text, verb text, proposed_by text, proposed_at timestamptz,
                   organisation_id text, own boolean, key_digest bytea)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_admin auth.account := auth.administrator_of(p_cookie);
BEGIN
    IF v_admin.account_id IS NULL THEN
        RAISE EXCEPTION 'not a security administrator' USING ERRCODE = 'HB169';
    END IF;
    RETURN QUERY
    SELECT c.change_id, c.account_id, a.role, c.verb, c.proposed_by, c.proposed_at, a.organisation_id,
           auth.same_person(a.account_id, v_admin.account_id),
           (SELECT sha256(r.public_key) FROM access.approver r WHERE r.change_id = c.change_id)
      FROM auth.account_change c JOIN auth.account a ON a.account_id = c.account_id
     WHERE c.state = 'PENDING' AND c.lapses_at > clock_timestamp()
     ORDER BY c.proposed_at;
END $$;
REVOKE ALL ON FUNCTION auth.same_person, auth.pending_changes FROM PUBLIC;
GRANT EXECUTE ON FUNCTION auth.pending_changes TO hub_app;

CREATE OR REPLACE FUNCTION auth.decide_change(p_cookie bytea, p_change uuid, p_approve boolean, p_second bytea)
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
    IF v_admin.account_id = v_change.proposed_by OR auth.same_person(v_admin.account_id, v_account.account_id) THEN
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
    ELSIF v_change.verb = 'APPROVER' THEN
        IF p_approve THEN
            UPDATE access.approver r SET revoked_at = clock_timestamp()
             WHERE r.account_id = v_account.account_id AND r.revoked_at IS NULL AND r.confirmed_at IS NOT NULL;
        END IF;
        UPDATE access.approver r
           SET confirmed_at = CASE WHEN p_approve THEN clock_timestamp() END,
               revoked_at = CASE WHEN NOT p_approve THEN clock_timestamp() END
         WHERE r.change_id = p_change AND r.revoked_at IS NULL;
    ELSIF p_approve THEN
        UPDATE auth.account a SET status = 'ACTIVE' WHERE a.account_id = v_account.account_id;
    ELSIF v_change.verb = 'OPEN' THEN
        PERFORM auth.stop_account(v_account.account_id, 'CLOSED');
    END IF;
    RETURN QUERY SELECT v_account.account_id, v_account.role, v_change.verb, v_admin.account_id;
END $$;

-- A second person says yes or no to a proposed basis, or looks afterwards at one that began without. Never who declared it,
-- by whichever account.
CREATE OR REPLACE FUNCTION consent.decide_basis(p_asker text, p_token text, p_basis uuid, p_yes boolean, p_at timestamptz)
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
    IF v_asker.role IS NULL OR v_asker.status <> 'ACTIVE' OR v_kind.kind IS NULL
       OR EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = p_token)
       OR auth.same_person(p_asker, v_basis.declared_by) THEN
        RAISE EXCEPTION 'nothing to decide' USING ERRCODE = 'HB124';
    END IF;
    IF v_basis.status = 'PROPOSED' AND v_asker.role = ANY (v_kind.approved_by) THEN
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

-- Steps with a consent, one after the other.
CREATE OR REPLACE FUNCTION consent.step(
    p_consent uuid, p_verb text, p_at timestamptz, p_by text, p_ev uuid, p_cause text DEFAULT NULL
) RETURNS SETOF consent.basis
LANGUAGE plpgsql AS $$
DECLARE
    v_basis consent.basis;
BEGIN
    -- Locked first, by a statement of its own: an UPDATE that waits for another step would compare the state it finds then
    -- with the transition it found before, and tell a person who withdraws that there is nothing to withdraw.
    PERFORM FROM consent.basis b WHERE b.basis_id = p_consent AND b.kind = 'CONSENT' FOR NO KEY UPDATE;
    UPDATE consent.basis b
    SET status = t.to_state, ended_at = CASE WHEN t.to_state IN ('IN_FORCE', 'SUSPENDED') THEN NULL ELSE p_at END
    FROM consent.transition t
    WHERE b.basis_id = p_consent AND b.kind = 'CONSENT' AND t.from_state = b.status AND t.verb = p_verb
    RETURNING b.* INTO v_basis;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM consent.note(r.request_id, r.consent_id, p_verb, v_basis.status, p_at, p_by, p_ev, p_cause)
    FROM consent.record r WHERE r.consent_id = p_consent;
    RETURN NEXT v_basis;
END $$;

-- A session that nobody used for half an hour is over for whatever rests on it, tokens included. Getting a token is a use.
CREATE OR REPLACE FUNCTION auth.stands(p_session auth.session) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p_session.ended_at IS NULL AND p_session.ends_at > clock_timestamp()
       AND p_session.seen_at > clock_timestamp() - interval '30 minutes'
       AND EXISTS (SELECT FROM auth.account a WHERE a.account_id = p_session.account_id AND a.status = 'ACTIVE')
$$;

CREATE OR REPLACE FUNCTION auth.find_session(p_digest bytea)
    RETURNS TABLE (session_id uuid, account_id text, role text, person_id uuid, organisation_id text, method text,
                   factors int, begun_at timestamptz)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_session auth.session;
BEGIN
    SELECT * INTO v_session FROM auth.session s WHERE s.digest = p_digest;
    IF NOT FOUND OR NOT auth.stands(v_session) THEN
        RETURN;
    END IF;
    IF v_session.seen_at < clock_timestamp() - interval '1 minute' THEN
        UPDATE auth.session s SET seen_at = clock_timestamp() WHERE s.session_id = v_session.session_id;
    END IF;
    RETURN QUERY
    SELECT v_session.session_id, a.account_id, a.role, record.present_person(a.person_id), a.organisation_id,
           v_session.method, v_session.factors, v_session.begun_at
      FROM auth.account a WHERE a.account_id = v_session.account_id;
END $$;

CREATE OR REPLACE FUNCTION auth.bind_token(p_jti text, p_session uuid, p_expires timestamptz) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_session auth.session;
BEGIN
    DELETE FROM auth.session_token t
     WHERE t.ctid IN (SELECT o.ctid FROM auth.session_token o
                       WHERE o.expires_at < clock_timestamp() - interval '5 minutes'
                       LIMIT 20 FOR UPDATE SKIP LOCKED);
    SELECT * INTO v_session FROM auth.session s WHERE s.session_id = p_session FOR NO KEY UPDATE;
    IF NOT FOUND OR NOT auth.stands(v_session) THEN
        RETURN false;
    END IF;
    UPDATE auth.session s SET seen_at = clock_timestamp() WHERE s.session_id = p_session;
    INSERT INTO auth.session_token (jti, session_id, expires_at) VALUES (p_jti, p_session, p_expires);
    RETURN true;
END $$;

CREATE OR REPLACE FUNCTION auth.administrator_of(p_cookie bytea) RETURNS auth.account
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT a FROM auth.session s JOIN auth.account a ON a.account_id = s.account_id
     WHERE s.digest = p_cookie AND auth.stands(s) AND s.factors >= 2 AND a.role = 'SECURITY_ADMIN'
$$;
