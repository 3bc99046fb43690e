-- Recorded history of what the fold reads besides observations and memberships, which have their own: the place of a
-- household, lineage, and which person an ID number leads to. The table of the present stays small and is read as
-- before; what it held until now is added to a table of the past in the transaction that changes it. A first load
-- writes nothing there.

-- The instants at which the record was settled: references checked, roster and links worked out, stale sections noted.
-- Between them rows are provisional (docs/adr/0002), so a reading as of an instant stands at the last one before it.
CREATE TABLE record.settled (
    at timestamptz PRIMARY KEY
);

ALTER TABLE record.household
    ADD COLUMN valid_from    date,                                       -- null: ever since it is known
    ADD COLUMN recorded_from timestamptz NOT NULL DEFAULT '-infinity';   -- since when the row says what it says

CREATE INDEX household_moved ON record.household (village_code) WHERE village_code <> row_village_code;

-- What record.household said before, and where the household was before its present place: valid time x recorded time.
CREATE TABLE record.past_household (
    county           char(6) NOT NULL,
    past_id          uuid    NOT NULL DEFAULT uuidv7(),
    household_id     uuid    NOT NULL,
    household_no     text    NOT NULL,
    status           text    NOT NULL,
    village_code     text    NOT NULL,
    group_no         text,
    row_village_code text    NOT NULL,
    township_name    text,
    village_name     text,
    source           text    NOT NULL,
    changed_at       timestamptz NOT NULL,
    valid_from       date,
    valid_to         date,                -- null: a present place that was recorded otherwise later
    recorded_from    timestamptz NOT NULL,
    recorded_to      timestamptz NOT NULL DEFAULT 'infinity',
    PRIMARY KEY (county, past_id),
    CHECK (recorded_from <= recorded_to),
    CHECK (valid_from IS NULL OR valid_to IS NULL OR valid_from < valid_to)
);
CREATE INDEX past_household_id ON record.past_household (household_id);
CREATE INDEX past_household_village ON record.past_household (village_code);

-- Every version of every household that was held, present ones included.
CREATE VIEW record.household_version AS
    SELECT county, household_id, household_no, status, village_code, group_no, row_village_code, township_name,
           village_name, source, changed_at, valid_from, NULL::date AS valid_to, recorded_from,
           'infinity'::timestamptz AS recorded_to
    FROM record.household WHERE held
    UNION ALL
    SELECT county, household_id, household_no, status, village_code, group_no, row_village_code, township_name,
           village_name, source, changed_at, valid_from, valid_to, recorded_from, recorded_to
    FROM record.past_household;

-- Splits and merges that were recorded once and are not any more, or were recorded otherwise later.
ALTER TABLE record.roster_event ADD COLUMN recorded_from timestamptz NOT NULL DEFAULT '-infinity';
CREATE TABLE record.past_lineage (
    event_no       text NOT NULL,
    from_household text NOT NULL,
    to_household   text NOT NULL,
    effective_on   date NOT NULL,
    recorded_from  timestamptz NOT NULL,
    recorded_to    timestamptz NOT NULL,
    CHECK (recorded_from < recorded_to)
);
CREATE INDEX past_lineage_from ON record.past_lineage (from_household);
CREATE INDEX past_lineage_to ON record.past_lineage (to_household);

-- Whom an ID number led to until `recorded_to`: numbers that became one person's, or parted again.
CREATE TABLE record.past_directory (
    blind_index bytea NOT NULL,
    person_id   uuid  NOT NULL,
    recorded_to timestamptz NOT NULL
);
CREATE INDEX past_directory_index ON record.past_directory (blind_index, recorded_to);
CREATE INDEX past_directory_person ON record.past_directory (person_id);

-- Two people who turned out to be one: the one whose number was corrected away stays, with whom he was merged into.
-- Readings as of an earlier instant find him as he was, and he is himself again when the correction is revoked.
ALTER TABLE record.person ADD COLUMN merged_into uuid;
CREATE INDEX person_merged ON record.person (merged_into) WHERE merged_into IS NOT NULL;

GRANT SELECT, INSERT ON record.settled, record.past_lineage, record.past_directory TO hub_ingest;
GRANT SELECT, INSERT, UPDATE ON record.past_household TO hub_ingest;  -- a row is closed, and its county follows a move
GRANT SELECT ON record.household_version TO hub_ingest;
