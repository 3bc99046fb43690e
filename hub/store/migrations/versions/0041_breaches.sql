-- Breaches (个人信息泄露、篡改、丢失): what happened, how far it reaches, what is to be done by when and by whom it was decided
-- (docs/DUTIES.md). An operator opens and assesses; a security administrator, signed in with a passkey, decides.

CREATE TABLE access.breach (
    breach_id       uuid PRIMARY KEY,
    what            text NOT NULL CHECK (what IN ('LEAKED', 'ALTERED', 'LOST')),
    discovered_at   timestamptz NOT NULL,      -- every deadline counts from here
    public_interest boolean NOT NULL,          -- national security or the public interest is at stake
    opened_at       timestamptz NOT NULL,
    opened_by       text NOT NULL,
    state           text NOT NULL DEFAULT 'OPEN' CHECK (state IN ('OPEN', 'ASSESSED', 'DECIDED', 'CLOSED')),
    -- The assessment: which disclosures or which county it reaches, and what people and organisations are told.
    reach           jsonb,
    categories      text[] NOT NULL DEFAULT '{}',
    notice          jsonb,
    organisations   text[] NOT NULL DEFAULT '{}',
    tell_persons    boolean,                   -- false: the measures taken avert all harm (个人信息保护法 art. 57(2))
    assessed_at     timestamptz,
    assessed_by     text,
    decided_at      timestamptz,
    decided_by      text,
    closed_at       timestamptz,
    closed_by       text,
    CHECK ((state = 'OPEN') = (assessed_by IS NULL)),
    CHECK ((state IN ('DECIDED', 'CLOSED')) = (decided_by IS NOT NULL)),
    CHECK ((state = 'CLOSED') = (closed_by IS NOT NULL)),
    CHECK (decided_by NOT IN (opened_by, assessed_by))
);

-- What is to be done by when. `overdue_ev`: the entry of the log that says it was not done in time.
CREATE TABLE access.breach_duty (
    breach_id  uuid NOT NULL REFERENCES access.breach,
    duty       text NOT NULL,
    due_at     timestamptz NOT NULL,
    done_at    timestamptz,
    done_by    text,
    channel    text,
    reference  text,
    overdue_ev uuid,
    PRIMARY KEY (breach_id, duty),
    CHECK ((done_at IS NULL) = (done_by IS NULL))
);

-- Whom it reaches. `told_at`: when the notice was put where the person finds it; `read_at`: when he first read it.
CREATE TABLE access.breach_person (
    county    char(6) NOT NULL,
    breach_id uuid NOT NULL REFERENCES access.breach,
    person_id uuid NOT NULL,
    minor     boolean NOT NULL,
    told_at   timestamptz,
    read_at   timestamptz,
    PRIMARY KEY (county, breach_id, person_id)
);
CREATE INDEX breach_person_only ON access.breach_person (person_id);
CREATE INDEX breach_person_of ON access.breach_person (breach_id);

-- Works out anew whom a breach reaches: everybody whom the named organisation (all, without one) was shown between two
-- instants, or everybody of a county. Returns how many, and how many of them are under age.
CREATE FUNCTION access.reach_of_breach(
    p_breach uuid, p_since timestamptz, p_until timestamptz, p_organisation text, p_county text,
    OUT persons bigint, OUT minors bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_grown_up date := (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date - interval '18 years';
BEGIN
    DELETE FROM access.breach_person b WHERE b.breach_id = p_breach AND b.told_at IS NULL;
    INSERT INTO access.breach_person (county, breach_id, person_id, minor)
    SELECT DISTINCT p.county, p_breach, p.person_id, coalesce(p.birth_date > v_grown_up, false)
      FROM record.person p
     WHERE p.county = p_county
        OR p.person_id IN (SELECT record.present_person(q.person_id) FROM access.officer_query q
                            WHERE p_county IS NULL AND q.asked_at >= p_since AND q.asked_at < p_until
                              AND q.decision <> 'deny'
                              AND (p_organisation IS NULL OR q.organisation_id = p_organisation))
    ON CONFLICT DO NOTHING;
    SELECT count(*), count(*) FILTER (WHERE b.minor) INTO persons, minors
      FROM access.breach_person b WHERE b.breach_id = p_breach;
END $$;

-- What waits for a decision, for a security administrator. HB169: he is none.
CREATE FUNCTION access.breaches_to_decide(p_cookie bytea)
RETURNS TABLE (breach_id uuid, what text, discovered_at timestamptz, assessed_by text, categories text[],
               tell_persons boolean, persons bigint, minors bigint, notice text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (auth.administrator_of(p_cookie)).account_id IS NULL THEN
        RAISE EXCEPTION 'not a security administrator' USING ERRCODE = 'HB169';
    END IF;
    RETURN QUERY
    SELECT b.breach_id, b.what, b.discovered_at, b.assessed_by, b.categories, b.tell_persons,
           (SELECT count(*) FROM access.breach_person p WHERE p.breach_id = b.breach_id),
           (SELECT count(*) FROM access.breach_person p WHERE p.breach_id = b.breach_id AND p.minor), b.notice::text
      FROM access.breach b WHERE b.state = 'ASSESSED' ORDER BY b.discovered_at;
END $$;

-- Decides on an assessment: it stands, or is to be made anew. HB169: no security administrator, HB193: nothing waits.
CREATE FUNCTION access.decide_breach(p_cookie bytea, p_breach uuid, p_yes boolean, OUT decided_by text, OUT told boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_admin auth.account := auth.administrator_of(p_cookie);
BEGIN
    IF v_admin.account_id IS NULL THEN
        RAISE EXCEPTION 'not a security administrator' USING ERRCODE = 'HB169';
    END IF;
    PERFORM FROM access.breach b WHERE b.breach_id = p_breach AND b.state = 'ASSESSED' FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'nothing waits' USING ERRCODE = 'HB193';
    END IF;
    decided_by := v_admin.account_id;
    IF p_yes THEN
        UPDATE access.breach b SET state = 'DECIDED', decided_at = clock_timestamp(), decided_by = v_admin.account_id
         WHERE b.breach_id = p_breach RETURNING b.tell_persons INTO told;
    ELSE
        UPDATE access.breach b SET state = 'OPEN', assessed_at = NULL, assessed_by = NULL WHERE b.breach_id = p_breach;
        told := false;
    END IF;
END $$;

-- What a resident has to be told, newest first; the first reading is noted.
CREATE FUNCTION access.own_notices(p_account text, p_token text)
RETURNS TABLE (breach_id uuid, what text, discovered_at timestamptz, told_at timestamptz, categories text[], notice text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_persons uuid[] := (SELECT record.same_person(s.person_id) FROM auth.bearer_state(p_token, p_account) s
                          WHERE s.found_role = 'RESIDENT' AND s.person_id IS NOT NULL);
BEGIN
    IF v_persons IS NULL THEN
        RAISE EXCEPTION 'no resident' USING ERRCODE = 'HB190';
    END IF;
    UPDATE access.breach_person p SET read_at = clock_timestamp()
     WHERE p.person_id = ANY (v_persons) AND p.told_at IS NOT NULL AND p.read_at IS NULL;
    RETURN QUERY
    SELECT b.breach_id, b.what, b.discovered_at, min(p.told_at), b.categories, b.notice::text
      FROM access.breach_person p JOIN access.breach b ON b.breach_id = p.breach_id
     WHERE p.person_id = ANY (v_persons) AND p.told_at IS NOT NULL
     GROUP BY b.breach_id ORDER BY min(p.told_at) DESC, b.breach_id;
END $$;

-- Tells the organisations of an assessment, by message and list like everything else that they are told.
ALTER TABLE consent.delivery DROP CONSTRAINT delivery_topic_check;
ALTER TABLE consent.delivery ADD CONSTRAINT delivery_topic_check
    CHECK (topic IN ('CONSENT', 'CHALLENGE', 'CORRECTION', 'BREACH'));
CREATE FUNCTION access.tell_breach(p_breach uuid) RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_told int;
BEGIN
    SELECT count(consent.tell(o.id, 'BREACH', json_build_object('breachId', b.breach_id, 'what', b.what,
               'discoveredAt', b.discovered_at, 'categories', b.categories, 'notice', b.notice, 'at', clock_timestamp())))
      INTO v_told
      FROM access.breach b CROSS JOIN unnest(b.organisations) AS o (id) WHERE b.breach_id = p_breach;
    RETURN v_told;
END $$;

-- Whether an organisation is registered.
CREATE FUNCTION access.organisation_stands(p_organisation text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM access.organisation o WHERE o.organisation_id = p_organisation)
$$;

ALTER TABLE access.alert DROP CONSTRAINT alert_kind_check;
ALTER TABLE access.alert ADD CONSTRAINT alert_kind_check CHECK (kind IN
    ('CANARY', 'OFFICER_RATE', 'VILLAGE_RATE', 'DENIED', 'NO_RESULT', 'PROBING', 'ASSISTED', 'BREACH'));

REVOKE ALL ON access.breach, access.breach_duty, access.breach_person FROM PUBLIC;
REVOKE ALL ON FUNCTION access.reach_of_breach, access.breaches_to_decide, access.decide_breach, access.own_notices,
    access.tell_breach, access.organisation_stands FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON access.breach_duty TO hub_ingest;
GRANT SELECT, INSERT ON access.breach TO hub_ingest;
-- No command decides: neither the decision nor who made it can be written by its login.
GRANT UPDATE (state, reach, categories, notice, organisations, tell_persons, assessed_at, assessed_by, closed_at, closed_by) ON access.breach TO hub_ingest;
GRANT SELECT ON access.breach_person TO hub_ingest;
GRANT UPDATE (told_at) ON access.breach_person TO hub_ingest;
GRANT EXECUTE ON FUNCTION access.reach_of_breach, access.tell_breach, access.organisation_stands TO hub_ingest;
GRANT EXECUTE ON FUNCTION access.breaches_to_decide, access.decide_breach, access.own_notices TO hub_app;
INSERT INTO audit.event_name (name) VALUES
    ('breach:administrator:decided'), ('breach:hub:overdue'), ('breach:hub:told'), ('breach:operator:assessed'),
    ('breach:operator:closed'), ('breach:operator:notified'), ('breach:operator:opened');
