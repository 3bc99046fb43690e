-- The audit log: what waits to be recorded, what is recorded (insert-only), and what is needed to prove it.
-- Formats of entries, receipts and bundles: docs/AUDIT.md.

CREATE SCHEMA audit;

-- The outbox. A row is written in the transaction of the change or reading it records; the sequencer takes it out when
-- it makes the entry. Rows come and go, so vacuum must follow closely; they live too briefly to be worth compressing.
CREATE TABLE audit.pending (
    ev           uuid PRIMARY KEY,
    queued_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind         text NOT NULL,
    event        text NOT NULL,
    organisation text NOT NULL,
    actor        text NOT NULL,
    purpose      text,
    decision     text NOT NULL,
    policy       text NOT NULL,
    operation    bytea,
    county       char(6),
    subjects     uuid[] NOT NULL DEFAULT '{}',
    facts        jsonb NOT NULL DEFAULT '{}',
    sealed       bytea
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
        toast_tuple_target = 8160);

-- What a row of the outbox must look like. A trigger and not constraints: those are read and planned anew by every
-- statement that writes a single row, which costs many times what the row does.
CREATE FUNCTION audit.check_pending() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_wrong text := CASE
        WHEN NEW.kind NOT IN ('query', 'write', 'consent', 'connector', 'admin', 'erasure', 'shard') THEN 'kind'
        WHEN NEW.event NOT IN (
            'account:operator:changed',
            'client:operator:changed',
            'consent:client:requested',
            'consent:hub:expired',
            'consent:resident:granted',
            'consent:resident:refused',
            'consent:resident:suspended',
            'consent:resident:withdrawn',
            'consent:steward:revoked',
            'history:resident:queried',
            'household:resident:queried',
            'household:steward:shown',
            'key:operator:rotated',
            'link:steward:decided',
            'log:auditor:exported',
            'log:auditor:queried',
            'log:sequencer:closed',
            'log:sequencer:opened',
            'person:operator:erased',
            'profile:client:queried',
            'quarantine:steward:exported',
            'record:hub:folded',
            'rules:operator:loaded',
            'schema:operator:migrated',
            'source:connector:failed',
            'source:connector:pulled',
            'subjects:sequencer:counted',
            'token:operator:issued',
            'token:operator:revoked') THEN 'event'
        WHEN octet_length(NEW.organisation) > 64 OR NEW.organisation ~ '[^A-Za-z0-9._:-]' THEN 'organisation'
        WHEN octet_length(NEW.purpose) NOT BETWEEN 1 AND 40 OR NEW.purpose ~ '[^A-Z_]' THEN 'purpose'
        WHEN NEW.decision NOT IN ('allow', 'deny', 'mask') THEN 'decision'
        WHEN octet_length(NEW.policy) NOT BETWEEN 1 AND 80 OR NEW.policy ~ '[^A-Za-z0-9._:+-]' THEN 'policy'
        WHEN octet_length(NEW.operation) <> 32 THEN 'operation'
        WHEN cardinality(NEW.subjects) > 1000 THEN 'subjects'
        WHEN jsonb_typeof(NEW.facts) <> 'object' THEN 'facts'
    END;
BEGIN
    IF v_wrong IS NOT NULL THEN
        RAISE EXCEPTION 'the % of a row for audit.pending is not in order', v_wrong USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER check_pending BEFORE INSERT ON audit.pending FOR EACH ROW EXECUTE FUNCTION audit.check_pending();
CREATE INDEX pending_order ON audit.pending (queued_at);

-- One transparency log: its name in checkpoints and the key that signs them. A later log gets the next number.
CREATE TABLE audit.log (
    log_id    smallint PRIMARY KEY,
    origin    text NOT NULL UNIQUE,
    vkey      text NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The right edge of the tree. `epoch` rises with every new leader: a leader that was deposed finds another number.
CREATE TABLE audit.head (
    log_id   smallint PRIMARY KEY REFERENCES audit.log,
    epoch    bigint   NOT NULL,
    size     bigint   NOT NULL,
    root     bytea    NOT NULL,
    frontier bytea[]  NOT NULL,
    t_last   bigint   NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- The entries: the bytes are the leaf's preimage; nothing is ever read from any other column to verify them.
CREATE TABLE audit.entry (
    log_id    smallint NOT NULL,
    seq       bigint   NOT NULL,
    ev        uuid     NOT NULL UNIQUE,
    leaf_hash bytea    NOT NULL,
    entry     bytea    NOT NULL,
    PRIMARY KEY (log_id, seq)
);

-- Keys that can be destroyed, one per holder and year, wrapped by the key service. Keep this table out of backups that
-- outlive an erasure (docs/AUDIT.md). The holder is a person's id, or a keyed hash of organisation and actor.
CREATE TABLE audit.data_key (
    key_id       uuid PRIMARY KEY,
    scope        text NOT NULL CHECK (scope IN ('person', 'actor')),
    holder       bytea NOT NULL,
    year         smallint NOT NULL,
    wrapped      bytea,
    made_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    destroyed_at timestamptz,
    CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL))
);
CREATE UNIQUE INDEX data_key_live ON audit.data_key (holder, year) WHERE wrapped IS NOT NULL;

-- The encrypted detail: part 0 is shared, each further part is about one person. `root` and `step` are the salted
-- commitments that stay when the key is gone. (subject, chain, n) is the person's list of accesses; chain 0 is the open
-- one, chain 1 is kept free for accesses that the law hides for a time.
CREATE TABLE audit.detail (
    log_id  smallint NOT NULL,
    seq     bigint   NOT NULL,
    part    smallint NOT NULL,
    key_id  uuid     NOT NULL,
    subject uuid,
    chain   smallint,
    n       bigint,
    root    bytea    NOT NULL,
    step    bytea    NOT NULL,
    sealed  bytea    NOT NULL,
    PRIMARY KEY (log_id, seq, part),
    CHECK ((part = 0) = (subject IS NULL) AND (subject IS NULL) = (n IS NULL) AND (n IS NULL) = (chain IS NULL))
);
CREATE UNIQUE INDEX detail_subject ON audit.detail (subject, chain, n) WHERE subject IS NOT NULL;

-- How long each person's chain is, and the commitment of its last link.
CREATE TABLE audit.subject_head (
    subject uuid     NOT NULL,
    chain   smallint NOT NULL,
    n       bigint   NOT NULL,
    step    bytea    NOT NULL,
    PRIMARY KEY (subject, chain)
) WITH (fillfactor = 70);

-- Complete tiles, 256 hashes each; `root` is the hash of the tile, an entry of the tile above.
CREATE TABLE audit.tile (
    log_id smallint NOT NULL,
    level  smallint NOT NULL,
    idx    bigint   NOT NULL,
    root   bytea    NOT NULL,
    hashes bytea    NOT NULL CHECK (octet_length(hashes) = 8192),
    PRIMARY KEY (log_id, level, idx)
);
ALTER TABLE audit.tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

-- Every head that was signed, after the guard file held it.
CREATE TABLE audit.checkpoint (
    log_id    smallint    NOT NULL,
    size      bigint      NOT NULL,
    root      bytea       NOT NULL,
    note      text        NOT NULL,
    signed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (log_id, size)
);

-- Insert-only: grants forbid more to everyone but the owner, and these triggers forbid it to the owner too. Neither
-- stops a superuser; what he does is found by the guard file, the receipts and the verifier.
CREATE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit.% is insert-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.log
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.entry
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.detail
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.tile
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER insert_only BEFORE DELETE OR TRUNCATE ON audit.data_key
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER insert_only BEFORE UPDATE OR TRUNCATE ON audit.pending
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();

-- A key changes once: it is destroyed.
CREATE FUNCTION audit.refuse_key_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.wrapped IS NOT NULL OR (NEW.key_id, NEW.scope, NEW.holder, NEW.year)
            IS DISTINCT FROM (OLD.key_id, OLD.scope, OLD.holder, OLD.year) THEN
        RAISE EXCEPTION 'a key in audit.data_key can only be destroyed' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER destroy_only BEFORE UPDATE ON audit.data_key
    FOR EACH ROW EXECUTE FUNCTION audit.refuse_key_change();

-- Take up to `p_limit` waiting rows out of the outbox, oldest first, under the lock of the head. Fails if another
-- leader has been here. Never a cursor over ids: a row that commits late would be passed over for ever.
-- `taken` says that an entry of this id exists already.
CREATE FUNCTION audit.take(p_log smallint, p_epoch bigint, p_size bigint, p_root bytea, p_limit int)
RETURNS TABLE (ev uuid, queued_at timestamptz, kind text, event text, organisation text, actor text, purpose text,
               decision text, policy text, operation bytea, county text, subjects uuid[], facts text, sealed bytea,
               taken boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM 1 FROM audit.head h
        WHERE h.log_id = p_log AND h.epoch = p_epoch AND h.size = p_size AND h.root = p_root FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the head of the audit log was moved by another sequencer' USING ERRCODE = 'HA001';
    END IF;
    RETURN QUERY
        DELETE FROM audit.pending p
        WHERE p.ctid = ANY (ARRAY(SELECT q.ctid FROM audit.pending q ORDER BY q.queued_at LIMIT p_limit
                                  FOR UPDATE SKIP LOCKED))
        RETURNING p.ev, p.queued_at, p.kind, p.event, p.organisation, p.actor, p.purpose, p.decision, p.policy,
                  p.operation, p.county::text, p.subjects, p.facts::text, p.sealed,
                  EXISTS (SELECT FROM audit.entry e WHERE e.ev = p.ev);
END $$;

-- The live keys of some holders and the chain ends of some persons, in one round trip.
CREATE FUNCTION audit.lookup(p_holders bytea[], p_year smallint, p_subjects uuid[])
RETURNS TABLE (holder bytea, key_id uuid, wrapped bytea, subject uuid, chain smallint, n bigint, step bytea)
LANGUAGE sql STABLE AS $$
    SELECT k.holder, k.key_id, k.wrapped, NULL::uuid, NULL::smallint, NULL::bigint, NULL::bytea
    FROM audit.data_key k WHERE k.holder = ANY (p_holders) AND k.year = p_year AND k.wrapped IS NOT NULL
    UNION ALL
    SELECT NULL, NULL, NULL, s.subject, s.chain, s.n, s.step
    FROM audit.subject_head s WHERE s.subject = ANY (p_subjects)
$$;

-- Write one batch: everything or nothing. Gives the entries back as the database now holds them, so that the
-- sequencer can hash what is stored rather than what it meant to store.
CREATE FUNCTION audit.integrate(
    p_log smallint, p_seq bigint[], p_ev uuid[], p_leaf bytea[], p_entry bytea[],
    d_seq bigint[], d_part smallint[], d_key uuid[], d_subject uuid[], d_n bigint[], d_root bytea[], d_step bytea[],
    d_sealed bytea[],
    k_id uuid[], k_scope text[], k_holder bytea[], k_year smallint, k_wrapped bytea[],
    s_subject uuid[], s_n bigint[], s_step bytea[],
    t_level smallint[], t_idx bigint[], t_root bytea[], t_hashes bytea[],
    h_size bigint, h_root bytea, h_frontier bytea[], h_t bigint)
RETURNS TABLE (seq bigint, entry bytea, leaf_hash bytea)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO audit.data_key (key_id, scope, holder, year, wrapped)
        SELECT i, s, h, k_year, w FROM unnest(k_id, k_scope, k_holder, k_wrapped) AS u (i, s, h, w);
    INSERT INTO audit.detail (log_id, seq, part, key_id, subject, chain, n, root, step, sealed)
        SELECT p_log, q, p, k, s, CASE WHEN s IS NOT NULL THEN 0 END, n, r, st, c
        FROM unnest(d_seq, d_part, d_key, d_subject, d_n, d_root, d_step, d_sealed) AS u (q, p, k, s, n, r, st, c);
    INSERT INTO audit.subject_head (subject, chain, n, step)
        SELECT s, 0, n, st FROM unnest(s_subject, s_n, s_step) AS u (s, n, st)
        ON CONFLICT (subject, chain) DO UPDATE SET n = EXCLUDED.n, step = EXCLUDED.step;
    INSERT INTO audit.tile (log_id, level, idx, root, hashes)
        SELECT p_log, l, i, r, h FROM unnest(t_level, t_idx, t_root, t_hashes) AS u (l, i, r, h);
    UPDATE audit.head SET size = h_size, root = h_root, frontier = h_frontier, t_last = h_t WHERE log_id = p_log;
    RETURN QUERY
        INSERT INTO audit.entry (log_id, seq, ev, leaf_hash, entry)
            SELECT p_log, q, v, l, e FROM unnest(p_seq, p_ev, p_leaf, p_entry) AS u (q, v, l, e)
        RETURNING seq, entry, leaf_hash;
END $$;

-- Hashes of the tree for a proof: whole tiles, roots of ranges of tiles, leaf hashes of a range of entries.
CREATE FUNCTION audit.tree_parts(p_log smallint, t_level smallint[], t_idx bigint[],
                                 r_level smallint[], r_from bigint[], r_to bigint[], l_from bigint, l_to bigint)
RETURNS TABLE (what text, level smallint, idx bigint, hash bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT 'tile', t.level, t.idx, t.hashes FROM unnest(t_level, t_idx) AS u (l, i)
        JOIN audit.tile t ON t.log_id = p_log AND t.level = u.l AND t.idx = u.i
    UNION ALL
    SELECT 'root', t.level, t.idx, t.root FROM unnest(r_level, r_from, r_to) AS u (l, f, e)
        JOIN audit.tile t ON t.log_id = p_log AND t.level = u.l AND t.idx >= u.f AND t.idx < u.e
    UNION ALL
    SELECT 'leaf', 0::smallint, e.seq, e.leaf_hash FROM audit.entry e
        WHERE e.log_id = p_log AND e.seq >= l_from AND e.seq < l_to
$$;

-- The entry of one event with the newest signed head that covers it; no row while there is none.
CREATE FUNCTION audit.find_entry(p_ev uuid)
RETURNS TABLE (log_id smallint, seq bigint, entry bytea, size bigint, note text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT e.log_id, e.seq, e.entry, c.size, c.note FROM audit.entry e
    CROSS JOIN LATERAL (SELECT k.size, k.note FROM audit.checkpoint k
                        WHERE k.log_id = e.log_id AND k.size > e.seq ORDER BY k.size DESC LIMIT 1) c
    WHERE e.ev = p_ev
$$;

-- One person's open chain, newest first: the encrypted parts with the wrapped keys (null when destroyed), and the
-- commitments of all parts of the entry. Nothing here can be read without the key service.
CREATE FUNCTION audit.subject_entries(p_subject uuid, p_before bigint, p_limit int)
RETURNS TABLE (log_id smallint, seq bigint, entry bytea, n bigint, part smallint, roots bytea[], steps bytea[],
               own_key uuid, own_wrapped bytea, own_sealed bytea,
               shared_key uuid, shared_wrapped bytea, shared_sealed bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT d.log_id, d.seq, e.entry, d.n, d.part, p.roots, p.steps,
           d.key_id, k.wrapped, d.sealed, s.key_id, sk.wrapped, s.sealed
    FROM audit.detail d
    JOIN audit.entry e ON e.log_id = d.log_id AND e.seq = d.seq
    JOIN audit.detail s ON s.log_id = d.log_id AND s.seq = d.seq AND s.part = 0
    CROSS JOIN LATERAL (SELECT array_agg(a.root ORDER BY a.part) AS roots, array_agg(a.step ORDER BY a.part) AS steps
                        FROM audit.detail a WHERE a.log_id = d.log_id AND a.seq = d.seq) p
    LEFT JOIN audit.data_key k ON k.key_id = d.key_id
    LEFT JOIN audit.data_key sk ON sk.key_id = s.key_id
    WHERE d.subject = p_subject AND d.chain = 0 AND d.n < p_before
    ORDER BY d.n DESC LIMIT p_limit
$$;

-- How long one person's open chain is.
CREATE FUNCTION audit.subject_count(p_subject uuid) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT coalesce((SELECT h.n FROM audit.subject_head h WHERE h.subject = p_subject AND h.chain = 0), 0)
$$;

-- The log's name, which every encrypted detail is bound to.
CREATE FUNCTION audit.log_origin(p_log smallint) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT l.origin FROM audit.log l WHERE l.log_id = p_log
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA audit FROM PUBLIC;
GRANT USAGE ON SCHEMA audit TO hub_app, hub_ingest, hub_sequencer, hub_auditor;
GRANT INSERT ON audit.pending TO hub_app, hub_ingest, hub_sequencer;
GRANT EXECUTE ON FUNCTION audit.tree_parts, audit.find_entry
    TO hub_app, hub_ingest, hub_sequencer, hub_auditor;
GRANT EXECUTE ON FUNCTION audit.subject_entries, audit.subject_count, audit.log_origin TO hub_app, hub_auditor;
GRANT EXECUTE ON FUNCTION audit.take, audit.lookup, audit.integrate TO hub_sequencer;
GRANT SELECT, DELETE, UPDATE (queued_at) ON audit.pending TO hub_sequencer;  -- row locks ask for UPDATE of a column
GRANT SELECT, INSERT ON audit.log, audit.entry, audit.detail, audit.tile, audit.checkpoint TO hub_sequencer;
GRANT SELECT, INSERT, UPDATE ON audit.head, audit.subject_head, audit.data_key TO hub_sequencer;
GRANT SELECT ON audit.log, audit.head, audit.entry, audit.tile, audit.checkpoint TO hub_auditor;
