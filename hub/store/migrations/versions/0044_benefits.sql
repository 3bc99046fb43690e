-- Benefit programmes: what each asks of a record, who approved it, and the one answer about a person in a period. What a
-- provider is told is worked out by benefit.assess, inside the database; docs/BENEFITS.md has the whole.

CREATE SCHEMA benefit;

-- A version of a programme. `terms`: canonical JSON (hub/benefits/programme.py). Approved by another person than proposed
-- it, with a signature over the terms and over `accepted`: other versions (`programme@version`) of the same organisation
-- that read some of the same sections.
CREATE TABLE benefit.programme (
    programme_id    text NOT NULL CHECK (programme_id ~ '^[a-z0-9][a-z0-9-]{1,39}$'),
    version         int  NOT NULL CHECK (version > 0),
    organisation_id text NOT NULL REFERENCES access.organisation,
    terms           text NOT NULL,
    digest          bytea NOT NULL UNIQUE CHECK (digest = sha256(convert_to(terms, 'UTF8'))),
    period          text NOT NULL CHECK (period IN ('MONTH', 'QUARTER', 'YEAR')),
    reads           text[] NOT NULL CHECK (cardinality(reads) > 0),
    begins_on       date NOT NULL,
    ends_on         date NOT NULL CHECK (ends_on > begins_on),
    proposed_by     text NOT NULL,
    proposed_at     timestamptz NOT NULL,
    approved_by     text REFERENCES auth.account,
    approved_at     timestamptz,
    public_key      bytea,
    signature       bytea CHECK (octet_length(signature) = 64),
    accepted        text[] NOT NULL DEFAULT '{}',
    retired_by      text,
    retired_at      timestamptz,
    PRIMARY KEY (programme_id, version),
    CHECK (num_nulls(approved_by, approved_at, public_key, signature) IN (0, 4)),
    CHECK (approved_by <> proposed_by),
    CHECK (num_nulls(retired_by, retired_at) IN (0, 2)),
    CHECK (terms::jsonb ->> 'id' = programme_id AND terms::jsonb ->> 'organisation' = organisation_id
           AND terms::jsonb ->> 'period' = period AND terms::jsonb -> 'reads' = to_jsonb(reads)
           AND terms::jsonb ->> 'beginsOn' = begins_on::text AND terms::jsonb ->> 'endsOn' = ends_on::text)
);
CREATE UNIQUE INDEX programme_live ON benefit.programme (programme_id) WHERE approved_at IS NOT NULL AND retired_at IS NULL;
CREATE INDEX programme_organisation ON benefit.programme (organisation_id);

-- A version is approved once and retired once; nothing else of it ever changes.
CREATE FUNCTION benefit.keep_programme() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.programme_id, NEW.version, NEW.organisation_id, NEW.terms, NEW.period, NEW.reads, NEW.begins_on, NEW.ends_on,
            NEW.proposed_by, NEW.proposed_at)
           = (OLD.programme_id, OLD.version, OLD.organisation_id, OLD.terms, OLD.period, OLD.reads, OLD.begins_on,
              OLD.ends_on, OLD.proposed_by, OLD.proposed_at)
           AND (OLD.approved_at IS NULL AND OLD.retired_at IS NULL
                OR (NEW.approved_by, NEW.approved_at, NEW.public_key, NEW.signature, NEW.accepted)
                   IS NOT DISTINCT FROM (OLD.approved_by, OLD.approved_at, OLD.public_key, OLD.signature, OLD.accepted))
           AND (OLD.retired_at IS NULL OR NEW.retired_at = OLD.retired_at AND NEW.retired_by = OLD.retired_by) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'versions of programmes are never changed' USING ERRCODE = 'HB001';
END $$;
CREATE TRIGGER programme_is_final BEFORE UPDATE OR DELETE ON benefit.programme
    FOR EACH ROW EXECUTE FUNCTION benefit.keep_programme();
CREATE TRIGGER programmes_stay BEFORE TRUNCATE ON benefit.programme
    FOR EACH STATEMENT EXECUTE FUNCTION benefit.keep_programme();

-- How much may be asked: versions of programmes about one person by one organisation in 366 days, and versions that one
-- organisation may have approved in as many. One row.
CREATE TABLE benefit.budget (
    one          boolean PRIMARY KEY DEFAULT true CHECK (one),
    per_person   int NOT NULL CHECK (per_person BETWEEN 1 AND 20),
    per_provider int NOT NULL CHECK (per_provider BETWEEN 1 AND 100)
);
INSERT INTO benefit.budget (per_person, per_provider) VALUES (3, 8);

-- The one answer about a person by a version in a period; that nothing could be said is none. `outcomes`: code of each
-- comparison -> true, false or null, for the person's own explanation. `reading`: digest of what was read. `ev`: the entry
-- of the question that was answered first. `overturned`: a person decided otherwise, and that counts from then on.
CREATE TABLE benefit.decision (
    county       char(6) NOT NULL,
    decision_id  uuid    NOT NULL,
    person_id    uuid    NOT NULL,
    programme_id text    NOT NULL,
    version      int     NOT NULL,
    period       text    NOT NULL,
    answer       text    NOT NULL CHECK (answer IN ('YES', 'NO')),
    outcomes     jsonb   NOT NULL,
    reading      bytea   NOT NULL,
    decided_at   timestamptz NOT NULL,
    ev           uuid    NOT NULL,
    overturned   boolean NOT NULL DEFAULT false CHECK (NOT overturned OR answer = 'NO'),
    PRIMARY KEY (county, decision_id),
    UNIQUE (county, person_id, programme_id, version, period),
    FOREIGN KEY (programme_id, version) REFERENCES benefit.programme
);
CREATE INDEX decision_person ON benefit.decision (person_id);
CREATE INDEX decision_id ON benefit.decision (decision_id);

-- Whether a value passes a comparison; null where there is no value. hub/benefits/condition.py is the twin of this and of
-- the two functions that follow.
CREATE FUNCTION benefit.meets(p_leaf jsonb, p_value jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN p_value IS NULL OR p_value = 'null' THEN NULL
        WHEN p_leaf ->> 'test' = 'EQUALS' THEN p_value = p_leaf -> 'value'
        WHEN p_leaf ->> 'test' = 'ONE_OF' THEN EXISTS (
            SELECT FROM jsonb_array_elements(p_leaf -> 'value') AS one (value) WHERE one.value = p_value)
        WHEN jsonb_typeof(p_value) NOT IN ('number', 'string')
             OR p_value #>> '{}' !~ '^-?[0-9]{1,15}(\.[0-9]{1,6})?$' THEN NULL
        WHEN p_leaf ->> 'test' = 'AT_MOST' THEN (p_value #>> '{}')::numeric <= (p_leaf ->> 'value')::numeric
        ELSE (p_value #>> '{}')::numeric >= (p_leaf ->> 'value')::numeric
    END
$$;

CREATE FUNCTION benefit.leaf_holds(p_leaf jsonb, p_body jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_items jsonb := CASE WHEN jsonb_typeof(p_body -> 'items') = 'array' THEN p_body -> 'items' ELSE '[]' END;
    v_met   boolean;
BEGIN
    IF p_leaf ->> 'over' IS NULL THEN
        v_met := benefit.meets(p_leaf, p_body -> (p_leaf ->> 'field'));
    ELSIF p_leaf ->> 'over' = 'NUMBER' THEN
        v_met := benefit.meets(p_leaf, to_jsonb(jsonb_array_length(v_items)));
    ELSE
        SELECT CASE WHEN p_leaf ->> 'over' = 'SOME' AND bool_or(m.met) THEN true
                    WHEN p_leaf ->> 'over' = 'EVERY' AND NOT bool_and(m.met) THEN false
                    WHEN count(*) = 0 OR bool_or(m.met IS NULL) THEN NULL
                    ELSE p_leaf ->> 'over' = 'EVERY' END
        INTO v_met
        FROM (SELECT benefit.meets(p_leaf, i.item -> (p_leaf ->> 'field')) AS met
              FROM jsonb_array_elements(v_items) AS i (item)) m;
    END IF;
    IF v_met IS NULL AND p_leaf ->> 'missing' <> 'UNKNOWN' THEN
        RETURN p_leaf ->> 'missing' = 'MET';
    END IF;
    RETURN v_met;
END $$;

CREATE FUNCTION benefit.holds(p_condition jsonb, p_bodies jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_all   boolean := p_condition ? 'all';
    v_found boolean[];
BEGIN
    IF p_condition ? 'not' THEN
        RETURN NOT benefit.holds(p_condition -> 'not', p_bodies);
    ELSIF p_condition ? 'code' THEN
        RETURN benefit.leaf_holds(p_condition, p_bodies -> (p_condition ->> 'part'));
    END IF;
    v_found := ARRAY (SELECT benefit.holds(b.below, p_bodies)
                      FROM jsonb_array_elements(p_condition -> CASE WHEN v_all THEN 'all' ELSE 'any' END) AS b (below));
    RETURN CASE WHEN (NOT v_all) = ANY (v_found) THEN NOT v_all WHEN array_position(v_found, NULL) IS NULL THEN v_all END;
END $$;

-- The comparisons of a condition with what came of each: {"code": true | false | null}.
CREATE FUNCTION benefit.outcomes_of(p_condition jsonb, p_bodies jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_object_agg(l.leaf ->> 'code', benefit.leaf_holds(l.leaf, p_bodies -> (l.leaf ->> 'part'))), '{}')
    FROM jsonb_path_query(p_condition, 'strict $.** ? (exists (@.code))') AS l (leaf)
$$;

-- The period of a day: 2026-11, 2026-Q4 or 2026; and the first day after it.
CREATE FUNCTION benefit.period_of(p_kind text, p_day date) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_kind WHEN 'MONTH' THEN to_char(p_day, 'YYYY-MM') WHEN 'QUARTER' THEN to_char(p_day, 'YYYY-"Q"Q')
                       ELSE to_char(p_day, 'YYYY') END
$$;
CREATE FUNCTION benefit.period_end(p_kind text, p_day date) RETURNS date
LANGUAGE sql IMMUTABLE AS $$
    SELECT (date_trunc(p_kind, p_day::timestamp)
            + CASE p_kind WHEN 'MONTH' THEN interval '1 month' WHEN 'QUARTER' THEN interval '3 months'
                          ELSE interval '1 year' END)::date
$$;

-- The kinds of source behind a part: of adverse items all that report any.
CREATE FUNCTION benefit.sources_of(p_part text) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN split_part(p_part, '/', 1) = 'adverse' THEN '{bank-files,clinic-sftp,tax-rest}'::text[]
                ELSE ARRAY[access.source_of(p_part)] END
$$;

-- Whether any source behind the parts is missing, failed at its last delivery, or has delivered nothing good for so many
-- days. It is asked before anything about a person is read, and the same for everybody.
CREATE FUNCTION benefit.lacks_sources(p_parts text[], p_days int, p_now timestamptz) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM unnest(p_parts) AS p (part) CROSS JOIN LATERAL unnest(benefit.sources_of(p.part)) AS k (kind)
        WHERE NOT coalesce((
            SELECT bool_and(s.last_status IS DISTINCT FROM 'FAILED' AND s.last_ok_at >= p_now - make_interval(days => p_days))
            FROM ingest.source_state s WHERE s.kind = k.kind), false))
$$;
