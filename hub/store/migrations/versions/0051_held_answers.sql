-- As in 0006; an answer that is held is given only to whoever may still act, by registration and token. `state` REFUSED:
-- he may not.
DROP FUNCTION auth.claim_key(text, text, bytea);
CREATE FUNCTION auth.claim_key(who text, token text, wanted text, print bytea, OUT state text, OUT held text)
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
    ELSIF v_row.answer IS NOT NULL AND NOT EXISTS (SELECT FROM auth.bearer_state(token, who)) THEN
        state := 'REFUSED';
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
REVOKE ALL ON FUNCTION auth.claim_key FROM PUBLIC;
GRANT EXECUTE ON FUNCTION auth.claim_key TO hub_app;
