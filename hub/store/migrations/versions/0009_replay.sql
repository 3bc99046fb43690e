-- What the replay of an answer needs: the instant of the fold that the answer's sections reflect stands in its record, and
-- an auditor's command may open one entry and read the rules and the basis that it rested on.

-- `folded_at`: the last instant at which a section that was read was written. A fold writes every section of a household
-- whose text changed, so at that instant all of them said what was read.
ALTER TYPE access.reading ADD ATTRIBUTE folded_at timestamptz;

CREATE OR REPLACE FUNCTION access.read_sections(p_asked access.asked, p_parts text[]) RETURNS access.reading
LANGUAGE plpgsql STABLE AS $$
DECLARE
    c_household CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    v_reading   access.reading;
BEGIN
    SELECT array_agg(k.about), array_agg(k.part), array_agg(k.owner), array_agg(k.body), string_agg(k.lines, ','),
           max(k.folded_at)
    INTO v_reading
    FROM (
        SELECT g.rank, s.owner, s.person_id AS about, g.part, s.body, s.lines, s.folded_at
        FROM unnest(p_parts) WITH ORDINALITY AS g (part, rank)
        CROSS JOIN LATERAL (
            SELECT split_part(g.part, '/', 1) AS category, split_part(g.part, '/', 2) AS form,
                   CASE WHEN access.is_household_part(g.part) THEN c_household ELSE p_asked.person_id END AS about
        ) key
        CROSS JOIN LATERAL (
            SELECT s.owner, s.person_id, s.body,
                   access.log_line(s.category, s.form, s.owner, s.fold_version, s.digest) AS lines, s.folded_at
            FROM record.section s
            WHERE (s.county, s.household_id, s.person_id, s.category, s.form)
                  BETWEEN (p_asked.county, p_asked.household_id, key.about, key.category, key.form)
                  AND (p_asked.county, p_asked.household_id, key.about, key.category, key.form)
              AND (s.owner IN ('', p_asked.organisation_id) OR p_asked.role IN ('RESIDENT', 'STEWARD'))
            OFFSET 0
        ) s
        WHERE g.part NOT LIKE '%/TOTAL'
        UNION ALL
        SELECT g.rank, '', p_asked.person_id, g.part, t.body, t.lines, t.folded_at
        FROM unnest(p_parts) WITH ORDINALITY AS g (part, rank)
        CROSS JOIN LATERAL (
            SELECT CASE g.part
                       WHEN 'bank.loan/TOTAL' THEN
                           '{"lenders":' || count(*) || ',"loans":' || sum((b.body ->> 'loans')::int)
                           || ',"totalBalance":"' || sum((b.body ->> 'balance')::numeric) || '","worstClass":'
                           || coalesce('"' || max(b.body ->> 'worstClass') || '"', 'null') || '}'
                       WHEN 'bank.line/TOTAL' THEN
                           '{"lenders":' || count(*) || ',"totalAmount":"'
                           || sum((b.body ->> 'amount')::numeric) || '"}'
                   END AS body,
                   string_agg(access.log_line(s.category, s.form, s.owner, s.fold_version, s.digest), ','
                              ORDER BY s.owner) AS lines,
                   max(s.folded_at) AS folded_at
            FROM record.section s
            CROSS JOIN LATERAL (SELECT s.body::jsonb AS body OFFSET 0) b
            WHERE (s.county, s.household_id, s.person_id, s.category, s.form)
                  BETWEEN (p_asked.county, p_asked.household_id, p_asked.person_id, split_part(g.part, '/', 1), 'TOTAL')
                  AND (p_asked.county, p_asked.household_id, p_asked.person_id, split_part(g.part, '/', 1), 'TOTAL')
              AND s.owner <> p_asked.organisation_id
            HAVING count(*) > 0
        ) t
        WHERE g.part LIKE '%/TOTAL'
        ORDER BY 1, 2
    ) k;
    RETURN v_reading;
END $$;

-- An instant as facts of the audit log are written, to the microsecond.
CREATE FUNCTION access.instant(p_at timestamptz) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT to_char(p_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD"T"HH24:MI:SS.US') || '+08:00'
$$;

DROP FUNCTION access.person_facts(uuid, boolean, uuid, uuid, text);
CREATE FUNCTION access.person_facts(
    p_person uuid, p_named boolean, p_household uuid, p_basis uuid, p_lines text, p_folded timestamptz
) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT '"' || p_person || '":{"named":' || p_named || ',"household":"' || p_household
           || coalesce('","basis":"' || p_basis, '')
           || coalesce('","foldedAt":"' || access.instant(p_folded), '') || '","sections":[' || coalesce(p_lines, '') || ']}'
$$;

CREATE OR REPLACE FUNCTION access.answer_one(
    p_asked access.asked, p_held access.held_basis[], p_over int[], p_digest bytea, p_now timestamptz
) RETURNS access.recorded_answer
LANGUAGE plpgsql AS $$
DECLARE
    v_print   bytea;
    v_ruling  access.ruling;
    v_answer  access.answer;
    v_own     text[];
    v_reading access.reading;
    v_persons text;
    v_other   access.other_adult;
    v_others  access.other_adult[] := '{}';
    v_body    text;
    v_line    text;
    v_folded  timestamptz;
BEGIN
    IF p_asked.retry_key IS NOT NULL THEN
        v_print := sha256(p_asked.operation || p_asked.subject_key || convert_to(p_asked.purpose, 'UTF8')
                          || convert_to(array_to_string(p_asked.parts, ','), 'UTF8'));
    END IF;
    v_ruling := access.rule_named(p_asked, p_held, p_over, p_digest, p_now, v_print);
    v_answer := ROW(
        p_asked.ordinal, p_asked.refusal, p_now, p_asked.organisation_id, v_ruling.person_id, v_ruling.basis_id, '{}',
        NULL, NULL, NULL, NULL, NULL, v_ruling.withheld, '{}');
    IF cardinality(v_ruling.granted) > 0 THEN
        IF p_asked.others AND 'identity/VALUE' = ANY (v_ruling.granted) THEN
            v_others := access.rule_others(p_asked, p_held, p_digest, p_now, v_print);
        END IF;
        IF 'roster/VALUE' = ANY (v_ruling.granted) THEN
            v_answer.adults_not_shown := cardinality(p_asked.adults) - cardinality(v_others);
        END IF;
        v_own := CASE WHEN 'identity/VALUE' = ANY (p_asked.own_parts) THEN v_ruling.granted
                      ELSE array_remove(v_ruling.granted, 'identity/VALUE') END;
        v_reading := access.read_sections(p_asked, v_own);
        v_persons := access.person_facts(
            p_asked.person_id, true, p_asked.household_id, v_ruling.basis_id, v_reading.lines, v_reading.folded_at);
        v_answer.section_persons := v_reading.persons;
        v_answer.section_parts := v_reading.parts;
        v_answer.section_owners := v_reading.owners;
        v_answer.section_bodies := v_reading.bodies;
        IF v_reading.parts IS NULL OR NOT v_own <@ v_reading.parts THEN
            v_answer.absent := access.absences(v_own, v_reading.parts, p_now);
        END IF;
        FOREACH v_other IN ARRAY v_others LOOP
            SELECT s.body, access.log_line(s.category, s.form, s.owner, s.fold_version, s.digest), s.folded_at
            INTO v_body, v_line, v_folded FROM record.section s
            WHERE (s.county, s.household_id, s.person_id, s.category, s.form, s.owner)
                  BETWEEN (p_asked.county, p_asked.household_id, v_other.person_id, 'identity', 'VALUE', '')
                  AND (p_asked.county, p_asked.household_id, v_other.person_id, 'identity', 'VALUE', '');
            IF FOUND THEN
                v_answer.section_persons := v_answer.section_persons || v_other.person_id;
                v_answer.section_parts := v_answer.section_parts || 'identity/VALUE'::text;
                v_answer.section_owners := v_answer.section_owners || ''::text;
                v_answer.section_bodies := v_answer.section_bodies || v_body;
            END IF;
            v_answer.other_adults := v_answer.other_adults || v_other.person_id;
            v_persons := v_persons || ',' || access.person_facts(
                v_other.person_id, false, p_asked.household_id, v_other.basis_id, v_line, v_folded);
        END LOOP;
    END IF;
    RETURN ROW(v_answer, access.record_of(p_asked, v_answer, v_ruling.cause, v_persons, p_digest));
END $$;

-- One entry with its parts, as audit.subject_entries gives them of a person's entries.
CREATE FUNCTION audit.entry_detail(p_ev uuid)
RETURNS TABLE (log_id smallint, seq bigint, entry bytea, part smallint, subject uuid, root bytea, step bytea,
               key_id uuid, wrapped bytea, sealed bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT d.log_id, d.seq, e.entry, d.part, d.subject, d.root, d.step, d.key_id, k.wrapped, d.sealed
    FROM audit.entry e
    JOIN audit.detail d ON d.log_id = e.log_id AND d.seq = e.seq
    LEFT JOIN audit.data_key k ON k.key_id = d.key_id
    WHERE e.ev = p_ev ORDER BY d.part
$$;

-- What the rules of a digest say of a role and purpose; no row where the hub never had such rules in force.
CREATE FUNCTION access.recorded_rules(p_digest bytea, p_role text, p_purpose text)
RETURNS TABLE (part text, closed text, needs_basis boolean, needs_heightened_notice boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT d.part, d.closed, d.needs_basis, d.needs_heightened_notice
    FROM access.policy_set s
    LEFT JOIN access.decision d ON d.digest = s.digest AND d.role = p_role AND d.purpose = p_purpose
    WHERE s.digest = p_digest
$$;

-- What a basis covers, whatever became of it since.
CREATE FUNCTION consent.recorded_basis(p_basis uuid)
RETURNS TABLE (organisation_id text, purpose text, parts text[], heightened boolean, effective_from timestamptz,
               expires_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT b.organisation_id, b.purpose, b.parts, b.heightened, b.effective_from, b.expires_at
    FROM consent.basis b
    WHERE b.basis_id = p_basis
      AND (b.kind <> 'CONSENT' OR EXISTS (SELECT FROM consent.record r WHERE r.consent_id = b.consent_id))
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA access, audit FROM PUBLIC;
REVOKE ALL ON FUNCTION consent.recorded_basis FROM PUBLIC;
GRANT USAGE ON SCHEMA access, consent TO hub_auditor;
GRANT EXECUTE ON FUNCTION audit.entry_detail, access.recorded_rules, consent.recorded_basis TO hub_auditor;

-- The closed list of audit events, with the one that is new.
CREATE OR REPLACE FUNCTION audit.check_pending() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_wrong text := CASE
        WHEN NEW.kind NOT IN ('query', 'write', 'consent', 'connector', 'admin', 'erasure', 'shard') THEN 'kind'
        WHEN NEW.event NOT IN (
            'account:operator:changed',
            'answer:auditor:replayed',
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
            'link:hub:scored',
            'link:steward:decided',
            'link:steward:shown',
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
