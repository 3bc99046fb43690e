-- What the observations say about people and households: identity, the household roster, links, and ready-made sections.
-- Everything here is derived and can be derived again; the tables are keyed by county so that they can be distributed.

-- Identity is prefecture-wide: a reference table. Every ID number ever seen, aliases too, leads to its person.
CREATE TABLE record.directory (
    blind_index bytea   PRIMARY KEY,
    person_id   uuid    NOT NULL,
    county      char(6) NOT NULL
);
CREATE INDEX directory_person ON record.directory (person_id);

-- The register's household number leads to the random id. A reference table like the directory of people.
CREATE TABLE record.household_directory (
    household_no text    PRIMARY KEY,
    household_id uuid    NOT NULL,
    county       char(6) NOT NULL
);
CREATE INDEX household_directory_id ON record.household_directory (household_id);

-- One row per ID number that belongs to somebody (aliases share a row). County 000000: not on any roster yet.
CREATE TABLE record.person (
    county          char(6) NOT NULL,
    person_id       uuid    NOT NULL,
    identity_index  bytea   NOT NULL,      -- of the number the person has now
    first_index     bytea   NOT NULL,      -- of the number the person was first known by; decides when aliases part again
    name_index      bytea,                 -- of the normalised roster name; null before any roster names the person
    birth_date      date    NOT NULL,
    status          text    NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'DECEASED')),
    household_id    uuid,                  -- the household of the person: of several current ones the one joined last
    member_no       text,
    sealed_identity bytea   NOT NULL,      -- sealed JSON {"name", "id_number"}, purpose identity, context = person_id
    PRIMARY KEY (county, person_id)
);
CREATE INDEX person_only ON record.person (person_id);
CREATE INDEX person_household ON record.person (county, household_id) WHERE household_id IS NOT NULL;

-- Effective state of a household: its newest row, then the later events. `held`: a row of it is current.
CREATE TABLE record.household (
    county           char(6) NOT NULL,
    household_id     uuid    NOT NULL,
    household_no     text    NOT NULL,
    held             boolean NOT NULL,
    status           text    NOT NULL CHECK (status IN ('ACTIVE', 'CANCELLED')),
    village_code     text,
    group_no         text,
    row_village_code text,                 -- of the row; the names below belong to this code
    township_name    text,
    village_name     text,
    phone_index      bytea,
    source           text,
    changed_at       timestamptz,
    PRIMARY KEY (county, household_id)
);
CREATE INDEX household_only ON record.household (household_id);
CREATE INDEX household_village ON record.household (village_code);
CREATE INDEX household_phone ON record.household (phone_index) WHERE phone_index IS NOT NULL;

-- Membership of a person in a household: valid time x recorded time. Rows are closed and added, never overwritten
-- (only `county` follows a household that moves).
CREATE TABLE record.membership (
    county         char(6) NOT NULL,
    membership_id  uuid    NOT NULL,
    household_id   uuid    NOT NULL,
    member_no      text    NOT NULL,
    person_id      uuid,                   -- null for a child without ID number
    relation       text,
    birth_date     date    NOT NULL,
    valid_from     date    NOT NULL,
    valid_to       date,                   -- left on
    died_on        date,
    name_index     bytea   NOT NULL,
    number_index   bytea,                  -- of the number in the roster row
    identity_index bytea,                  -- of the number the person has now
    sealed         bytea   NOT NULL,       -- as person.sealed_identity; context = member_no where there is no person
    digest         bytea   NOT NULL,       -- keyed hash of all of the above: equal means nothing changed
    source         text    NOT NULL,
    changed_at     timestamptz NOT NULL,
    recorded_from  timestamptz NOT NULL,
    recorded_to    timestamptz NOT NULL DEFAULT 'infinity',
    PRIMARY KEY (county, membership_id),
    CHECK (recorded_from <= recorded_to),
    CHECK (valid_to IS NULL OR valid_from <= valid_to)
);
CREATE INDEX membership_household ON record.membership (household_id);
CREATE INDEX membership_person ON record.membership (person_id) WHERE person_id IS NOT NULL;
CREATE INDEX membership_member ON record.membership (member_no) WHERE recorded_to = 'infinity';
CREATE INDEX membership_name ON record.membership (name_index) WHERE recorded_to = 'infinity' AND valid_to IS NULL;
CREATE INDEX membership_number ON record.membership (number_index) WHERE recorded_to = 'infinity';

-- The unrevoked events, one row per member named (position 0 where none is). Lineage and aliases are read from here.
CREATE TABLE record.roster_event (
    event_no        text NOT NULL,
    position        int  NOT NULL,
    row_id          uuid NOT NULL,
    event_type      text NOT NULL,
    effective_on    date NOT NULL,
    registered_at   timestamptz NOT NULL,
    from_household  text,
    to_household    text,
    to_village_code text,
    to_group_no     text,
    member_no       text,
    relation        text,
    old_index       bytea,
    new_index       bytea,
    sealed_new      bytea,                 -- the new ID number, purpose identity, context = new_index
    PRIMARY KEY (event_no, position)
);
CREATE INDEX roster_event_member ON record.roster_event (member_no) WHERE member_no IS NOT NULL;
CREATE INDEX roster_event_from ON record.roster_event (from_household) WHERE from_household IS NOT NULL;
CREATE INDEX roster_event_to ON record.roster_event (to_household) WHERE to_household IS NOT NULL;

-- ID numbers that the police corrected, and the number the person has now.
CREATE TABLE record.alias (
    alias_index     bytea PRIMARY KEY,
    canonical_index bytea NOT NULL,
    sealed_number   bytea NOT NULL         -- the present number, purpose identity, context = canonical_index
);
CREATE INDEX alias_canonical ON record.alias (canonical_index);

-- Who may be meant by a row without ID number; several where only a reviewer can tell.
CREATE TABLE record.link_candidate (
    row_id    uuid NOT NULL,
    member_no text NOT NULL,
    person_id uuid NOT NULL,
    PRIMARY KEY (row_id, member_no)
);

CREATE INDEX observation_unlinked ON record.observation (row_id)
    WHERE hint IS NOT NULL AND subject_index IS NULL AND link IS NULL;
CREATE INDEX observation_hint ON record.observation (source, source_key)
    WHERE hint IS NOT NULL AND recorded_to = 'infinity';

-- Work to do: versions that began or ceased to be current and are not folded in yet; written by triggers, so that
-- nothing that moves an observation can forget it.
CREATE TABLE record.touched (
    row_id     uuid NOT NULL,
    kind       text NOT NULL,
    source     text NOT NULL,
    source_key text NOT NULL
);
CREATE INDEX touched_kind ON record.touched (kind);
CREATE INDEX touched_row ON record.touched (row_id);

-- Households whose sections are out of date.
CREATE TABLE record.stale_household (
    household_id uuid PRIMARY KEY
);

CREATE FUNCTION record.touch_added() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO record.touched (row_id, kind, source, source_key)
    SELECT row_id, CASE WHEN kind = 'FACT' AND household_no IS NOT NULL THEN 'HOUSEHOLD_FACT' ELSE kind END,
        source, source_key
    FROM added WHERE recorded_from < recorded_to;
    RETURN NULL;
END
$$;
CREATE TRIGGER observation_added AFTER INSERT ON record.observation
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION record.touch_added();

CREATE FUNCTION record.touch_changed() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO record.touched (row_id, kind, source, source_key)
    VALUES (NEW.row_id,
            CASE WHEN NEW.kind = 'FACT' AND NEW.household_no IS NOT NULL THEN 'HOUSEHOLD_FACT' ELSE NEW.kind END,
            NEW.source, NEW.source_key);
    RETURN NULL;
END
$$;
CREATE TRIGGER observation_changed AFTER UPDATE OF recorded_from, recorded_to ON record.observation
    FOR EACH ROW WHEN ((OLD.recorded_from, OLD.recorded_to) IS DISTINCT FROM (NEW.recorded_from, NEW.recorded_to))
    EXECUTE FUNCTION record.touch_changed();

CREATE FUNCTION record.touch_consent() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO record.touched (row_id, kind, source, source_key)
    VALUES (NEW.row_id, 'FURNISHING', NEW.source, NEW.consent_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER consent_changed AFTER INSERT OR UPDATE ON record.furnishing_consent
    FOR EACH ROW EXECUTE FUNCTION record.touch_consent();
CREATE INDEX furnishing_consent_subject ON record.furnishing_consent (subject_index) WHERE subject_index IS NOT NULL;

-- The current fold, ready to leave: JSON text per household, person (zero id: the household itself), category, form and
-- owner (a bank's code, else empty). No row where there is no value. `changes_on`: the day on which time alone changes it.
CREATE TABLE record.section (
    county       char(6) NOT NULL,
    household_id uuid    NOT NULL,
    person_id    uuid    NOT NULL,
    category     text    NOT NULL,
    form         text    NOT NULL,
    owner        text    NOT NULL DEFAULT '',
    body         text    NOT NULL,
    source       text    NOT NULL,
    source_time  timestamptz,
    folded_at    timestamptz NOT NULL,
    changes_on   date,
    fold_version int     NOT NULL,
    digest       bytea   NOT NULL,         -- SHA-256 of the body
    PRIMARY KEY (county, household_id, person_id, category, form, owner)
);
CREATE INDEX section_household ON record.section (household_id);

-- When time alone makes a household's sections differ: a birthday, the end of a relief, five years after an end.
CREATE TABLE record.household_fold (
    household_id uuid PRIMARY KEY,
    fold_version int  NOT NULL,
    changes_on   date
);
CREATE INDEX household_fold_due ON record.household_fold (changes_on) WHERE changes_on IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON record.directory, record.household_directory, record.person,
    record.roster_event, record.alias, record.link_candidate, record.touched, record.stale_household, record.section,
    record.household_fold TO hub_ingest;
GRANT SELECT, INSERT, UPDATE ON record.household, record.membership TO hub_ingest;
-- After a bulk load the planner must know the new sizes at once, not when autovacuum comes round.
GRANT MAINTAIN ON record.observation, record.touched, record.directory, record.household_directory, record.person,
    record.household, record.membership, record.section TO hub_ingest;
