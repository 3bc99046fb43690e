-- Help at the village desk for people without a phone (协助查询). The resident is there and brings a factor of his own: a code
-- that a steward printed after seeing the identity card, or in the sandbox a one-time code. The code opens one look at the
-- resident's own record, while the assistant himself is signed in with two factors. Nothing is ever opened on the desk's
-- word, the assistant gets no token, and every reading names him and the reason.
--
-- HB150: no such code or account (one text for all), HB192: not an assistant, or his own code.

ALTER TABLE auth.session DROP CONSTRAINT session_method_check;
ALTER TABLE auth.session ADD CONSTRAINT session_method_check CHECK (method IN ('PASSKEY', 'CODE', 'ASSISTED'));

-- A code on paper: keyed hash, five tries, seven days, one use.
CREATE TABLE auth.printed_code (
    account_id text PRIMARY KEY REFERENCES auth.account,
    digest     bytea NOT NULL,
    tries      int   NOT NULL CHECK (tries >= 0),
    expires_at timestamptz NOT NULL,
    issued_by  text  NOT NULL
);

-- Who helped in a session, and why. `at_counter`: a steward who had seen the identity card himself, by a command.
CREATE TABLE auth.assistance (
    session_id uuid PRIMARY KEY REFERENCES auth.session,
    assistant  text NOT NULL,
    at_counter boolean NOT NULL,
    reason     text NOT NULL CHECK (reason IN ('NO_PHONE', 'NO_SIGNAL', 'CANNOT_READ', 'DISABILITY')),
    begun_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- How often a desk tried on a day (Asia/Shanghai), whatever came of it.
CREATE TABLE auth.assistance_day (
    assistant text NOT NULL REFERENCES auth.account (account_id),
    day       date NOT NULL,
    tries     int  NOT NULL,
    PRIMARY KEY (assistant, day)
);

-- More tries of one desk on a day than `minimum` are refused, and an alarm.
ALTER TABLE access.alert DROP CONSTRAINT alert_kind_check;
ALTER TABLE access.alert ADD CONSTRAINT alert_kind_check CHECK (kind IN
    ('CANARY', 'OFFICER_RATE', 'VILLAGE_RATE', 'DENIED', 'NO_RESULT', 'PROBING', 'ASSISTED'));
ALTER TABLE access.alert_rule DROP CONSTRAINT alert_rule_kind_check;
ALTER TABLE access.alert_rule ADD CONSTRAINT alert_rule_kind_check CHECK (kind IN
    ('OFFICER_RATE', 'VILLAGE_RATE', 'DENIED', 'NO_RESULT', 'PROBING', 'ASSISTED'));
INSERT INTO access.alert_rule VALUES ('ASSISTED', 20, 1, 7, 0);

-- Puts a printed code of a resident's account in the place of an earlier one; gives when it runs out.
CREATE FUNCTION auth.put_printed_code(p_account text, p_digest bytea, p_by text) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_expires timestamptz := clock_timestamp() + interval '7 days';
BEGIN
    PERFORM FROM auth.account a
      WHERE a.account_id = p_account AND a.status = 'ACTIVE' AND a.role = 'RESIDENT' FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such account of a resident' USING ERRCODE = 'HB150';
    END IF;
    INSERT INTO auth.printed_code VALUES (p_account, p_digest, 5, v_expires, p_by)
    ON CONFLICT (account_id) DO UPDATE
        SET digest = excluded.digest, tries = 5, expires_at = excluded.expires_at, issued_by = excluded.issued_by;
    RETURN v_expires;
END $$;

-- Whoever suspends or closes an account takes the paper's worth away too.
CREATE FUNCTION auth.drop_printed_code() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM auth.printed_code c WHERE c.account_id = NEW.account_id;
    RETURN NULL;
END $$;
CREATE TRIGGER account_drops_printed_code AFTER UPDATE OF status ON auth.account
    FOR EACH ROW WHEN (NEW.status <> 'ACTIVE') EXECUTE FUNCTION auth.drop_printed_code();

-- Who is signed in with this cookie, if he may help at a desk: two factors, and a role in the field.
CREATE FUNCTION auth.assistant_of(p_cookie bytea) RETURNS auth.account
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT a FROM auth.session s JOIN auth.account a ON a.account_id = s.account_id
     WHERE s.digest = p_cookie AND auth.stands(s) AND s.factors >= 2
       AND a.role IN ('COLLECTOR', 'VILLAGE_REVIEWER', 'TOWNSHIP')
       AND s.seen_at > clock_timestamp() - interval '30 minutes'
$$;

-- Whether a resident's account is one that this assistant may help: of a household in his villages of today.
CREATE FUNCTION auth.may_assist(p_assistant auth.account, p_account text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM auth.account a
          JOIN record.person p ON p.person_id = record.present_person(a.person_id)
          JOIN record.household h ON h.county = p.county AND h.household_id = p.household_id
          CROSS JOIN LATERAL (SELECT auth.villages_of(p_assistant.account_id, p_assistant.village_codes,
              (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date) AS codes) v
         WHERE a.account_id = p_account AND a.status = 'ACTIVE' AND a.role = 'RESIDENT'
           AND CASE WHEN cardinality(v.codes) > 0 THEN h.village_code = ANY (v.codes)
                    ELSE p_assistant.role = 'TOWNSHIP' AND h.county = ANY (p_assistant.county_codes) END)
$$;

-- Counts a try of a desk and takes one of the tries at the codes of a resident's account: what to compare with, nothing
-- where there is none. The first try over the limit of the day raises the alarm.
CREATE FUNCTION auth.try_assistance(p_cookie bytea, p_account text)
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
               AND c.issued_by <> v_assistant.account_id RETURNING c.digest
        ), sandbox AS (
            UPDATE auth.one_time_code c SET tries = c.tries - 1
             WHERE c.account_id = p_account AND c.tries > 0 AND c.expires_at > clock_timestamp() RETURNING c.digest
        )
        SELECT coalesce(array_agg(t.digest), '{}') INTO digests
          FROM (SELECT digest FROM printed UNION ALL SELECT digest FROM sandbox) t;
    END IF;
    RETURN NEXT;
END $$;

-- The session of one look, for the functions below: nobody has its cookie, and five minutes are enough.
CREATE FUNCTION auth.store_assisted(
    p_session uuid, p_account text, p_jti text, p_assistant text, p_at_counter boolean, p_reason text
) RETURNS uuid
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_person uuid;
    v_ends   timestamptz := clock_timestamp() + interval '5 minutes';
BEGIN
    SELECT record.present_person(a.person_id) INTO v_person FROM auth.account a
     WHERE a.account_id = p_account AND a.status = 'ACTIVE' AND a.role = 'RESIDENT' FOR SHARE;
    IF v_person IS NULL THEN
        RAISE EXCEPTION 'no such account is open' USING ERRCODE = 'HB150';
    END IF;
    INSERT INTO auth.session (session_id, digest, account_id, method, factors, passkey_id, ends_at)
    VALUES (p_session, sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), p_account, 'ASSISTED', 1,
            NULL, v_ends);
    INSERT INTO auth.assistance VALUES (p_session, p_assistant, p_at_counter, p_reason);
    INSERT INTO auth.session_token VALUES (p_jti, p_session, v_ends);
    RETURN v_person;
END $$;

-- Begins a look with a code that was compared; the code is gone afterwards.
CREATE FUNCTION auth.begin_assisted(
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
       AND c.issued_by <> v_assistant.account_id;
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

-- Begins a look at a counter where a steward has seen the identity card; for commands on the server itself.
CREATE FUNCTION auth.begin_at_counter(p_session uuid, p_account text, p_jti text, p_steward text, p_reason text)
RETURNS uuid
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT auth.store_assisted(p_session, p_account, p_jti, p_steward, true, p_reason)
$$;

-- Ends a look; gives whether it stood. Other sessions are not touched.
CREATE FUNCTION auth.end_assisted(p_session uuid) RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT auth.end_sessions(ARRAY (
        SELECT s.session_id FROM auth.session s WHERE s.session_id = p_session AND s.method = 'ASSISTED'), 'ASSISTED') > 0
$$;

-- Who helped, where a token came of help at a desk; no row for any other.
CREATE FUNCTION auth.assistance_of(p_token text) RETURNS TABLE (assistant text, reason text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.assistant, a.reason
      FROM auth.session_token t JOIN auth.assistance a ON a.session_id = t.session_id WHERE t.jti = p_token
$$;

-- As in 0028; a resident's reading at a desk names who helped and why.
CREATE OR REPLACE FUNCTION access.record_of(
    p_asked access.asked, p_answer access.answer, p_cause text, p_persons text, p_digest bytea
) RETURNS audit.pending
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ROW(
        p_asked.ev, p_answer.as_of, 'query',
        CASE p_asked.role WHEN 'RESIDENT' THEN 'household:resident:queried'
                          WHEN 'STEWARD' THEN 'household:steward:shown' ELSE 'profile:client:queried' END,
        p_asked.organisation_id, p_asked.actor, p_asked.purpose,
        CASE WHEN p_persons IS NULL THEN 'deny' WHEN cardinality(p_answer.withheld) > 0 THEN 'mask' ELSE 'allow' END,
        encode(p_digest, 'hex'), p_asked.operation, p_asked.county,
        CASE WHEN p_asked.found_id IS NULL THEN '{}' ELSE p_asked.found_id || p_answer.other_adults END,
        ('{"asOf":"' || to_char(p_answer.as_of AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD"T"HH24:MI:SS.US')
            || '+08:00","client":' || to_json(p_asked.asker)::text || ',"token":' || to_json(p_asked.token)::text
            || coalesce(',"role":"' || p_asked.role || '"', '')
            || CASE WHEN p_asked.role = 'RESIDENT' THEN coalesce((
                   SELECT ',"assistant":' || to_json(a.assistant)::text || ',"assistanceReason":"' || a.reason || '"'
                   FROM auth.assistance_of(p_asked.token) a), '') ELSE '' END
            || coalesce(',"idempotencyKey":' || to_json(p_asked.retry_key)::text, '')
            || coalesce(',"reason":"' || p_cause || '"', '')
            || coalesce(',"adultsNotShown":' || p_answer.adults_not_shown, '')
            || ',"asked":' || access.as_facts(p_asked.parts) || ',"withheld":' || access.as_facts(p_answer.withheld)
            || ',"absent":' || access.as_facts(p_answer.absent)
            || coalesce(',"persons":{' || access.with_circumstances(p_asked, p_answer, p_persons) || '}', '')
            || '}')::jsonb,
        p_asked.sealed)::audit.pending;
END $$;

REVOKE ALL ON auth.printed_code, auth.assistance, auth.assistance_day FROM PUBLIC;
REVOKE ALL ON FUNCTION auth.drop_printed_code, auth.put_printed_code, auth.assistant_of, auth.may_assist, auth.try_assistance,
    auth.store_assisted, auth.begin_assisted, auth.begin_at_counter, auth.end_assisted, auth.assistance_of FROM PUBLIC;
GRANT EXECUTE ON FUNCTION auth.put_printed_code, auth.begin_at_counter, auth.end_assisted TO hub_ingest;
GRANT EXECUTE ON FUNCTION auth.try_assistance, auth.begin_assisted, auth.end_assisted, auth.assistance_of TO hub_app;
INSERT INTO audit.event_name (name) VALUES
    ('assistance:desk:begun'), ('assistance:desk:refused'), ('code:steward:issued');
