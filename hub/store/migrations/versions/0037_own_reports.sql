-- Numbered reports of the own record (本人信用报告). Two in a calendar year are free (征信业管理条例 art. 17); a third and
-- later one is marked chargeable and never refused. Nothing of a report is kept here: its digest stands in the log.

-- One report. `ordinal`: which one of this person's in the calendar year (Asia/Shanghai), from 1.
CREATE TABLE access.own_report (
    county     char(6)     NOT NULL,
    report_id  uuid        NOT NULL,
    person_id  uuid        NOT NULL,
    year       int         NOT NULL,
    ordinal    int         NOT NULL CHECK (ordinal > 0),
    chargeable boolean     NOT NULL,
    issued_at  timestamptz NOT NULL,
    PRIMARY KEY (county, report_id)
);
CREATE UNIQUE INDEX own_report_only ON access.own_report (report_id);
CREATE INDEX own_report_person ON access.own_report (person_id, year);

-- Counts one more report for the resident behind an account. The same id within a day is the same report asked for again
-- and counts once. HB190: the account is not a resident's, or may not act. HB191: the id was used otherwise.
CREATE FUNCTION access.issue_report(p_account text, p_token text, p_report uuid)
RETURNS TABLE (person_id uuid, county char(6), year int, ordinal int, chargeable boolean, issued_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_person uuid;
BEGIN
    SELECT b.person_id INTO v_person FROM auth.bearer_state(p_token, p_account) b WHERE b.found_role = 'RESIDENT';
    IF v_person IS NULL THEN
        RAISE EXCEPTION 'no resident' USING ERRCODE = 'HB190';
    END IF;
    -- Two reports asked for at once are counted one after the other.
    PERFORM pg_advisory_xact_lock(hashtextextended('own_report ' || v_person, 0));
    person_id := v_person;
    SELECT r.county, r.year, r.ordinal, r.chargeable, r.issued_at INTO county, year, ordinal, chargeable, issued_at
      FROM access.own_report r WHERE r.report_id = p_report AND r.person_id = ANY (record.same_person(v_person));
    IF FOUND THEN
        IF issued_at < clock_timestamp() - interval '1 day' THEN
            RAISE EXCEPTION 'the report is older than a day' USING ERRCODE = 'HB191';
        END IF;
        RETURN NEXT;
        RETURN;
    END IF;
    issued_at := clock_timestamp();
    year := extract(year FROM issued_at AT TIME ZONE 'Asia/Shanghai');
    ordinal := 1 + (SELECT count(*) FROM access.own_report r
                     WHERE r.person_id = ANY (record.same_person(v_person)) AND r.year = issue_report.year);
    chargeable := ordinal > 2;
    SELECT p.county INTO county FROM record.person p WHERE p.person_id = v_person;
    INSERT INTO access.own_report VALUES
        (coalesce(county, '000000'), p_report, v_person, year, ordinal, chargeable, issued_at);
    RETURN NEXT;
END $$;

-- What sources were asked to look at again about the resident behind an account, newest first.
CREATE FUNCTION access.own_challenges(p_account text, p_token text)
RETURNS TABLE (source text, attribute text, cause text, opened_at timestamptz, due_on date, outcome text,
               closed_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.source, c.attribute, c.cause, c.opened_at, c.due_on, c.outcome, c.closed_at
      FROM auth.bearer_state(p_token, p_account) b
      JOIN record.challenge c ON c.person_id = ANY (record.same_person(b.person_id))
     WHERE b.found_role = 'RESIDENT' ORDER BY c.opened_at DESC, c.challenge_id
$$;

REVOKE ALL ON FUNCTION access.issue_report, access.own_challenges FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access.issue_report, access.own_challenges TO hub_app;
INSERT INTO audit.event_name (name) VALUES ('report:resident:issued');
