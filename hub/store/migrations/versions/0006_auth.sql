-- Who may sign in, and what a token or an assertion has already been used for. Personal data: none (person_id is random).

CREATE SCHEMA auth;

-- People who use the hub itself: residents, collectors, stewards, regulators. Systems of organisations are access.client.
CREATE TABLE auth.account (
    account_id      text PRIMARY KEY CHECK (account_id ~ '^[A-Za-z0-9._:-]{1,64}$'),
    role            text NOT NULL,
    person_id       uuid,                       -- set for residents and guardians: whose record is "own"
    organisation_id text,
    county_codes    char(6)[] NOT NULL DEFAULT '{}',
    village_codes   text[]    NOT NULL DEFAULT '{}',
    status          text NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'SUSPENDED', 'CLOSED')),
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (role <> 'RESIDENT' OR person_id IS NOT NULL)
);
CREATE INDEX ON auth.account (role);
CREATE INDEX ON auth.account (person_id) WHERE person_id IS NOT NULL;

-- Tokens taken back before they ran out (RFC 7009). Rows are useless once the token has run out.
CREATE TABLE auth.revoked_token (
    jti        text PRIMARY KEY,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON auth.revoked_token (expires_at);

-- Client assertions seen, so that none authenticates twice (RFC 7523 section 3, item 7), in any process.
CREATE TABLE auth.used_assertion (
    client_id  text  NOT NULL,
    jti_digest bytea NOT NULL CHECK (length(jti_digest) = 32),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (client_id, jti_digest)
);
CREATE INDEX ON auth.used_assertion (expires_at);

-- Changes that came with a key of the caller's making: the same key again gets the same answer and changes nothing.
-- `answer` is empty while the change is under way; it holds ids, states and the receipt, no personal data.
CREATE TABLE auth.idempotency (
    bearer      text  NOT NULL,
    key         text  NOT NULL,
    fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
    claimed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    answer      text,
    PRIMARY KEY (bearer, key)
);
CREATE INDEX ON auth.idempotency (claimed_at);

-- Claims a key. `state`: CLAIMED (go on), BUSY (the first call is under way), OTHER (the key stands for another change),
-- ANSWERED. A claim that nobody settled within a minute was interrupted and may be taken over; keys live a day.
CREATE FUNCTION auth.claim_key(who text, wanted text, print bytea, OUT state text, OUT held text)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_row auth.idempotency;
BEGIN
    DELETE FROM auth.idempotency i
     WHERE i.ctid IN (SELECT o.ctid FROM auth.idempotency o
                       WHERE o.claimed_at < clock_timestamp() - interval '1 day' LIMIT 20 FOR UPDATE SKIP LOCKED);
    INSERT INTO auth.idempotency (bearer, key, fingerprint) VALUES (who, wanted, print) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        state := 'CLAIMED';
        RETURN;
    END IF;
    SELECT * INTO v_row FROM auth.idempotency i WHERE i.bearer = who AND i.key = wanted FOR UPDATE;
    IF v_row.fingerprint <> print THEN
        state := 'OTHER';
    ELSIF v_row.answer IS NOT NULL THEN
        state := 'ANSWERED';
        held := v_row.answer;
    ELSIF v_row.claimed_at < clock_timestamp() - interval '1 minute' THEN
        UPDATE auth.idempotency i SET claimed_at = clock_timestamp() WHERE i.bearer = who AND i.key = wanted;
        state := 'CLAIMED';
    ELSE
        state := 'BUSY';
    END IF;
END
$$;

-- Keeps the answer of a claimed key; without an answer the key is free again.
CREATE FUNCTION auth.settle_key(who text, wanted text, given text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF given IS NULL THEN
        DELETE FROM auth.idempotency i WHERE i.bearer = who AND i.key = wanted AND i.answer IS NULL;
    ELSE
        UPDATE auth.idempotency i SET answer = given WHERE i.bearer = who AND i.key = wanted AND i.answer IS NULL;
    END IF;
END
$$;

-- What the token endpoint must know of a client; no row for an unknown one.
CREATE FUNCTION auth.find_client(asked text)
    RETURNS TABLE (client_id text, organisation_id text, role text, jwks text, status text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.client_id, c.organisation_id, c.role, c.jwks::text, c.status
      FROM access.client c WHERE c.client_id = asked
$$;

-- Marks an assertion as used; true for exactly one caller. Rows of run-out assertions are cleared a few at a time.
CREATE FUNCTION auth.use_assertion(client text, digest bytea, expires timestamptz)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM auth.used_assertion u
     WHERE u.ctid IN (SELECT o.ctid FROM auth.used_assertion o
                       WHERE o.expires_at < clock_timestamp() - interval '5 minutes'
                       LIMIT 20 FOR UPDATE SKIP LOCKED);
    INSERT INTO auth.used_assertion VALUES (client, digest, expires) ON CONFLICT DO NOTHING;
    RETURN FOUND;
END
$$;

-- Takes a token back; doing it twice changes nothing.
CREATE FUNCTION auth.revoke_token(token text, expires timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM auth.revoked_token r
     WHERE r.ctid IN (SELECT o.ctid FROM auth.revoked_token o
                       WHERE o.expires_at < clock_timestamp() - interval '5 minutes'
                       LIMIT 20 FOR UPDATE SKIP LOCKED);
    INSERT INTO auth.revoked_token (jti, expires_at) VALUES (token, expires) ON CONFLICT DO NOTHING;
END
$$;

-- Whether the bearer may act at this moment: the token not taken back, the client or account known and active.
-- No row where he may not. An id must belong to a client or to an account, not both: two rows let nobody act.
CREATE FUNCTION auth.bearer_state(token text, bearer text)
    RETURNS TABLE (found_role text, person_id uuid, organisation_id text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT b.role, b.person_id, b.organisation_id
      FROM (SELECT c.role, NULL::uuid AS person_id, c.organisation_id
              FROM access.client c WHERE c.client_id = bearer AND c.status = 'ACTIVE'
            UNION ALL
            SELECT a.role, a.person_id, a.organisation_id
              FROM auth.account a WHERE a.account_id = bearer AND a.status = 'ACTIVE') b
     WHERE NOT EXISTS (SELECT FROM auth.revoked_token r WHERE r.jti = token)
$$;

-- The registered names of organisations, so that a resident reads who looked and not a number.
CREATE FUNCTION auth.organisation_names(asked text[])
    RETURNS TABLE (organisation_id text, name_zh text, name_en text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT o.organisation_id, o.name_zh, o.name_en FROM access.organisation o WHERE o.organisation_id = ANY (asked)
$$;

REVOKE ALL ON ALL TABLES IN SCHEMA auth FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA auth FROM PUBLIC;
GRANT USAGE ON SCHEMA auth TO hub_app, hub_ingest;
GRANT EXECUTE ON FUNCTION auth.find_client(text),
    auth.use_assertion(text, bytea, timestamptz), auth.revoke_token(text, timestamptz),
    auth.bearer_state(text, text), auth.organisation_names(text[]),
    auth.claim_key(text, text, bytea), auth.settle_key(text, text, text) TO hub_app;
-- Accounts are opened and closed by commands that an operator or a steward runs, never by a request.
GRANT SELECT, INSERT, UPDATE ON auth.account TO hub_ingest;
