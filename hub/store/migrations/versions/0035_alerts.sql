-- Who asked about whom: the ledger of officers' queries, canary persons, and the alarms that follow (docs/ALERTS.md).

-- Every query of an organisation's officer, answered or not. It says nothing of what was answered. Kept three years, as
-- long as records of provision must be (网络数据安全管理条例 art. 12). County 000000: nobody was found.
CREATE TABLE access.officer_query (
    county          char(6) NOT NULL,
    ev              uuid NOT NULL,         -- the entry of the log
    asked_at        timestamptz NOT NULL,
    day             date NOT NULL,
    asker           text NOT NULL,
    organisation_id text NOT NULL,
    officer         text NOT NULL,
    purpose         text NOT NULL,
    decision        text NOT NULL CHECK (decision IN ('allow', 'mask', 'deny')),
    person_id       uuid,                  -- whoever has the number, whatever else was wrong
    basis_id        uuid,
    PRIMARY KEY (county, ev)
);
CREATE INDEX officer_query_day ON access.officer_query (day);

-- People who do not exist, with numbers and names of their own. Nobody has reason to ask about them, no answer tells them
-- from anybody else who gave no consent, and nothing but this table knows of them.
CREATE TABLE access.canary (
    county     char(6) NOT NULL,
    person_id  uuid NOT NULL,
    planted_at timestamptz NOT NULL,
    planted_by text NOT NULL,
    PRIMARY KEY (county, person_id)
);
CREATE INDEX canary_person ON access.canary (person_id);

-- When something is an alarm. `minimum`: below this number nothing is. `score`: robust standard deviations above the
-- usual, or for NO_RESULT the share without application and result. `window_days`: how far back is compared.
-- `settled_days`: after so many days a query without loan or line has come to nothing.
CREATE TABLE access.alert_rule (
    kind         text PRIMARY KEY CHECK (kind IN ('OFFICER_RATE', 'VILLAGE_RATE', 'DENIED', 'NO_RESULT')),
    minimum      int NOT NULL CHECK (minimum > 0),
    score        numeric NOT NULL CHECK (score > 0),
    window_days  int NOT NULL CHECK (window_days BETWEEN 7 AND 365),
    settled_days int NOT NULL DEFAULT 0 CHECK (settled_days BETWEEN 0 AND 365)
);
INSERT INTO access.alert_rule VALUES
    ('OFFICER_RATE', 20, 3.5, 60, 0), ('VILLAGE_RATE', 20, 3.5, 60, 0), ('DENIED', 10, 3.5, 60, 0),
    ('NO_RESULT', 20, 0.6, 90, 60);

-- `ev`: the entry of the log that says it was raised; null for the moment until it is written, apart from the entry of
-- the query, so that nobody learns from the log's size that his query raised one.
CREATE TABLE access.alert (
    alert_id        uuid PRIMARY KEY DEFAULT uuidv7(),
    kind            text NOT NULL
                    CHECK (kind IN ('CANARY', 'OFFICER_RATE', 'VILLAGE_RATE', 'DENIED', 'NO_RESULT', 'PROBING')),
    raised_at       timestamptz NOT NULL,
    day             date NOT NULL,
    county          char(6),
    organisation_id text,
    officer         text,
    village_code    text,
    observed        numeric NOT NULL,
    usual           numeric,
    score           numeric,
    ev              uuid,
    status          text NOT NULL DEFAULT 'OPEN' CHECK (status IN ('OPEN', 'CLOSED')),
    outcome         text CHECK (outcome IN ('JUSTIFIED', 'MISUSE', 'INCONCLUSIVE')),
    closed_at       timestamptz,
    closed_by       text,
    UNIQUE NULLS NOT DISTINCT (kind, day, organisation_id, officer, village_code),
    CHECK ((status = 'CLOSED') = (outcome IS NOT NULL) AND (outcome IS NULL) = (closed_at IS NULL))
);
CREATE INDEX alert_open ON access.alert (alert_id) WHERE status = 'OPEN';

-- Put the records into the outbox, all at once, and those of organisations' systems into the ledger. The same three
-- statements for everybody; only of a canary a row more is written.
CREATE OR REPLACE FUNCTION access.record_all(p_records audit.pending[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit.pending SELECT * FROM unnest(p_records);
    INSERT INTO access.officer_query
        (county, ev, asked_at, day, asker, organisation_id, officer, purpose, decision, person_id, basis_id)
    SELECT coalesce(r.county, '000000'), r.ev, r.queued_at, (r.queued_at AT TIME ZONE 'Asia/Shanghai')::date,
           r.facts ->> 'client', r.organisation, r.actor, coalesce(r.purpose, ''), r.decision, r.subjects[1],
           (r.facts #>> ARRAY ['persons', r.subjects[1]::text, 'basis'])::uuid
    FROM unnest(p_records) AS r WHERE r.event = 'profile:client:queried';
    INSERT INTO access.alert AS a (kind, raised_at, day, county, organisation_id, officer, observed)
    SELECT 'CANARY', min(r.queued_at), (min(r.queued_at) AT TIME ZONE 'Asia/Shanghai')::date, min(c.county),
           r.organisation, r.actor, count(*)
    FROM unnest(p_records) AS r JOIN access.canary c ON c.person_id = r.subjects[1]
    WHERE r.event = 'profile:client:queried'
    GROUP BY r.organisation, r.actor ORDER BY r.organisation, r.actor
    ON CONFLICT (kind, day, organisation_id, officer, village_code) DO UPDATE SET observed = a.observed + excluded.observed;
END $$;

-- What came of the queries of a span, by officer: with an application behind the consent, with a loan or line of the same
-- organisation from a week before to `p_after` days later, with neither. Reviews of running loans need none.
CREATE FUNCTION access.query_outcomes(p_since date, p_until date, p_after int)
RETURNS TABLE (organisation_id text, officer text, queries bigint, people bigint, denied bigint, applied bigint,
               resulted bigint, neither bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT k.organisation_id, k.officer, count(*), count(DISTINCT k.person_id), count(*) FILTER (WHERE k.decision = 'deny'),
           count(*) FILTER (WHERE k.applied), count(*) FILTER (WHERE k.resulted),
           count(*) FILTER (WHERE NOT k.applied AND NOT k.resulted)
    FROM (
        SELECT q.organisation_id, q.officer, q.person_id, q.decision,
               EXISTS (SELECT FROM consent.record c JOIN consent.request r ON r.request_id = c.request_id
                       WHERE c.consent_id = q.basis_id AND r.application_ref IS NOT NULL) AS applied,
               EXISTS (SELECT FROM record.observation o
                       WHERE o.county = q.county AND o.person_id = q.person_id AND o.recorded_to = 'infinity'
                         AND o.category IN ('bank.loan', 'bank.line') AND NOT o.tombstone
                         AND split_part(o.source_key, '|', 2) = q.organisation_id
                         AND o.valid_from BETWEEN q.day - 7 AND q.day + p_after) AS resulted
        FROM access.officer_query q
        WHERE q.day BETWEEN p_since AND p_until AND q.purpose <> 'POST_LOAN_REVIEW'
    ) k
    GROUP BY k.organisation_id, k.officer
$$;

-- Queries by day and officer, and by day and the village where the people asked about live now.
CREATE FUNCTION access.query_counts(p_since date)
RETURNS TABLE (day date, organisation_id text, officer text, queries bigint, denied bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT q.day, q.organisation_id, q.officer, count(*), count(*) FILTER (WHERE q.decision = 'deny')
    FROM access.officer_query q WHERE q.day >= p_since GROUP BY 1, 2, 3
$$;
CREATE FUNCTION access.village_counts(p_since date) RETURNS TABLE (day date, county char(6), village_code text, queries bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT q.day, q.county, h.village_code, count(*)
    FROM access.officer_query q
    JOIN record.person p ON p.county = q.county AND p.person_id = q.person_id
    JOIN record.household h ON h.county = p.county AND h.household_id = p.household_id
    WHERE q.day >= p_since AND h.village_code IS NOT NULL GROUP BY 1, 2, 3
$$;

REVOKE ALL ON FUNCTION access.query_outcomes, access.query_counts, access.village_counts FROM PUBLIC;
GRANT USAGE ON SCHEMA access TO hub_ingest, hub_auditor;
GRANT EXECUTE ON FUNCTION access.query_outcomes, access.query_counts, access.village_counts TO hub_ingest;
GRANT SELECT, DELETE ON access.officer_query TO hub_ingest;
GRANT SELECT ON access.alert_rule TO hub_ingest;
GRANT SELECT, INSERT, UPDATE ON access.alert TO hub_ingest;
GRANT SELECT ON access.alert TO hub_auditor;

INSERT INTO audit.event_name (name) VALUES
    ('alert:auditor:listed'), ('alert:hub:raised'), ('alert:operator:closed'), ('alert:operator:set'),
    ('canary:operator:planted');
