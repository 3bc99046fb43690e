-- Delivery of rows by agencies: runs, ledger of rows, quarantine, files, watermarks; and the observations they become.

CREATE SCHEMA ingest;

-- One row per `hub pull`.
CREATE TABLE ingest.run (
    run_id      uuid PRIMARY KEY,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    exit_code   int
);

-- One row per source and run: the counts of the report, moved in the same transaction as the rows they count.
CREATE TABLE ingest.run_source (
    run_id           uuid NOT NULL REFERENCES ingest.run,
    source           text NOT NULL,
    status           text,
    error            text,
    fetched          bigint NOT NULL DEFAULT 0,
    unchanged        bigint NOT NULL DEFAULT 0,
    dropped_fields   jsonb  NOT NULL DEFAULT '{}',
    repaired_fields  jsonb  NOT NULL DEFAULT '{}',
    files_processed  bigint NOT NULL DEFAULT 0,
    files_refused    jsonb  NOT NULL DEFAULT '[]',
    watermark_before text,
    watermark_after  text,
    started_at       timestamptz NOT NULL,
    seconds          double precision,
    PRIMARY KEY (run_id, source)
);

-- How far each source has been read: the connector's own JSON, moved in the same transaction as the rows it covers.
CREATE TABLE ingest.source_state (
    source      text PRIMARY KEY,
    kind        text NOT NULL,
    watermark   jsonb,
    arrivals    bigint NOT NULL DEFAULT 0,   -- rows ever delivered; orders them
    last_ok_at  timestamptz,
    last_status text
);

CREATE TABLE ingest.file (
    source        text NOT NULL,
    name          text NOT NULL,
    state         text NOT NULL CHECK (state IN ('READ', 'REFUSED')),
    reason        text,
    fingerprint   text,
    business_date date,
    file_group    text,
    file_number   int,
    run_id        uuid NOT NULL REFERENCES ingest.run,
    PRIMARY KEY (source, name)
);
CREATE INDEX ON ingest.file (source, file_group) WHERE file_group IS NOT NULL;

-- The ledger: every distinct row (key, version, content) that a source ever delivered, valid or in quarantine.
-- The content itself is not here, only its keyed hash. `arrival` orders rows by delivery.
CREATE TABLE ingest.held_row (
    row_id       uuid PRIMARY KEY,
    source       text    NOT NULL,
    source_key   text    NOT NULL,
    version      text    NOT NULL,
    version_rank bigint  NOT NULL,
    content_hash bytea   NOT NULL,
    arrival      bigint  NOT NULL,
    kind         text    NOT NULL,
    tombstone    boolean NOT NULL,
    state        text    NOT NULL CHECK (state IN ('VALID', 'QUARANTINED')),
    reason       smallint,
    is_current   boolean NOT NULL DEFAULT false,
    subject_index bytea,
    file_name    text,
    file_group   text,
    file_number  int,
    first_run    uuid    NOT NULL REFERENCES ingest.run,
    current_run  uuid,             -- the run that made it current
    lost_run     uuid              -- the run that ended its being current
);
CREATE INDEX held_row_key ON ingest.held_row (source, source_key);
CREATE INDEX held_row_run ON ingest.held_row (first_run, source);
CREATE INDEX held_row_lost ON ingest.held_row (lost_run, source) WHERE lost_run IS NOT NULL;
CREATE INDEX held_row_group ON ingest.held_row (source, file_group) WHERE file_group IS NOT NULL;
CREATE INDEX held_row_retry ON ingest.held_row (source) WHERE reason IN (21, 22);

CREATE TABLE ingest.quarantine (
    number        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    row_id        uuid NOT NULL UNIQUE REFERENCES ingest.held_row,
    source        text NOT NULL,
    source_key    text NOT NULL,
    reason        smallint NOT NULL,
    other_reasons smallint[] NOT NULL DEFAULT '{}',
    origin        text NOT NULL,
    first_seen    timestamptz NOT NULL,
    last_seen     timestamptz NOT NULL,
    status        text NOT NULL DEFAULT 'OPEN' CHECK (status IN ('OPEN', 'CLEARED')),
    run_id        uuid NOT NULL REFERENCES ingest.run,
    sealed_row    bytea                       -- null where only the count may be kept
);
CREATE INDEX ON ingest.quarantine (source, source_key) WHERE status = 'OPEN';
CREATE INDEX ON ingest.quarantine (run_id, source);

CREATE SCHEMA record;

-- One checked statement of one source about a person or household. Never overwritten: [recorded_from, recorded_to) says
-- when the hub held it to be the current version of its key; an empty range is a version that never was current.
-- County 000000 holds what belongs to nobody on a roster yet (and the roster rows and consents themselves).
CREATE TABLE record.observation (
    county         char(6) NOT NULL DEFAULT '000000',
    observation_id uuid    NOT NULL,
    row_id         uuid    NOT NULL,
    source         text    NOT NULL,
    source_key     text    NOT NULL,
    version        text    NOT NULL,
    kind           text    NOT NULL,
    category       text,
    tombstone      boolean NOT NULL,
    subject_index  bytea,                 -- blind index of the subject's ID number as delivered
    household_no   text,                  -- subject of household facts, household of a roster row
    person_id      uuid,                  -- derived: the link
    link           text,                  -- ID | PROBABLE | REVIEW, null for what is not about a person
    valid_from     date,
    valid_to       date,
    adverse        boolean NOT NULL DEFAULT false,
    suppressed     boolean NOT NULL DEFAULT false,
    consent_id     text,
    source_time    timestamptz,
    recorded_from  timestamptz NOT NULL,
    recorded_to    timestamptz NOT NULL DEFAULT 'infinity',
    agreement_no   text    NOT NULL,
    digest         bytea   NOT NULL,      -- the ledger's keyed content hash
    payload        bytea   NOT NULL,      -- sealed JSON {"value": ..., "name": ..., "id_number": ...}
    hint           bytea,                 -- sealed JSON of address, phone and name of a row without ID number
    PRIMARY KEY (county, observation_id),
    CHECK (recorded_from <= recorded_to)
);
CREATE INDEX observation_key ON record.observation (source, source_key) WHERE recorded_to = 'infinity';
CREATE INDEX observation_row ON record.observation (row_id);
CREATE INDEX observation_subject ON record.observation (subject_index) WHERE subject_index IS NOT NULL;
CREATE INDEX observation_person ON record.observation (county, person_id) WHERE person_id IS NOT NULL;
CREATE INDEX observation_household ON record.observation (household_no) WHERE household_no IS NOT NULL;
CREATE INDEX observation_consent ON record.observation (consent_id) WHERE consent_id IS NOT NULL;

-- A person's consent that a bank may furnish rows (条例 art. 29). Admits that bank's rows; never a basis to disclose.
CREATE TABLE record.furnishing_consent (
    source        text NOT NULL,
    consent_id    text NOT NULL,
    row_id        uuid NOT NULL,
    version_rank  bigint NOT NULL,
    deleted       boolean NOT NULL,        -- the bank took the consent row itself back
    subject_index bytea,                   -- null only for a deleted row
    granted_on    date,
    expires_on    date,
    withdrawn_on  date,
    PRIMARY KEY (source, consent_id)
);

GRANT USAGE ON SCHEMA ingest, record TO hub_ingest;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA ingest TO hub_ingest;
GRANT SELECT, INSERT, UPDATE ON record.observation TO hub_ingest;
GRANT SELECT, INSERT, UPDATE, DELETE ON record.furnishing_consent TO hub_ingest;
