-- Rotation of the keys: which versions the database knows, how far the job has come that seals and indexes anew under
-- the newest one, and what it could not carry over (docs/KEYS.md).

CREATE SCHEMA keyring;

-- `mark`: keyed hash of a fixed text under this version, by which the key folder of another hub is recognised.
-- MADE: new, and what stands in the tables is still indexed under older ones. IN_USE: nothing is left to be carried
-- over to it. RETIRED: its master key is destroyed.
CREATE TABLE keyring.version (
    version    smallint PRIMARY KEY CHECK (version BETWEEN 1 AND 255),
    mark       bytea NOT NULL CHECK (octet_length(mark) = 33),
    state      text NOT NULL CHECK (state IN ('MADE', 'IN_USE', 'RETIRED')),
    noted_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at timestamptz,
    CHECK ((state = 'RETIRED') = (retired_at IS NOT NULL))
);

-- How far each pass over each table has come; moves in the transaction of the rows.
CREATE TABLE keyring.progress (
    target   smallint NOT NULL,
    pass     text NOT NULL,
    place    text NOT NULL,
    cursor   text[],
    rows     bigint NOT NULL DEFAULT 0,
    finished boolean NOT NULL DEFAULT false,
    PRIMARY KEY (target, pass, place)
);

-- Old blind index -> new one, of every identifier that was met in a sealed text. Emptied when the job has ended.
CREATE TABLE keyring.index_map (
    old_index bytea PRIMARY KEY,
    new_index bytea NOT NULL
);

-- DAMAGED: a sealed text that does not open. UNMATCHED: a blind index whose text was found nowhere. They stay as they
-- are; the version that they need cannot be retired without saying how many of them are given up.
CREATE TABLE keyring.set_aside (
    place    text NOT NULL,
    row_key  text NOT NULL,
    reason   text NOT NULL CHECK (reason IN ('DAMAGED', 'UNMATCHED')),
    version  smallint NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (place, row_key)
);

-- Drills: a backup of the key folder restored into a scratch place, and how many samples it opened.
CREATE TABLE keyring.drill (
    drilled_at     timestamptz PRIMARY KEY,
    backup_made_at timestamptz NOT NULL,
    samples        int NOT NULL,
    opened         int NOT NULL,
    passed         boolean NOT NULL
);

-- Note the versions of a key folder, given by the keyed hash of the fixed text under each. FOREIGN: another hub's
-- folder. UNFINISHED: the newest one is not in use everywhere. FIT: all is well.
CREATE FUNCTION keyring.check_folder(p_marks bytea[]) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_first boolean := NOT EXISTS (SELECT FROM keyring.version);
    v_newest smallint;
BEGIN
    IF EXISTS (SELECT FROM unnest(p_marks) AS m (mark) JOIN keyring.version v ON v.version = get_byte(m.mark, 0)
               WHERE v.mark <> m.mark) THEN
        RETURN 'FOREIGN';
    END IF;
    SELECT max(get_byte(m.mark, 0)) INTO v_newest FROM unnest(p_marks) AS m (mark);
    INSERT INTO keyring.version (version, mark, state)
    SELECT get_byte(m.mark, 0), m.mark,
           CASE WHEN v_first AND (cardinality(p_marks) = 1 OR get_byte(m.mark, 0) < v_newest) THEN 'IN_USE' ELSE 'MADE' END
    FROM unnest(p_marks) AS m (mark)
    ON CONFLICT DO NOTHING;
    RETURN CASE WHEN (SELECT v.state FROM keyring.version v WHERE v.version = v_newest) = 'IN_USE'
                THEN 'FIT' ELSE 'UNFINISHED' END;
END $$;
REVOKE ALL ON FUNCTION keyring.check_folder FROM PUBLIC;
GRANT USAGE ON SCHEMA keyring TO hub_ingest, hub_auditor;
GRANT EXECUTE ON FUNCTION keyring.check_folder TO hub_ingest;
GRANT SELECT (place, reason, version) ON keyring.set_aside TO hub_auditor;

-- What a steward did is never changed; only the seal around his words is made anew.
DROP TRIGGER quarantine_act_is_final ON ingest.quarantine_act;
CREATE TRIGGER quarantine_act_is_final BEFORE DELETE OR TRUNCATE
    OR UPDATE OF act_id, number, act, steward, acted_at, ev, contract, fields, fingerprint, row_id ON ingest.quarantine_act
    FOR EACH STATEMENT EXECUTE FUNCTION ingest.refuse_change();

-- A key of the audit log changes once: it is destroyed. Whoever logged in as the owner of the table, as only the
-- operator's commands do, may wrap it anew.
CREATE OR REPLACE FUNCTION audit.refuse_key_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_is_owner boolean := (SELECT c.relowner = session_user::regrole FROM pg_class c WHERE c.oid = TG_RELID);
BEGIN
    IF (NEW.key_id, NEW.scope, NEW.holder, NEW.year, NEW.made_at)
            IS DISTINCT FROM (OLD.key_id, OLD.scope, OLD.holder, OLD.year, OLD.made_at)
       OR NEW.wrapped IS NOT NULL AND (OLD.wrapped IS NULL OR NOT v_is_owner) THEN
        RAISE EXCEPTION 'a key in audit.data_key can only be destroyed' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;

-- As in 0027, but that whoever logged in as the owner may add blind indexes under a newer key to a request; what it was
-- asked with stays.
CREATE OR REPLACE FUNCTION consent.keep_terms() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_free text[] := '{state,decided_at}';
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'consents are never deleted' USING ERRCODE = 'HB001';
    END IF;
    IF TG_TABLE_NAME = 'request' THEN
        IF EXISTS (SELECT FROM auth.pushed_request p
                   WHERE p.request_id = NEW.request_id AND p.asks_visitor AND p.session_id IS NULL)
           OR (SELECT c.relowner = session_user::regrole FROM pg_class c WHERE c.oid = TG_RELID)
              AND NEW.identity_indexes @> OLD.identity_indexes AND NEW.name_indexes @> OLD.name_indexes THEN
            v_free := v_free || '{identity_indexes,name_indexes}';
        END IF;
        IF (to_jsonb(NEW) - v_free) <> (to_jsonb(OLD) - v_free)
           OR NEW.state <> OLD.state AND NOT EXISTS (
               SELECT FROM consent.transition t WHERE t.from_state = OLD.state
               AND t.to_state = CASE NEW.state WHEN 'GIVEN' THEN 'IN_FORCE' ELSE NEW.state END) THEN
            RAISE EXCEPTION 'the terms of a request are never changed' USING ERRCODE = 'HB001';
        END IF;
    END IF;
    RETURN NEW;
END $$;

-- A consent whose blind index alone is made anew says nothing new.
CREATE FUNCTION record.touch_changed_consent() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO record.touched (row_id, kind, source, source_key)
    SELECT c.row_id, 'FURNISHING', c.source, c.consent_id
    FROM changed c JOIN held b ON b.source = c.source AND b.consent_id = c.consent_id
    WHERE (c.row_id, c.version_rank, c.deleted, c.granted_on, c.expires_on, c.withdrawn_on)
          IS DISTINCT FROM (b.row_id, b.version_rank, b.deleted, b.granted_on, b.expires_on, b.withdrawn_on)
       OR (c.subject_index IS NULL) <> (b.subject_index IS NULL)
       OR get_byte(c.subject_index, 0) = get_byte(b.subject_index, 0) AND c.subject_index <> b.subject_index;
    RETURN NULL;
END
$$;
DROP TRIGGER consent_changed ON record.furnishing_consent;
CREATE TRIGGER consent_changed AFTER UPDATE ON record.furnishing_consent
    REFERENCING OLD TABLE AS held NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION record.touch_changed_consent();

INSERT INTO audit.event_name (name) VALUES
    ('key:operator:backed_up'), ('key:operator:drilled'), ('key:operator:reindexed'), ('key:operator:retired');
