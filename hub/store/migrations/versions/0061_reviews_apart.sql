-- A review is decided by nobody of the person's household, its end is told only to a provider that may ask now, and answers
-- about a person are counted one by one.

-- Whether a review is about the steward, or somebody of his household: by account, or by the blind indexes of his own number.
CREATE FUNCTION benefit.is_concerned(p_review benefit.review, p_account text, p_own bytea[]) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT auth.same_person(p_review.asked_by, p_account)
           OR record.is_concerned(ARRAY[p_review.person_id], p_own, p_account)
$$;

-- Whether the provider may have the answer of a decision now: the version may be asked, its period runs, and a consent (or
-- another basis) covers all that it reads.
CREATE FUNCTION benefit.may_know(p_decision benefit.decision, p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_today     date := (p_now AT TIME ZONE 'Asia/Shanghai')::date;
    v_programme benefit.programme;
    v_asked     access.asked;
BEGIN
    SELECT g.* INTO v_programme FROM benefit.programme g
    WHERE g.programme_id = p_decision.programme_id AND g.version = p_decision.version AND g.retired_at IS NULL
      AND g.begins_on <= v_today AND v_today < g.ends_on AND p_decision.period = benefit.period_of(g.period, v_today)
      AND EXISTS (SELECT FROM access.client c WHERE c.organisation_id = g.organisation_id AND c.status = 'ACTIVE'
                  AND 'BENEFIT_ELIGIBILITY' = ANY (c.purposes));
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    SELECT p.person_id, p.county, p.household_id INTO v_asked.person_id, v_asked.county, v_asked.household_id
    FROM record.person p
    WHERE p.person_id = record.present_person(p_decision.person_id) AND p.status = 'ACTIVE';
    v_asked.ordinal := 1;
    v_asked.organisation_id := v_programme.organisation_id;
    v_asked.purpose := 'BENEFIT_ELIGIBILITY';
    v_asked.others := false;
    RETURN EXISTS (
        SELECT FROM unnest(benefit.covering(v_asked, access.lock_bases(ARRAY[v_asked]), v_programme.reads, p_now)) AS h
        WHERE 'eligibility/YES_NO' = ANY (h.parts)
          AND consent.lack('IN_FORCE', h.effective_from, h.expires_at, h.fit, p_now) IS NULL);
END $$;

-- As in 0053, without those that concern the steward himself (`p_own`: blind indexes of his own number).
DROP FUNCTION benefit.open_reviews(text, text, uuid, int);
CREATE FUNCTION benefit.open_reviews(p_account text, p_token text, p_own bytea[], p_after uuid, p_limit int)
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
      AND NOT benefit.is_concerned(r, p_account, p_own)
    ORDER BY r.review_id LIMIT least(p_limit, 101);
END $$;

-- A steward decides; not about himself or his household. What is overturned is a yes from then on. The provider is told where
-- it might ask now; else it finds that out when it may ask again. HB203: no such review for him to decide.
CREATE OR REPLACE FUNCTION benefit.decide_review(
    p_account text, p_token text, p_review uuid, p_overturn boolean, p_ground text, p_own bytea[], p_at timestamptz
) RETURNS TABLE (person_id uuid, county char(6), organisation_id text, programme_id text, decision_id uuid, state text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_reviewer record;
    v_review   benefit.review;
    v_decision benefit.decision;
    v_owner    text;
BEGIN
    SELECT * INTO v_reviewer FROM benefit.reviewer_of(p_account, p_token);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no steward' USING ERRCODE = 'HB200';
    END IF;
    SELECT r.* INTO v_review FROM benefit.review r
    WHERE r.review_id = p_review AND r.state = 'OPEN' AND r.county = ANY (v_reviewer.county_codes) FOR UPDATE;
    IF NOT FOUND OR benefit.is_concerned(v_review, p_account, p_own) THEN
        RAISE EXCEPTION 'no such review' USING ERRCODE = 'HB203';
    END IF;
    UPDATE benefit.review r SET state = CASE WHEN p_overturn THEN 'OVERTURNED' ELSE 'UPHELD' END, ground = p_ground,
                                decided_by = p_account, decided_at = p_at
    WHERE r.county = v_review.county AND r.review_id = v_review.review_id RETURNING r.* INTO v_review;
    SELECT d.* INTO v_decision FROM benefit.decision d
    WHERE d.county = v_review.county AND d.decision_id = v_review.decision_id;
    SELECT g.organisation_id INTO v_owner FROM benefit.programme g
    WHERE g.programme_id = v_decision.programme_id AND g.version = v_decision.version;
    IF p_overturn THEN
        UPDATE benefit.decision d SET overturned = true
        WHERE d.county = v_review.county AND d.decision_id = v_review.decision_id;
        IF benefit.may_know(v_decision, clock_timestamp()) THEN
            PERFORM consent.tell(v_owner, 'CORRECTION', json_build_object(
                'decisionId', v_review.decision_id, 'programme', v_decision.programme_id, 'state', 'OVERTURNED', 'at', p_at));
        END IF;
    END IF;
    RETURN QUERY SELECT v_review.person_id, v_review.county, v_owner, v_decision.programme_id, v_review.decision_id,
                        v_review.state;
END $$;

-- Three versions, and thirteen answers whatever the version: a programme of a monthly period can be asked all the year.
ALTER TABLE benefit.budget ADD COLUMN answers_per_person int NOT NULL DEFAULT 13 CHECK (answers_per_person BETWEEN 1 AND 100);

-- Whether one answer more about this person is beyond what his organisation may have: one version more, or one answer more. A
-- version that was answered before costs no version; one that a new version took the place of counts still.
CREATE OR REPLACE FUNCTION benefit.is_probing(p_person uuid, p_programme benefit.programme, p_now timestamptz) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT count(DISTINCT (d.programme_id, d.version))
           FILTER (WHERE (d.programme_id, d.version) <> (p_programme.programme_id, p_programme.version))
           >= (SELECT b.per_person FROM benefit.budget b)
           OR count(*) >= (SELECT b.answers_per_person FROM benefit.budget b)
    FROM benefit.decision d JOIN benefit.programme g USING (programme_id, version)
    WHERE d.person_id = ANY (record.same_person(p_person)) AND g.organisation_id = p_programme.organisation_id
      AND d.decided_at > p_now - interval '366 days'
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA benefit FROM PUBLIC;
GRANT EXECUTE ON FUNCTION benefit.open_reviews TO hub_app;
