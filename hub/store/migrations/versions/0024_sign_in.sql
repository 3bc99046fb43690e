-- How people sign in: passkeys, one-time codes of the sandbox, sessions of browsers, and which tokens came of a session.
-- What a browser shows (a cookie, a code) is stored hashed only. Personal data: none.
--
-- Order of locks: account, passkey, session. Refusals carry HB150 to HB153; hub/flows/begin_session.py maps them.

-- What a passkey keeps of its account (the user handle of WebAuthn): random, so a lost key names nobody.
ALTER TABLE auth.account ADD COLUMN handle uuid NOT NULL UNIQUE DEFAULT gen_random_uuid();

-- How many factors a session of this role needs. People who work on others' data show two (GB/T 22239-2019, level 3).
CREATE FUNCTION auth.factors_needed(p_role text) RETURNS int
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_role IN ('RESIDENT', 'GUARDIAN') THEN 1 ELSE 2 END
$$;

-- A passkey (WebAuthn level 3). `public_key` is its COSE key, `sign_count` the last counter that it showed.
CREATE TABLE auth.passkey (
    passkey_id    uuid PRIMARY KEY,
    account_id    text   NOT NULL REFERENCES auth.account,
    credential_id bytea  NOT NULL UNIQUE CHECK (octet_length(credential_id) BETWEEN 16 AND 1023),
    public_key    bytea  NOT NULL,
    sign_count    bigint NOT NULL CHECK (sign_count >= 0),
    synced        boolean NOT NULL,              -- it may lie on several devices of its owner
    enrolled_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    used_at       timestamptz,
    revoked_at    timestamptz
);
CREATE INDEX passkey_account ON auth.passkey (account_id);

-- Challenges that were answered, so that no answer counts twice.
CREATE TABLE auth.used_challenge (
    digest     bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
    expires_at timestamptz NOT NULL
);
CREATE INDEX ON auth.used_challenge (expires_at);

-- One code for an account of the sandbox; keyed hash, few tries, few minutes.
CREATE TABLE auth.one_time_code (
    account_id text PRIMARY KEY REFERENCES auth.account CHECK (starts_with(account_id, 'sandbox-')),
    digest     bytea NOT NULL,
    tries      int   NOT NULL CHECK (tries >= 0),
    expires_at timestamptz NOT NULL
);

-- A browser in which somebody is signed in. `digest` is SHA-256 of its cookie.
CREATE TABLE auth.session (
    session_id uuid PRIMARY KEY,
    digest     bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    account_id text  NOT NULL REFERENCES auth.account,
    method     text  NOT NULL CHECK (method IN ('PASSKEY', 'CODE')),
    factors    int   NOT NULL CHECK (factors IN (1, 2)),
    passkey_id uuid  REFERENCES auth.passkey CHECK ((passkey_id IS NOT NULL) = (method = 'PASSKEY')),
    begun_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    ends_at    timestamptz NOT NULL CHECK (ends_at > begun_at),
    ended_at   timestamptz,
    cause      text CHECK ((cause IS NULL) = (ended_at IS NULL))
);
CREATE INDEX session_account ON auth.session (account_id) WHERE ended_at IS NULL;
CREATE INDEX session_passkey ON auth.session (passkey_id) WHERE ended_at IS NULL;

-- Which session an access token came of. What the session showed (a second factor) the token stands for.
CREATE TABLE auth.session_token (
    jti        text PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES auth.session,
    expires_at timestamptz NOT NULL
);
CREATE INDEX ON auth.session_token (session_id);
CREATE INDEX ON auth.session_token (expires_at);

-- A passkey that may still sign in, with the account behind it. No row for any other.
CREATE FUNCTION auth.find_passkey(p_credential bytea)
    RETURNS TABLE (account_id text, handle uuid, public_key bytea, sign_count bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.account_id, a.handle, p.public_key, p.sign_count
      FROM auth.passkey p JOIN auth.account a ON a.account_id = p.account_id
     WHERE p.credential_id = p_credential AND p.revoked_at IS NULL AND a.status = 'ACTIVE'
$$;

-- Marks a challenge as answered. Raises HB151 for everybody but the first.
CREATE FUNCTION auth.use_challenge(p_digest bytea, p_expires timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM auth.used_challenge u
     WHERE u.ctid IN (SELECT o.ctid FROM auth.used_challenge o
                       WHERE o.expires_at < clock_timestamp() - interval '5 minutes'
                       LIMIT 20 FOR UPDATE SKIP LOCKED);
    INSERT INTO auth.used_challenge VALUES (p_digest, p_expires) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'a challenge is answered once' USING ERRCODE = 'HB151';
    END IF;
END $$;

-- Stores a session of an active account; for the functions below. HB150: no such account, HB152: too few factors.
CREATE FUNCTION auth.store_session(
    p_session uuid, p_digest bytea, p_account text, p_method text, p_passkey uuid,
    OUT role text, OUT person_id uuid
)
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_factors int := CASE p_method WHEN 'PASSKEY' THEN 2 ELSE 1 END;
BEGIN
    SELECT a.role, a.person_id INTO role, person_id
      FROM auth.account a WHERE a.account_id = p_account AND a.status = 'ACTIVE' FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such account is open' USING ERRCODE = 'HB150';
    END IF;
    IF v_factors < auth.factors_needed(role) THEN
        RAISE EXCEPTION 'this role needs a second factor' USING ERRCODE = 'HB152';
    END IF;
    INSERT INTO auth.session (session_id, digest, account_id, method, factors, passkey_id, ends_at)
    VALUES (p_session, p_digest, p_account, p_method, v_factors, p_passkey, clock_timestamp() + interval '8 hours');
END $$;

-- Begins a session with a passkey whose signature was checked. HB153: its counter did not grow, so there are two of it.
CREATE FUNCTION auth.begin_by_passkey(
    p_session uuid, p_digest bytea, p_credential bytea, p_count bigint, p_challenge bytea, p_expires timestamptz
)
    RETURNS TABLE (account_id text, role text, person_id uuid)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_passkey auth.passkey;
BEGIN
    PERFORM auth.use_challenge(p_challenge, p_expires);
    PERFORM FROM auth.account a
      WHERE a.account_id = (SELECT p.account_id FROM auth.passkey p WHERE p.credential_id = p_credential) FOR SHARE;
    SELECT * INTO v_passkey FROM auth.passkey p
     WHERE p.credential_id = p_credential AND p.revoked_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such passkey' USING ERRCODE = 'HB150';
    END IF;
    IF (p_count > 0 OR v_passkey.sign_count > 0) AND p_count <= v_passkey.sign_count THEN
        RAISE EXCEPTION 'the counter of the passkey did not grow' USING ERRCODE = 'HB153';
    END IF;
    UPDATE auth.passkey p SET sign_count = p_count, used_at = clock_timestamp()
     WHERE p.passkey_id = v_passkey.passkey_id;
    RETURN QUERY
    SELECT v_passkey.account_id, s.role, s.person_id
      FROM auth.store_session(p_session, p_digest, v_passkey.account_id, 'PASSKEY', v_passkey.passkey_id) s;
END $$;

-- Puts a code for an account of the sandbox in the place of an earlier one. HB150: there is no such account.
CREATE FUNCTION auth.put_code(p_account text, p_digest bytea) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_expires timestamptz := clock_timestamp() + interval '5 minutes';
BEGIN
    PERFORM FROM auth.account a WHERE a.account_id = p_account AND a.status = 'ACTIVE' FOR SHARE;
    IF NOT FOUND OR NOT starts_with(p_account, 'sandbox-') THEN
        RAISE EXCEPTION 'no such account of the sandbox' USING ERRCODE = 'HB150';
    END IF;
    INSERT INTO auth.one_time_code (account_id, digest, tries, expires_at) VALUES (p_account, p_digest, 5, v_expires)
    ON CONFLICT (account_id) DO UPDATE SET digest = excluded.digest, tries = 5, expires_at = excluded.expires_at;
    RETURN v_expires;
END $$;

-- Takes one of the tries at an account's code and gives what to compare with; null where none is left.
CREATE FUNCTION auth.try_code(p_account text) RETURNS bytea
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE auth.one_time_code c SET tries = c.tries - 1
     WHERE c.account_id = p_account AND c.tries > 0 AND c.expires_at > clock_timestamp()
    RETURNING c.digest
$$;

-- Begins a session with a code that was compared; the code is gone afterwards. HB150: it was gone before.
CREATE FUNCTION auth.begin_by_code(p_session uuid, p_digest bytea, p_account text, p_code bytea)
    RETURNS TABLE (account_id text, role text, person_id uuid)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM auth.one_time_code c
     WHERE c.account_id = p_account AND c.digest = p_code AND c.expires_at > clock_timestamp();
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such code' USING ERRCODE = 'HB150';
    END IF;
    RETURN QUERY
    SELECT p_account, s.role, s.person_id
      FROM auth.store_session(p_session, p_digest, p_account, 'CODE', NULL) s;
END $$;

-- Whether a session stands at this moment, apart from how long nobody used it.
CREATE FUNCTION auth.stands(p_session auth.session) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p_session.ended_at IS NULL AND p_session.ends_at > clock_timestamp()
       AND EXISTS (SELECT FROM auth.account a WHERE a.account_id = p_session.account_id AND a.status = 'ACTIVE')
$$;

-- Who is signed in with this cookie; no row where nobody is. Half an hour without use ends a session.
CREATE FUNCTION auth.find_session(p_digest bytea)
    RETURNS TABLE (session_id uuid, account_id text, role text, person_id uuid, organisation_id text, method text,
                   factors int, begun_at timestamptz)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_session auth.session;
BEGIN
    SELECT * INTO v_session FROM auth.session s WHERE s.digest = p_digest;
    IF NOT FOUND OR NOT auth.stands(v_session) OR v_session.seen_at < clock_timestamp() - interval '30 minutes' THEN
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

-- Whether a token may still be made anew from a session (refresh).
CREATE FUNCTION auth.session_stands(p_session uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((SELECT auth.stands(s) FROM auth.session s WHERE s.session_id = p_session), false)
$$;

-- Notes which session a token came of. False, and the token is worth nothing, where the session does not stand.
CREATE FUNCTION auth.bind_token(p_jti text, p_session uuid, p_expires timestamptz) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_session auth.session;
BEGIN
    DELETE FROM auth.session_token t
     WHERE t.ctid IN (SELECT o.ctid FROM auth.session_token o
                       WHERE o.expires_at < clock_timestamp() - interval '5 minutes'
                       LIMIT 20 FOR UPDATE SKIP LOCKED);
    SELECT * INTO v_session FROM auth.session s WHERE s.session_id = p_session FOR SHARE;
    IF NOT FOUND OR NOT auth.stands(v_session) THEN
        RETURN false;
    END IF;
    INSERT INTO auth.session_token (jti, session_id, expires_at) VALUES (p_jti, p_session, p_expires);
    RETURN true;
END $$;

-- Whether a second factor was shown for this token; for the gate.
CREATE FUNCTION auth.has_second_factor(p_jti text) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM auth.session_token t JOIN auth.session s ON s.session_id = t.session_id
                    WHERE t.jti = p_jti AND s.factors >= 2 AND s.ended_at IS NULL)
$$;

-- Ends sessions that stand and takes back every token that came of them; gives how many ended.
CREATE FUNCTION auth.end_sessions(p_sessions uuid[], p_cause text) RETURNS int
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_ended uuid[];
BEGIN
    v_ended := ARRAY (SELECT s.session_id FROM auth.session s
                       WHERE s.session_id = ANY (p_sessions) AND s.ended_at IS NULL
                       ORDER BY s.session_id FOR UPDATE);
    UPDATE auth.session s SET ended_at = clock_timestamp(), cause = p_cause WHERE s.session_id = ANY (v_ended);
    INSERT INTO auth.revoked_token (jti, expires_at)
    SELECT t.jti, t.expires_at FROM auth.session_token t
     WHERE t.session_id = ANY (v_ended) AND t.expires_at > clock_timestamp()
    ON CONFLICT DO NOTHING;
    RETURN cardinality(v_ended);
END $$;

-- Signs out. No row where nobody was signed in.
CREATE FUNCTION auth.sign_out(p_digest bytea) RETURNS TABLE (session_id uuid, account_id text)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_session auth.session;
BEGIN
    SELECT * INTO v_session FROM auth.session s WHERE s.digest = p_digest;
    IF FOUND AND auth.end_sessions(ARRAY[v_session.session_id], 'SIGNED_OUT') = 1 THEN
        RETURN QUERY SELECT v_session.session_id, v_session.account_id;
    END IF;
END $$;

-- Every session of an account, or those of one passkey.
CREATE FUNCTION auth.end_sessions_of(p_account text, p_passkey uuid, p_cause text) RETURNS int
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT auth.end_sessions(ARRAY (
        SELECT s.session_id FROM auth.session s
         WHERE s.account_id = p_account AND s.ended_at IS NULL AND (p_passkey IS NULL OR s.passkey_id = p_passkey)
    ), p_cause)
$$;

-- Decide every part of one request for the person named, by the rules of its role and purpose, which one look-up gives.
-- Reads rules and the basis, never a section. `knows`: some part is open without a basis.
CREATE OR REPLACE FUNCTION access.rule_parts(
    p_asked access.asked, p_basis access.held_basis, p_digest bytea,
    OUT granted text[], OUT withheld text[], OUT knows boolean
)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_known text[];
BEGIN
    SELECT array_agg(k.part), coalesce(array_agg(k.part) FILTER (WHERE k.reason IS NULL), '{}'),
           coalesce(array_agg(k.part || '=' || k.reason) FILTER (WHERE k.reason IS NOT NULL), '{}'),
           coalesce(bool_or(k.always), false)
    INTO v_known, granted, withheld, knows
    FROM (
        SELECT d.part, d.closed IS NULL AND NOT d.needs_basis AS always, CASE
            WHEN d.closed IS NOT NULL THEN d.closed
            WHEN d.needs_area AND p_asked.in_area IS NOT TRUE THEN 'OUT_OF_AREA'
            WHEN d.needs_adult AND p_asked.adult IS NOT TRUE THEN 'MINOR'
            WHEN d.needs_basis AND p_basis.basis_id IS NULL THEN 'NO_BASIS'
            WHEN d.needs_basis AND NOT d.part = ANY (p_basis.parts) THEN 'CATEGORY_NOT_IN_BASIS'
            WHEN d.needs_heightened_notice AND p_basis.heightened IS NOT TRUE THEN 'CATEGORY_NOT_IN_BASIS'
            -- Last, so that it is looked up for nobody who would be refused anyway.
            WHEN d.needs_second_factor AND NOT auth.has_second_factor(p_asked.token) THEN 'STEP_UP_REQUIRED'
        END AS reason
        FROM access.decision d
        WHERE d.digest = p_digest AND d.role = p_asked.role AND d.purpose = p_asked.purpose
          AND d.part = ANY (p_asked.parts)
        ORDER BY array_position(p_asked.parts, d.part)
    ) k;
    IF v_known IS NULL OR NOT p_asked.parts <@ v_known THEN
        withheld := withheld || ARRAY (SELECT p.part || '=NEVER_DISCLOSED' FROM unnest(p_asked.parts) AS p (part)
                                       WHERE v_known IS NULL OR NOT p.part = ANY (v_known));
    END IF;
END $$;

REVOKE ALL ON auth.passkey, auth.used_challenge, auth.one_time_code, auth.session, auth.session_token FROM PUBLIC;
REVOKE ALL ON FUNCTION auth.factors_needed, auth.find_passkey, auth.use_challenge, auth.store_session,
    auth.begin_by_passkey, auth.put_code, auth.try_code, auth.begin_by_code, auth.stands, auth.find_session,
    auth.session_stands, auth.bind_token, auth.has_second_factor, auth.end_sessions, auth.sign_out,
    auth.end_sessions_of FROM PUBLIC;
GRANT EXECUTE ON FUNCTION auth.find_passkey, auth.begin_by_passkey, auth.try_code, auth.begin_by_code,
    auth.find_session, auth.session_stands, auth.bind_token, auth.sign_out TO hub_app;
GRANT EXECUTE ON FUNCTION auth.put_code, auth.end_sessions_of TO hub_ingest;

INSERT INTO audit.event_name (name) VALUES
    ('session:person:begun'), ('session:person:ended'), ('session:hub:refused'), ('code:operator:issued');
