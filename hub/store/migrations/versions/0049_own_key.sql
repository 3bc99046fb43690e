-- The key with which an administrator signs for rules is confirmed by himself: neither an operator nor another administrator
-- can put one in his place. Everything else about accounts is decided by another person than it concerns.
CREATE FUNCTION auth.may_decide(p_admin auth.account, p_account text, p_verb text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN p_verb = 'APPROVER' THEN p_admin.account_id = p_account
                ELSE NOT auth.same_person(p_admin.account_id, p_account) END
$$;

CREATE OR REPLACE FUNCTION auth.pending_changes(p_cookie bytea)
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
           NOT auth.may_decide(v_admin, c.account_id, c.verb),
           (SELECT sha256(r.public_key) FROM access.approver r WHERE r.change_id = c.change_id)
      FROM auth.account_change c JOIN auth.account a ON a.account_id = c.account_id
     WHERE c.state = 'PENDING' AND c.lapses_at > clock_timestamp()
     ORDER BY c.proposed_at;
END $$;

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
    IF NOT auth.may_decide(v_admin, v_change.account_id, v_change.verb) OR v_admin.account_id = v_change.proposed_by THEN
        RAISE EXCEPTION 'not his to decide' USING ERRCODE = 'HB169';
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

-- A browser that was left for half an hour is signed out, whatever an app did meanwhile with its tokens; the tokens of an app
-- that goes on go on.
ALTER TABLE auth.session ADD COLUMN token_at timestamptz;
CREATE OR REPLACE FUNCTION auth.stands(p_session auth.session) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p_session.ended_at IS NULL AND p_session.ends_at > clock_timestamp()
       AND greatest(p_session.seen_at, p_session.token_at) > clock_timestamp() - interval '30 minutes'
       AND EXISTS (SELECT FROM auth.account a WHERE a.account_id = p_session.account_id AND a.status = 'ACTIVE')
$$;

CREATE FUNCTION auth.is_browsed(p_session auth.session) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT auth.stands(p_session) AND p_session.seen_at > clock_timestamp() - interval '30 minutes'
$$;
REVOKE ALL ON FUNCTION auth.may_decide, auth.is_browsed FROM PUBLIC;

CREATE OR REPLACE FUNCTION auth.find_session(p_digest bytea)
    RETURNS TABLE (session_id uuid, account_id text, role text, person_id uuid, organisation_id text, method text,
                   factors int, begun_at timestamptz)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_session auth.session;
BEGIN
    SELECT * INTO v_session FROM auth.session s WHERE s.digest = p_digest;
    IF NOT FOUND OR NOT auth.is_browsed(v_session) THEN
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
    UPDATE auth.session s SET token_at = clock_timestamp() WHERE s.session_id = p_session;
    INSERT INTO auth.session_token (jti, session_id, expires_at) VALUES (p_jti, p_session, p_expires);
    RETURN true;
END $$;

CREATE OR REPLACE FUNCTION auth.administrator_of(p_cookie bytea) RETURNS auth.account
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT a FROM auth.session s JOIN auth.account a ON a.account_id = s.account_id
     WHERE s.digest = p_cookie AND auth.is_browsed(s) AND s.factors >= 2 AND a.role = 'SECURITY_ADMIN'
       AND NOT starts_with(a.account_id, 'sandbox-')
$$;

-- Whoever printed a code for a resident does not help with it, by whichever account.
CREATE OR REPLACE FUNCTION auth.try_assistance(p_cookie bytea, p_account text)
RETURNS TABLE (assistant text, over boolean, digests bytea[])
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_assistant auth.account := auth.assistant_of(p_cookie);
    v_today     date := (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date;
    v_tries     int;
BEGIN
    IF v_assistant.account_id IS NULL THEN
        RAISE EXCEPTION 'not an assistant' USING ERRCODE = 'HB192';
    END IF;
    assistant := v_assistant.account_id;
    INSERT INTO auth.assistance_day AS d VALUES (assistant, v_today, 1)
    ON CONFLICT ON CONSTRAINT assistance_day_pkey DO UPDATE SET tries = d.tries + 1 RETURNING d.tries INTO v_tries;
    over := v_tries > (SELECT r.minimum FROM access.alert_rule r WHERE r.kind = 'ASSISTED');
    digests := '{}';
    IF over THEN
        INSERT INTO access.alert AS a (kind, raised_at, day, county, organisation_id, officer, observed)
        VALUES ('ASSISTED', clock_timestamp(), v_today, v_assistant.county_codes[1], 'hub', assistant, v_tries)
        ON CONFLICT (kind, day, organisation_id, officer, village_code) DO UPDATE SET observed = excluded.observed;
    ELSIF auth.may_assist(v_assistant, p_account) THEN
        WITH printed AS (
            UPDATE auth.printed_code c SET tries = c.tries - 1
             WHERE c.account_id = p_account AND c.tries > 0 AND c.expires_at > clock_timestamp()
               AND NOT auth.same_person(c.issued_by, v_assistant.account_id) RETURNING c.digest
        ), sandbox AS (
            UPDATE auth.one_time_code c SET tries = c.tries - 1
             WHERE c.account_id = p_account AND c.tries > 0 AND c.expires_at > clock_timestamp() RETURNING c.digest
        )
        SELECT coalesce(array_agg(t.digest), '{}') INTO digests
          FROM (SELECT digest FROM printed UNION ALL SELECT digest FROM sandbox) t;
    END IF;
    RETURN NEXT;
END $$;

CREATE OR REPLACE FUNCTION auth.begin_assisted(
    p_session uuid, p_cookie bytea, p_account text, p_code bytea, p_jti text, p_reason text
) RETURNS TABLE (assistant text, person_id uuid)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_assistant auth.account := auth.assistant_of(p_cookie);
BEGIN
    IF v_assistant.account_id IS NULL THEN
        RAISE EXCEPTION 'not an assistant' USING ERRCODE = 'HB192';
    END IF;
    DELETE FROM auth.printed_code c
     WHERE c.account_id = p_account AND c.digest = p_code AND c.expires_at > clock_timestamp()
       AND NOT auth.same_person(c.issued_by, v_assistant.account_id);
    IF NOT FOUND THEN
        DELETE FROM auth.one_time_code c
         WHERE c.account_id = p_account AND c.digest = p_code AND c.expires_at > clock_timestamp();
    END IF;
    IF NOT FOUND OR NOT auth.may_assist(v_assistant, p_account) THEN
        RAISE EXCEPTION 'no such code' USING ERRCODE = 'HB150';
    END IF;
    RETURN QUERY SELECT v_assistant.account_id, auth.store_assisted(
        p_session, p_account, p_jti, v_assistant.account_id, false, p_reason);
END $$;
