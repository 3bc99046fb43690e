-- The authorization server: pushed requests, codes, refresh tokens, proofs that were used (docs/TOKENS.md).
--
-- Secrets (request URIs, codes, refresh tokens) are kept as SHA-256 only. A grant is the consent itself: its id is the
-- consent's, its state is the basis'. Nothing here is about a person but by his account and the ids of his consents.

-- Systems registered before keep what they have; whoever is registered from now on proves possession of a key.
ALTER TABLE access.client
    ADD COLUMN redirect_uris text[] NOT NULL DEFAULT '{}',
    ADD COLUMN is_dpop_required boolean NOT NULL DEFAULT false;
ALTER TABLE access.client ALTER COLUMN is_dpop_required SET DEFAULT true;

-- Apps through which people use the hub themselves. Each has keys of its own: there are no public clients.
CREATE TABLE auth.app (
    client_id     text PRIMARY KEY CHECK (client_id ~ '^[A-Za-z0-9._:-]{1,64}$'),
    name_zh       text NOT NULL,
    name_en       text NOT NULL,
    jwks          jsonb NOT NULL,
    redirect_uris text[] NOT NULL CHECK (cardinality(redirect_uris) > 0),
    status        text NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'SUSPENDED', 'CLOSED')),
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Proofs of possession seen (RFC 9449 section 11.1): SHA-256 of the key's thumbprint and the proof's id.
CREATE TABLE auth.used_proof (
    digest     bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
    expires_at timestamptz NOT NULL
);
CREATE INDEX ON auth.used_proof (expires_at);

-- A pushed authorization request (RFC 9126). It can be opened until `visit_by`, after that only by whoever opened it in
-- time, until `finish_by`. `request_id`: the consent asked for; null where an app asks to act for whoever signs in.
CREATE TABLE auth.pushed_request (
    uri_digest     bytea PRIMARY KEY CHECK (octet_length(uri_digest) = 32),
    client_id      text NOT NULL,
    redirect_uri   text NOT NULL,
    state          text,
    code_challenge text NOT NULL,
    proof_key      text,                            -- thumbprint that the code is bound to (RFC 9449 section 10)
    request_id     uuid,
    asks_visitor   boolean NOT NULL DEFAULT false,  -- the person asked is whoever signs in first
    visit_by       timestamptz NOT NULL,
    finish_by      timestamptz NOT NULL,
    visited_at     timestamptz,
    session_id     uuid,
    finished_at    timestamptz
);
CREATE INDEX ON auth.pushed_request (finish_by);
CREATE INDEX ON auth.pushed_request (request_id) WHERE asks_visitor;

CREATE TABLE auth.authorization_code (
    code_digest    bytea PRIMARY KEY CHECK (octet_length(code_digest) = 32),
    client_id      text NOT NULL,
    redirect_uri   text NOT NULL,
    code_challenge text NOT NULL,
    proof_key      text,
    grant_id       uuid,                            -- the consent; null for an app's own code
    account_id     text NOT NULL,
    session_id     uuid NOT NULL,
    factors        text[] NOT NULL,
    signed_in_at   timestamptz NOT NULL,
    expires_at     timestamptz NOT NULL,
    kept_until     timestamptz NOT NULL,            -- as long as anything made of it may live
    used_at        timestamptz,
    revoked_at     timestamptz
);
CREATE INDEX ON auth.authorization_code (kept_until);
CREATE INDEX ON auth.authorization_code (grant_id) WHERE grant_id IS NOT NULL;

CREATE TABLE auth.refresh_token (
    token_digest bytea PRIMARY KEY CHECK (octet_length(token_digest) = 32),
    code_digest  bytea NOT NULL REFERENCES auth.authorization_code ON DELETE CASCADE,
    client_id    text NOT NULL,
    issued_at    timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    revoked_at   timestamptz
);
CREATE INDEX ON auth.refresh_token (code_digest);

-- Access tokens that came of a code, so that they can be taken back with it.
CREATE TABLE auth.issued_token (
    jti         text PRIMARY KEY,
    code_digest bytea NOT NULL REFERENCES auth.authorization_code ON DELETE CASCADE,
    expires_at  timestamptz NOT NULL
);
CREATE INDEX ON auth.issued_token (code_digest);

-- Refused token requests of a system that had proved itself, for each minute: the log takes the first few of them.
CREATE TABLE auth.refusal (
    client_id text NOT NULL,
    minute    timestamptz NOT NULL,
    refusals  int NOT NULL,
    PRIMARY KEY (client_id, minute)
);

-- What the authorization server must know of a client; no row for an unknown one. An app has no organisation.
DROP FUNCTION auth.find_client(text);
CREATE FUNCTION auth.find_client(asked text)
    RETURNS TABLE (client_id text, organisation_id text, jwks text, status text, redirect_uris text[],
                   is_dpop_required boolean, name_zh text, name_en text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.client_id, c.organisation_id, c.jwks::text, c.status, c.redirect_uris, c.is_dpop_required, o.name_zh,
           o.name_en
      FROM access.client c JOIN access.organisation o ON o.organisation_id = c.organisation_id
     WHERE c.client_id = asked
    UNION ALL
    SELECT a.client_id, NULL, a.jwks::text, a.status, a.redirect_uris, true, a.name_zh, a.name_en
      FROM auth.app a WHERE a.client_id = asked AND NOT EXISTS (SELECT FROM access.client c WHERE c.client_id = asked)
$$;

-- Marks a proof as used; true for exactly one caller in any process.
CREATE FUNCTION auth.use_proof(p_digest bytea, p_until timestamptz) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM auth.clear_proofs();
    INSERT INTO auth.used_proof (digest, expires_at) VALUES (p_digest, p_until) ON CONFLICT DO NOTHING;
    RETURN FOUND;
END
$$;

-- Forgets proofs that have run out, now and then and not too many at a time: no request pays for all of them.
CREATE FUNCTION auth.clear_proofs() RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF random() < 0.05 THEN
        DELETE FROM auth.used_proof u
         WHERE u.digest IN (SELECT o.digest FROM auth.used_proof o
                            WHERE o.expires_at < clock_timestamp() - interval '1 minute'
                            ORDER BY o.expires_at LIMIT 1000 FOR UPDATE SKIP LOCKED);
    END IF;
END
$$;

-- Marks what authenticates one request to the authorization server as used: its assertion and, where there is one, its
-- proof. True if both are seen for the first time.
CREATE FUNCTION auth.use_credentials(
    p_client text, p_assertion bytea, p_assertion_until timestamptz, p_proof bytea, p_proof_until timestamptz
) RETURNS TABLE (is_assertion_fresh boolean, is_proof_fresh boolean)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    is_assertion_fresh := auth.use_assertion(p_client, p_assertion, p_assertion_until);
    is_proof_fresh := p_proof IS NULL OR auth.use_proof(p_proof, p_proof_until);
    RETURN NEXT;
END
$$;

CREATE FUNCTION auth.push_request(
    p_uri bytea, p_client text, p_redirect_uri text, p_state text, p_challenge text, p_proof_key text, p_request uuid,
    p_asks_visitor boolean, p_visit_seconds int, p_finish_seconds int
) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    DELETE FROM auth.pushed_request r
     WHERE r.uri_digest IN (SELECT o.uri_digest FROM auth.pushed_request o
                            WHERE o.finish_by < v_now - interval '1 hour' LIMIT 20 FOR UPDATE SKIP LOCKED);
    INSERT INTO auth.pushed_request (uri_digest, client_id, redirect_uri, state, code_challenge, proof_key, request_id,
                                     asks_visitor, visit_by, finish_by)
    VALUES (p_uri, p_client, p_redirect_uri, p_state, p_challenge, p_proof_key, p_request, p_asks_visitor,
            v_now + make_interval(secs => p_visit_seconds), v_now + make_interval(secs => p_finish_seconds));
END
$$;

-- Opens a pushed request in a browser; no row where it cannot be opened (unknown, another client's, run out, finished,
-- or opened by another session). Opening it again is no use of it (FAPI 2.0 section 5.3.2.2, note 3). The session that
-- comes first keeps it; where the request asks whoever comes, it asks the person of that session from then on.
CREATE FUNCTION auth.open_request(p_uri bytea, p_client text, p_session uuid, p_account text)
    RETURNS TABLE (redirect_uri text, state text, request_id uuid)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_row auth.pushed_request;
BEGIN
    SELECT r.* INTO v_row FROM auth.pushed_request r
     WHERE r.uri_digest = p_uri AND r.client_id = p_client AND r.finished_at IS NULL
       AND v_now < CASE WHEN r.visited_at IS NULL THEN r.visit_by ELSE r.finish_by END
       AND (r.session_id IS NULL OR p_session IS NULL OR r.session_id = p_session)
       FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF v_row.asks_visitor AND v_row.session_id IS NULL AND p_session IS NOT NULL THEN
        UPDATE consent.request c
           SET identity_indexes = (SELECT array_agg(d.blind_index) FROM record.directory d
                                    WHERE d.person_id = who.person_id),
               name_indexes = ARRAY[who.name_index]
          FROM consent.person_of(p_account, p_session::text, v_now) who
         WHERE c.request_id = v_row.request_id AND c.state = 'REQUESTED'
           AND EXISTS (SELECT FROM record.directory d WHERE d.person_id = who.person_id);
    END IF;
    UPDATE auth.pushed_request r
       SET visited_at = coalesce(r.visited_at, v_now), session_id = coalesce(r.session_id, p_session)
     WHERE r.uri_digest = p_uri;
    RETURN QUERY SELECT v_row.redirect_uri, v_row.state, v_row.request_id;
END
$$;

-- As in 0025, but that a request which asks whoever comes names him once, when he has signed in (auth.open_request).
CREATE OR REPLACE FUNCTION consent.keep_terms() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_free text[] := '{state,decided_at}';
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'consents are never deleted' USING ERRCODE = 'HB001';
    END IF;
    IF TG_TABLE_NAME = 'request' THEN
        IF EXISTS (SELECT FROM auth.pushed_request p
                   WHERE p.request_id = NEW.request_id AND p.asks_visitor AND p.session_id IS NULL) THEN
            v_free := v_free || '{identity_indexes,name_indexes}';
        END IF;
        IF (to_jsonb(NEW) - v_free) <> (to_jsonb(OLD) - v_free)
           OR NEW.state <> OLD.state AND NOT EXISTS (
               SELECT FROM consent.transition t WHERE t.from_state = OLD.state
               AND t.to_state = CASE NEW.state WHEN 'GIVEN' THEN 'IN_FORCE' ELSE NEW.state END) THEN
            RAISE EXCEPTION 'the terms of a request are never changed' USING ERRCODE = 'HB001';
        END IF;
    END IF;
    RETURN NEW;
END $$;

-- Finishes a pushed request, once: with a code where the person said yes, without one otherwise. A code that stands for
-- a consent must stand for one that this very request led to, and that is in force.
CREATE FUNCTION auth.finish_request(
    p_uri bytea, p_client text, p_session uuid, p_account text, p_factors text[], p_signed_in_at timestamptz,
    p_grant uuid, p_code bytea, p_code_seconds int, p_kept_seconds int
) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_row auth.pushed_request;
BEGIN
    UPDATE auth.pushed_request r SET finished_at = v_now
     WHERE r.uri_digest = p_uri AND r.client_id = p_client AND r.finished_at IS NULL AND r.session_id = p_session
       AND v_now < r.finish_by
    RETURNING r.* INTO v_row;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF p_code IS NULL THEN
        RETURN true;
    END IF;
    IF (v_row.request_id IS NULL) <> (p_grant IS NULL) OR p_grant IS NOT NULL AND NOT EXISTS (
           SELECT FROM consent.record k WHERE k.consent_id = p_grant AND k.request_id = v_row.request_id) THEN
        RETURN false;
    END IF;
    DELETE FROM auth.authorization_code c
     WHERE c.code_digest IN (SELECT o.code_digest FROM auth.authorization_code o
                             WHERE o.kept_until < v_now LIMIT 20 FOR UPDATE SKIP LOCKED);
    INSERT INTO auth.authorization_code (code_digest, client_id, redirect_uri, code_challenge, proof_key, grant_id,
                                         account_id, session_id, factors, signed_in_at, expires_at, kept_until)
    VALUES (p_code, p_client, v_row.redirect_uri, v_row.code_challenge, v_row.proof_key, p_grant, p_account, p_session,
            p_factors, p_signed_in_at, v_now + make_interval(secs => p_code_seconds),
            greatest(v_now + make_interval(secs => p_kept_seconds),
                     (SELECT b.expires_at FROM consent.basis b WHERE b.basis_id = p_grant)));
    RETURN true;
END
$$;

-- A grant as its own client may know it; no row for anybody else's. `person_id` never leaves the hub.
CREATE FUNCTION auth.grant_of(p_client text, p_grant uuid)
    RETURNS TABLE (is_in_force boolean, status text, organisation_id text, person_id uuid, purpose text, parts text[],
                   application_ref text, effective_from timestamptz, expires_at timestamptz, max_uses int, uses int)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.status = 'ACTIVE' AND s.standing = 'IN_FORCE', s.standing,
           b.organisation_id, record.present_person(b.person_id), b.purpose, b.parts, r.application_ref,
           b.effective_from, b.expires_at, b.max_uses, coalesce(q.uses, 0)
      FROM consent.basis b
      JOIN consent.record k ON k.consent_id = b.consent_id
      JOIN consent.request r ON r.request_id = k.request_id AND r.client_id = p_client
      JOIN access.client c ON c.client_id = p_client AND c.organisation_id = b.organisation_id
     CROSS JOIN LATERAL consent.standing(b.basis_id, clock_timestamp()) s
      LEFT JOIN consent.quota q ON q.basis_id = b.basis_id
     WHERE b.basis_id = p_grant
$$;

-- What a code or a refresh token stands for, after `state`: GOOD, UNKNOWN (or another client's, or run out), REUSED,
-- ENDED (the consent is not in force, or the session is over).
CREATE TYPE auth.held AS (
    state          text,
    redirect_uri   text,
    code_challenge text,
    proof_key      text,
    grant_id       uuid,
    account_id     text,
    session_id     uuid,
    factors        text[],
    signed_in_at   timestamptz,
    until          timestamptz   -- when the refresh token runs out
);

CREATE FUNCTION auth.is_live(p_code auth.authorization_code) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN p_code.grant_id IS NULL
                THEN EXISTS (SELECT FROM auth.session s WHERE s.session_id = p_code.session_id AND auth.stands(s))
                ELSE EXISTS (SELECT FROM auth.grant_of(p_code.client_id, p_code.grant_id) g WHERE g.is_in_force) END
$$;

-- Exchanges a code, once, and notes the tokens that are about to be made of it. A code that comes again takes back
-- everything that was made of it (RFC 6749 section 4.1.2).
CREATE FUNCTION auth.use_code(
    p_code bytea, p_client text, p_jti text, p_jti_until timestamptz, p_refresh bytea, p_refresh_seconds int
) RETURNS auth.held
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now  timestamptz := clock_timestamp();
    v_code auth.authorization_code;
    v_held auth.held;
BEGIN
    SELECT c.* INTO v_code FROM auth.authorization_code c
     WHERE c.code_digest = p_code AND c.client_id = p_client FOR UPDATE;
    IF NOT FOUND THEN
        v_held.state := 'UNKNOWN';
        RETURN v_held;
    END IF;
    IF v_code.used_at IS NOT NULL THEN
        PERFORM auth.revoke_code(p_code);
        v_held.state := 'REUSED';
        RETURN v_held;
    END IF;
    IF v_code.expires_at <= v_now THEN
        v_held.state := 'UNKNOWN';
        RETURN v_held;
    END IF;
    UPDATE auth.authorization_code c SET used_at = v_now WHERE c.code_digest = p_code;
    v_held := ROW(
        CASE WHEN auth.is_live(v_code) THEN 'GOOD' ELSE 'ENDED' END, v_code.redirect_uri, v_code.code_challenge,
        v_code.proof_key, v_code.grant_id, v_code.account_id, v_code.session_id, v_code.factors, v_code.signed_in_at,
        least(v_code.kept_until, CASE WHEN v_code.grant_id IS NULL
                                      THEN v_now + make_interval(secs => p_refresh_seconds)
                                      ELSE v_code.kept_until END))::auth.held;
    IF v_held.state = 'GOOD' AND v_code.grant_id IS NULL
       AND NOT auth.bind_token(p_jti, v_code.session_id, p_jti_until) THEN
        v_held.state := 'ENDED';
    END IF;
    IF v_held.state = 'GOOD' THEN
        INSERT INTO auth.issued_token (jti, code_digest, expires_at) VALUES (p_jti, p_code, p_jti_until);
        INSERT INTO auth.refresh_token (token_digest, code_digest, client_id, issued_at, expires_at)
        VALUES (p_refresh, p_code, p_client, v_now, v_held.until);
    END IF;
    RETURN v_held;
END
$$;

-- Takes back everything that was made of a code.
CREATE FUNCTION auth.revoke_code(p_code bytea) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE auth.authorization_code c SET revoked_at = coalesce(c.revoked_at, clock_timestamp())
     WHERE c.code_digest = p_code;
    UPDATE auth.refresh_token t SET revoked_at = coalesce(t.revoked_at, clock_timestamp()) WHERE t.code_digest = p_code;
    INSERT INTO auth.revoked_token (jti, expires_at)
    SELECT i.jti, i.expires_at FROM auth.issued_token i WHERE i.code_digest = p_code
    ON CONFLICT DO NOTHING;
END
$$;

-- Notes the access token that is about to be made with a refresh token; the refresh token stays as it is (FAPI 2.0
-- section 5.3.2.1: no rotation).
CREATE FUNCTION auth.use_refresh_token(p_token bytea, p_client text, p_jti text, p_jti_until timestamptz)
    RETURNS auth.held
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_held  auth.held;
    v_code  auth.authorization_code;
    v_until timestamptz;
    v_from  bytea;
BEGIN
    SELECT t.code_digest, t.expires_at INTO v_from, v_until FROM auth.refresh_token t
     WHERE t.token_digest = p_token AND t.client_id = p_client AND t.revoked_at IS NULL
       AND t.expires_at > clock_timestamp();
    -- The code's row is what is locked, here as when it is taken back: either this token is noted before, or not at all.
    SELECT c.* INTO v_code FROM auth.authorization_code c
     WHERE c.code_digest = v_from AND c.revoked_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        v_held.state := 'UNKNOWN';
        RETURN v_held;
    END IF;
    v_held := ROW(
        CASE WHEN auth.is_live(v_code) THEN 'GOOD' ELSE 'ENDED' END, v_code.redirect_uri, v_code.code_challenge,
        NULL, v_code.grant_id, v_code.account_id, v_code.session_id, v_code.factors, v_code.signed_in_at,
        v_until)::auth.held;
    IF v_held.state = 'GOOD' AND v_code.grant_id IS NULL
       AND NOT auth.bind_token(p_jti, v_code.session_id, p_jti_until) THEN
        v_held.state := 'ENDED';
    END IF;
    IF v_held.state = 'GOOD' THEN
        DELETE FROM auth.issued_token i
         WHERE i.code_digest = v_from AND i.expires_at < clock_timestamp() - interval '1 minute';
        INSERT INTO auth.issued_token (jti, code_digest, expires_at) VALUES (p_jti, v_from, p_jti_until);
    END IF;
    RETURN v_held;
END
$$;

-- A refresh token that is good at this moment, to its own client.
CREATE FUNCTION auth.refresh_token_of(p_token bytea, p_client text)
    RETURNS TABLE (grant_id uuid, account_id text, issued_at timestamptz, expires_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.grant_id, c.account_id, t.issued_at, t.expires_at
      FROM auth.refresh_token t JOIN auth.authorization_code c ON c.code_digest = t.code_digest
     WHERE t.token_digest = p_token AND t.client_id = p_client AND t.revoked_at IS NULL AND c.revoked_at IS NULL
       AND t.expires_at > clock_timestamp() AND auth.is_live(c)
$$;

-- Takes a refresh token back, and the access tokens with it (RFC 7009 section 2.1). True if it was the client's.
CREATE FUNCTION auth.revoke_refresh_token(p_token bytea, p_client text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_from bytea;
BEGIN
    SELECT t.code_digest INTO v_from FROM auth.refresh_token t
     WHERE t.token_digest = p_token AND t.client_id = p_client;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM FROM auth.authorization_code c WHERE c.code_digest = v_from FOR UPDATE;
    PERFORM auth.revoke_code(v_from);
    RETURN true;
END
$$;

-- How many token requests of this client were refused in this minute, this one included.
CREATE FUNCTION auth.count_refusal(p_client text) RETURNS int
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_count int;
BEGIN
    DELETE FROM auth.refusal r WHERE r.client_id = p_client AND r.minute < clock_timestamp() - interval '1 hour';
    INSERT INTO auth.refusal AS r (client_id, minute, refusals) VALUES (p_client, date_trunc('minute', clock_timestamp()), 1)
    ON CONFLICT (client_id, minute) DO UPDATE SET refusals = r.refusals + 1
    RETURNING r.refusals INTO v_count;
    RETURN v_count;
END
$$;

REVOKE ALL ON ALL TABLES IN SCHEMA auth FROM PUBLIC;
REVOKE ALL ON FUNCTION auth.find_client, auth.use_proof, auth.clear_proofs, auth.use_credentials, auth.push_request,
    auth.open_request, auth.finish_request, auth.grant_of, auth.is_live, auth.use_code, auth.revoke_code,
    auth.use_refresh_token, auth.refresh_token_of, auth.revoke_refresh_token, auth.count_refusal
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION auth.find_client, auth.use_proof, auth.use_credentials, auth.push_request, auth.open_request,
    auth.finish_request, auth.grant_of, auth.use_code, auth.use_refresh_token, auth.refresh_token_of,
    auth.revoke_refresh_token, auth.count_refusal TO hub_app;

INSERT INTO audit.event_name (name) VALUES ('token:client:refused');
