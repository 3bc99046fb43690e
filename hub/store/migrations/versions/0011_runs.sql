-- What is measured of each run, the circuit of each source, and what the worker remembers. Nothing here is personal:
-- names of sources, counts, times and codes.

-- How the source's part of the run ended, and the counts of its report, kept because the ledger goes on changing.
ALTER TABLE ingest.run_source
    ADD finished_at timestamptz,
    ADD error_code  text,
    ADD may_pass    boolean,               -- whether the error may pass by itself
    ADD accepted    bigint,
    ADD superseded  bigint,
    ADD withdrawn   bigint,
    ADD released    bigint,
    ADD quarantined jsonb,                 -- rows by reason
    ADD fields      bigint,                -- values that new rows could carry, and do carry
    ADD filled      bigint,
    ADD ages        jsonb;                 -- new rows by age when recorded: hour, day, week, month, older
CREATE INDEX run_source_time ON ingest.run_source (source, started_at);

-- How often each phase of a pull was passed (hub/core/phases.py), by source; source '' is the run as a whole.
CREATE TABLE ingest.run_phase (
    run_id  uuid NOT NULL REFERENCES ingest.run,
    source  text NOT NULL,
    phase   text NOT NULL,
    times   bigint NOT NULL,
    failed  bigint NOT NULL,
    seconds double precision NOT NULL,
    longest double precision NOT NULL,
    PRIMARY KEY (run_id, source, phase)
);

-- Whether a source is pulled, tried again, or left alone for a while (hub/core/circuit.py).
CREATE TABLE ingest.circuit (
    source     text PRIMARY KEY,
    state      text NOT NULL CHECK (state IN ('CLOSED', 'OPEN', 'HALF_OPEN')),
    failures   int  NOT NULL,
    since      timestamptz NOT NULL,
    retry_at   timestamptz,
    error_code text
);

-- When the worker was last seen; one row.
CREATE TABLE ingest.worker (
    only_one   boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    started_at timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL
);

-- The jobs of each day, in Shanghai's days.
CREATE TABLE ingest.daily_job (
    job         text NOT NULL,
    day         date NOT NULL,
    tries       int  NOT NULL,
    tried_at    timestamptz NOT NULL,
    finished_at timestamptz,
    error_code  text,
    PRIMARY KEY (job, day)
);

GRANT SELECT, INSERT, UPDATE ON ingest.run_phase, ingest.circuit, ingest.worker, ingest.daily_job TO hub_ingest;
GRANT USAGE ON SCHEMA ingest TO hub_auditor;
GRANT SELECT ON ingest.run, ingest.run_source, ingest.run_phase, ingest.file, ingest.circuit, ingest.worker,
    ingest.daily_job TO hub_auditor;
GRANT SELECT (source, kind, last_ok_at, last_status) ON ingest.source_state TO hub_auditor;
GRANT SELECT (source, reason, status, first_seen, last_seen, run_id) ON ingest.quarantine TO hub_auditor;

-- What tells a running server that the database still is the one it was started for: revision and rules in force.
CREATE FUNCTION access.fitness(OUT revision text, OUT rules bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT (SELECT v.version_num::text FROM public.alembic_version v),
           (SELECT p.digest FROM access.policy_set p WHERE p.retired_at IS NULL)
$$;
REVOKE ALL ON FUNCTION access.fitness() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access.fitness() TO hub_app;
