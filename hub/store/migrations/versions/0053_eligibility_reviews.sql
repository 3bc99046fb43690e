-- A person has a decision explained and looked at again by somebody else (个人信息保护法 art. 24). Functions refuse with HB200 to
-- HB203; hub/benefits/decisions.py maps them.

-- A review of one decision, asked for by its person. Decided by a steward of the county, with a ground of a closed list.
CREATE TABLE benefit.review (
    county      char(6) NOT NULL,
    review_id   uuid NOT NULL,
    decision_id uuid NOT NULL,
    person_id   uuid NOT NULL,
    asked_by    text NOT NULL,
    asked_at    timestamptz NOT NULL,
    due_on      date NOT NULL,
    state       text NOT NULL DEFAULT 'OPEN' CHECK (state IN ('OPEN', 'UPHELD', 'OVERTURNED')),
    ground      text,
    decided_by  text,
    decided_at  timestamptz,
    PRIMARY KEY (county, review_id),
    FOREIGN KEY (county, decision_id) REFERENCES benefit.decision (county, decision_id),
    CHECK (num_nulls(ground, decided_by, decided_at) IN (0, 3) AND (state = 'OPEN') = (decided_at IS NULL)),
    CHECK (CASE state WHEN 'UPHELD' THEN ground IN ('RECORD_CONFIRMED', 'RULE_APPLIED')
                      WHEN 'OVERTURNED' THEN ground IN ('RECORD_WRONG', 'RECORD_OUTDATED', 'HARDSHIP') ELSE true END),
    CHECK (decided_by <> asked_by)
);
CREATE UNIQUE INDEX review_open ON benefit.review (county, decision_id) WHERE state = 'OPEN';
CREATE INDEX review_decision ON benefit.review (decision_id);
CREATE INDEX review_id ON benefit.review (review_id);

-- The decisions about the person behind a resident's account, newest first; with an id that one alone. Refuses with HB200 an
-- account that is no living adult's.
CREATE FUNCTION benefit.own_decisions(p_account text, p_token text, p_at timestamptz, p_decision uuid DEFAULT NULL)
RETURNS TABLE (decision_id uuid, county char(6), person_id uuid, organisation_id text, name_zh text, name_en text,
               programme_id text, version int, terms text, period text, answer text, overturned boolean, outcomes jsonb,
               decided_at timestamptz, review_id uuid, review_state text, review_due date, ground text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_person uuid;
BEGIN
    SELECT p.person_id INTO v_person FROM consent.person_of(p_account, p_token, p_at) p;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no living adult' USING ERRCODE = 'HB200';
    END IF;
    RETURN QUERY
    SELECT d.decision_id, d.county, v_person, g.organisation_id, o.name_zh, o.name_en, d.programme_id, d.version, g.terms,
           d.period, d.answer, d.overturned, d.outcomes, d.decided_at, r.review_id, r.state, r.due_on, r.ground
    FROM benefit.decision d
    JOIN benefit.programme g ON g.programme_id = d.programme_id AND g.version = d.version
    JOIN access.organisation o ON o.organisation_id = g.organisation_id
    LEFT JOIN LATERAL (SELECT x.* FROM benefit.review x WHERE x.county = d.county AND x.decision_id = d.decision_id
                       ORDER BY x.asked_at DESC LIMIT 1) r ON true
    WHERE d.person_id = ANY (record.same_person(v_person)) AND (p_decision IS NULL OR d.decision_id = p_decision)
    ORDER BY d.decided_at DESC, d.decision_id LIMIT 500;
END $$;

-- The person asks for a review of a no. HB201: no such decision of his that is a no; HB202: one is under way, or was decided
-- and the period's answer stands.
CREATE FUNCTION benefit.request_review(p_account text, p_token text, p_decision uuid, p_review uuid, p_at timestamptz)
RETURNS TABLE (person_id uuid, county char(6), organisation_id text, programme_id text, due_on date)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_own record;
    v_due date := (p_at AT TIME ZONE 'Asia/Shanghai')::date + 20;
BEGIN
    SELECT o.* INTO v_own FROM benefit.own_decisions(p_account, p_token, p_at, p_decision) o WHERE o.decision_id = p_decision;
    IF NOT FOUND OR v_own.answer <> 'NO' OR v_own.overturned THEN
        RAISE EXCEPTION 'no such decision' USING ERRCODE = 'HB201';
    END IF;
    PERFORM FROM benefit.decision d WHERE d.county = v_own.county AND d.decision_id = p_decision FOR UPDATE;
    IF EXISTS (SELECT FROM benefit.review r WHERE r.county = v_own.county AND r.decision_id = p_decision) THEN
        RAISE EXCEPTION 'reviewed already' USING ERRCODE = 'HB202';
    END IF;
    INSERT INTO benefit.review (county, review_id, decision_id, person_id, asked_by, asked_at, due_on)
    VALUES (v_own.county, p_review, p_decision, v_own.person_id, p_account, p_at, v_due);
    RETURN QUERY SELECT v_own.person_id, v_own.county, v_own.organisation_id, v_own.programme_id, v_due;
END $$;

-- The steward behind an account, with his counties; no row for anybody else, or a token that was taken back.
CREATE FUNCTION benefit.reviewer_of(p_account text, p_token text)
RETURNS TABLE (county_codes char(6)[])
LANGUAGE sql STABLE AS $$
    SELECT a.county_codes FROM auth.account a
    WHERE a.account_id = p_account AND a.role = 'STEWARD' AND a.status = 'ACTIVE'
      AND NOT EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = p_token)
$$;

-- Reviews that wait in a steward's counties, oldest first: what came of each comparison, no value and nobody's name. HB200 for
-- anybody else.
CREATE FUNCTION benefit.open_reviews(p_account text, p_token text, p_after uuid, p_limit int)
RETURNS TABLE (review_id uuid, county char(6), person_id uuid, organisation_id text, programme_id text, version int,
               terms text, period text, outcomes jsonb, asked_at timestamptz, due_on date)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_reviewer record;
BEGIN
    SELECT * INTO v_reviewer FROM benefit.reviewer_of(p_account, p_token);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no steward' USING ERRCODE = 'HB200';
    END IF;
    RETURN QUERY
    SELECT r.review_id, r.county, r.person_id, g.organisation_id, d.programme_id, d.version, g.terms, d.period, d.outcomes,
           r.asked_at, r.due_on
    FROM benefit.review r
    JOIN benefit.decision d ON d.county = r.county AND d.decision_id = r.decision_id
    JOIN benefit.programme g ON g.programme_id = d.programme_id AND g.version = d.version
    WHERE r.state = 'OPEN' AND r.county = ANY (v_reviewer.county_codes) AND (p_after IS NULL OR r.review_id > p_after)
    ORDER BY r.review_id LIMIT least(p_limit, 101);
END $$;

-- A steward decides; not about himself (`p_own`: the keyed hashes of his own number). What is overturned is a yes from then on, and the provider is told that a decision of
-- its own changed. HB203: no such review for him to decide.
CREATE FUNCTION benefit.decide_review(
    p_account text, p_token text, p_review uuid, p_overturn boolean, p_ground text, p_own bytea[], p_at timestamptz
) RETURNS TABLE (person_id uuid, county char(6), organisation_id text, programme_id text, decision_id uuid, state text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_reviewer record;
    v_review   benefit.review;
    v_owner    record;
BEGIN
    SELECT * INTO v_reviewer FROM benefit.reviewer_of(p_account, p_token);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no steward' USING ERRCODE = 'HB200';
    END IF;
    SELECT r.* INTO v_review FROM benefit.review r
    WHERE r.review_id = p_review AND r.state = 'OPEN' AND r.county = ANY (v_reviewer.county_codes) FOR UPDATE;
    IF NOT FOUND OR auth.same_person(v_review.asked_by, p_account) OR EXISTS (
        SELECT FROM record.directory i
        WHERE i.person_id = ANY (record.same_person(v_review.person_id)) AND i.blind_index = ANY (p_own)) THEN
        RAISE EXCEPTION 'no such review' USING ERRCODE = 'HB203';
    END IF;
    UPDATE benefit.review r SET state = CASE WHEN p_overturn THEN 'OVERTURNED' ELSE 'UPHELD' END, ground = p_ground,
                                decided_by = p_account, decided_at = p_at
    WHERE r.county = v_review.county AND r.review_id = v_review.review_id RETURNING r.* INTO v_review;
    SELECT g.organisation_id, g.programme_id INTO v_owner
    FROM benefit.decision d JOIN benefit.programme g ON g.programme_id = d.programme_id AND g.version = d.version
    WHERE d.county = v_review.county AND d.decision_id = v_review.decision_id;
    IF p_overturn THEN
        UPDATE benefit.decision d SET overturned = true
        WHERE d.county = v_review.county AND d.decision_id = v_review.decision_id;
        PERFORM consent.tell(v_owner.organisation_id, 'CORRECTION', json_build_object(
            'decisionId', v_review.decision_id, 'programme', v_owner.programme_id, 'state', 'OVERTURNED', 'at', p_at));
    END IF;
    RETURN QUERY SELECT v_review.person_id, v_review.county, v_owner.organisation_id, v_owner.programme_id,
                        v_review.decision_id, v_review.state;
END $$;

-- Of a decision nothing changes but that it was overturned; reviews and decisions are never deleted.
CREATE FUNCTION benefit.keep_decision() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.overturned AND NOT OLD.overturned THEN
        OLD.overturned := true;
        IF NEW IS NOT DISTINCT FROM OLD THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'decisions are never changed' USING ERRCODE = 'HB001';
END $$;
CREATE TRIGGER decision_is_final BEFORE UPDATE ON benefit.decision FOR EACH ROW EXECUTE FUNCTION benefit.keep_decision();

INSERT INTO audit.event_name (name) VALUES
    ('eligibility:resident:listed'), ('eligibility:resident:contested'), ('eligibility:steward:listed'),
    ('eligibility:steward:decided');

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA benefit FROM PUBLIC;
GRANT EXECUTE ON FUNCTION benefit.own_decisions, benefit.request_review, benefit.open_reviews, benefit.decide_review TO hub_app;
