-- The gate for benefit providers: benefit.assess decides, records and works the answer out; no value leaves it.

-- What a provider may be told. `withheld`: part=REASON. Version and period hang on the programme alone.
CREATE TYPE benefit.assessment AS (
    refusal         text,
    organisation_id text,
    person_id       uuid,
    withheld        text[],
    version         int,
    period          text,
    answer          text,
    decision_id     uuid,
    decided_at      timestamptz,
    valid_until     date
);

-- Those of the bases that cover all that a programme reads. A consent that leaves one of these parts out, or lacks the
-- notice that one needs, is none for this programme.
CREATE FUNCTION benefit.covering(p_asked access.asked, p_held access.held_basis[], p_reads text[], p_now timestamptz)
RETURNS access.held_basis[]
LANGUAGE plpgsql AS $$
DECLARE
    v_basis    access.held_basis;
    v_covering access.held_basis[] := '{}';
BEGIN
    FOREACH v_basis IN ARRAY p_held LOOP
        IF p_reads <@ access.without_stopped(p_asked, v_basis, p_now)
           AND (v_basis.heightened OR NOT 'tax.band/BAND' = ANY (p_reads)) THEN
            v_covering := v_covering || v_basis;
        END IF;
    END LOOP;
    RETURN v_covering;
END $$;

-- Whether one version more about this person is beyond what his organisation may ask. A version that was answered before
-- costs nothing more; one that a new version took the place of counts still.
CREATE FUNCTION benefit.is_probing(p_person uuid, p_programme benefit.programme, p_now timestamptz) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT count(DISTINCT (d.programme_id, d.version))
           FILTER (WHERE (d.programme_id, d.version) <> (p_programme.programme_id, p_programme.version))
           >= (SELECT b.per_person FROM benefit.budget b)
    FROM benefit.decision d JOIN benefit.programme g USING (programme_id, version)
    WHERE d.person_id = ANY (record.same_person(p_person)) AND g.organisation_id = p_programme.organisation_id
      AND d.decided_at > p_now - interval '366 days'
$$;

-- Read and evaluate, once; the decision is stored in the transaction of its record. Null where nothing can be said.
CREATE FUNCTION benefit.decide(p_asked access.asked, p_programme benefit.programme, p_period text, p_now timestamptz)
RETURNS benefit.decision
LANGUAGE plpgsql AS $$
DECLARE
    v_terms    jsonb := p_programme.terms::jsonb;
    v_reading  access.reading;
    v_bodies   jsonb;
    v_decision benefit.decision;
BEGIN
    IF benefit.lacks_sources(p_programme.reads, (v_terms ->> 'maxAgeDays')::int, p_now)
       OR access.is_put_aside(p_asked) THEN
        RETURN NULL;
    END IF;
    v_reading := access.read_sections(p_asked, p_programme.reads);
    SELECT coalesce(jsonb_object_agg(s.part, s.body::jsonb), '{}') INTO v_bodies
    FROM unnest(v_reading.parts, v_reading.bodies) AS s (part, body);
    IF access.is_put_aside(p_asked) THEN  -- a fold may commit in between
        RETURN NULL;
    END IF;
    v_decision.county := p_asked.county;
    v_decision.decision_id := gen_random_uuid();
    v_decision.person_id := p_asked.person_id;
    v_decision.programme_id := p_programme.programme_id;
    v_decision.version := p_programme.version;
    v_decision.period := p_period;
    -- What the record does not show is not shown: the third truth value is a no, and told to the person as what it is.
    v_decision.answer := CASE WHEN benefit.holds(v_terms -> 'condition', v_bodies) THEN 'YES' ELSE 'NO' END;
    v_decision.outcomes := benefit.outcomes_of(v_terms -> 'condition', v_bodies);
    v_decision.reading := sha256(convert_to(coalesce(v_reading.lines, ''), 'UTF8'));
    v_decision.decided_at := p_now;
    v_decision.ev := p_asked.ev;
    v_decision.overturned := false;
    INSERT INTO benefit.decision SELECT v_decision.*;
    RETURN v_decision;
END $$;

-- The entry of a question: as of every query, with programme and period, and with what was answered under the person's key.
CREATE FUNCTION benefit.record_of(
    p_asked access.asked, p_ruling access.ruling, p_programme text, p_told benefit.assessment, p_repeated boolean,
    p_digest bytea, p_now timestamptz
) RETURNS audit.pending
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_answer access.answer;
    v_record audit.pending;
    v_facts  jsonb;
BEGIN
    v_answer.ordinal := 1;
    v_answer.refusal := p_asked.refusal;
    v_answer.as_of := p_now;
    v_answer.organisation_id := p_asked.organisation_id;
    v_answer.person_id := p_ruling.person_id;
    v_answer.basis_id := p_ruling.basis_id;
    v_answer.other_adults := '{}';
    v_answer.withheld := p_ruling.withheld;
    v_answer.absent := '{}';
    v_record := access.record_of(p_asked, v_answer, p_ruling.cause, CASE WHEN p_told.answer IS NOT NULL THEN
        access.person_facts(p_asked.person_id, true, p_asked.household_id, p_ruling.basis_id, NULL, NULL) END, p_digest);
    v_facts := v_record.facts || jsonb_build_object('programme', p_programme)
               || jsonb_strip_nulls(jsonb_build_object('version', p_told.version, 'period', p_told.period));
    IF p_told.answer IS NOT NULL THEN
        v_facts := jsonb_set(v_facts, ARRAY['persons', p_asked.person_id::text],
            (v_facts #> ARRAY['persons', p_asked.person_id::text]) || jsonb_strip_nulls(jsonb_build_object(
                'answer', p_told.answer, 'decision', p_told.decision_id, 'repeated', p_repeated)));
    END IF;
    v_record.event := 'eligibility:client:asked';
    v_record.facts := v_facts;
    RETURN v_record;
END $$;

-- One question: {"programme": ..., and a request as access.disclose takes it, without purpose and parts}. Locks as there,
-- and after them the person for this organisation, so that two first questions at once find one answer and one budget.
CREATE FUNCTION benefit.assess(p_request jsonb) RETURNS benefit.assessment
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    c_part      CONSTANT text := 'eligibility/YES_NO';
    v_today     date := (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date;
    v_now       timestamptz;
    v_wire      jsonb;
    v_digest    bytea;
    v_asked     access.asked;
    v_held      access.held_basis[];
    v_over      int[];
    v_programme benefit.programme;
    v_ruling    access.ruling;
    v_decision  benefit.decision;
    v_told      benefit.assessment;
    v_repeated  boolean := false;
BEGIN
    IF jsonb_typeof(p_request) IS DISTINCT FROM 'object' OR jsonb_typeof(p_request -> 'programme') IS DISTINCT FROM 'string' THEN
        RAISE EXCEPTION 'an incomplete request' USING ERRCODE = 'HB111';
    END IF;
    SELECT s.digest INTO v_digest FROM access.policy_set s WHERE s.retired_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no access rules are in force' USING ERRCODE = 'HB110';
    END IF;
    v_wire := jsonb_build_array(p_request || jsonb_build_object(
        'purpose', 'BENEFIT_ELIGIBILITY', 'parts', jsonb_build_array(c_part), 'others', false));
    v_asked := (access.resolve(v_wire, v_today, access.use_proofs(v_wire)))[1];
    SELECT g.* INTO v_programme FROM benefit.programme g
    WHERE g.programme_id = p_request ->> 'programme' AND g.organisation_id = v_asked.organisation_id
      AND g.approved_at IS NOT NULL AND g.retired_at IS NULL AND g.begins_on <= v_today AND v_today < g.ends_on;
    IF NOT FOUND AND v_asked.refusal IS NULL THEN
        v_asked.refusal := 'PROGRAMME_UNKNOWN';
        v_asked.barred := 'PROGRAMME_UNKNOWN';
    END IF;
    v_held := access.lock_bases(ARRAY[v_asked]);
    v_over := access.count_subjects(ARRAY[v_asked], v_today);
    v_now := clock_timestamp();
    v_ruling := access.rule_named(
        v_asked, benefit.covering(v_asked, v_held, v_programme.reads, v_now), v_over, v_digest, v_now,
        CASE WHEN v_asked.retry_key IS NOT NULL THEN sha256(v_asked.operation || v_asked.subject_key || convert_to(
            'BENEFIT_ELIGIBILITY ' || (p_request ->> 'programme'), 'UTF8')) END);
    v_told.refusal := v_asked.refusal;
    v_told.organisation_id := v_asked.organisation_id;
    v_told.version := v_programme.version;
    v_told.period := benefit.period_of(v_programme.period, v_today);
    IF c_part = ANY (v_ruling.granted) THEN
        PERFORM pg_advisory_xact_lock(hashtextextended(v_asked.person_id || ' ' || v_asked.organisation_id, 54));
        SELECT d.* INTO v_decision FROM benefit.decision d
        WHERE d.person_id = ANY (record.same_person(v_asked.person_id)) AND d.programme_id = v_programme.programme_id
          AND d.version = v_programme.version AND d.period = v_told.period
        ORDER BY d.decided_at LIMIT 1;
        v_repeated := FOUND;
        IF NOT v_repeated AND benefit.is_probing(v_asked.person_id, v_programme, v_now) THEN
            v_ruling.granted := '{}';
            v_ruling.withheld := ARRAY[c_part || '=QUOTA'];
            v_ruling.cause := 'PROBING';
        ELSE
            IF NOT v_repeated THEN
                v_decision := benefit.decide(v_asked, v_programme, v_told.period, v_now);
            END IF;
            v_told.person_id := v_asked.person_id;
            v_told.answer := CASE WHEN v_decision.decision_id IS NULL THEN 'CANNOT_SAY'
                                  WHEN v_decision.overturned THEN 'YES' ELSE v_decision.answer END;
            v_told.decision_id := v_decision.decision_id;
            v_told.decided_at := v_decision.decided_at;
            v_told.valid_until := CASE WHEN v_decision.decision_id IS NOT NULL THEN
                least(benefit.period_end(v_programme.period, v_today), v_programme.ends_on) END;
        END IF;
    END IF;
    v_told.withheld := v_ruling.withheld;
    -- Nothing is returned without the record; this commit leaves the disk to the sequencer, as that of access.disclose.
    PERFORM access.record_all(ARRAY[benefit.record_of(
                v_asked, v_ruling, left(p_request ->> 'programme', 40), v_told, v_repeated, v_digest, v_now)]),
            set_config('synchronous_commit', 'off', true);
    RETURN v_told;
END $$;

-- Providers' questions stand in the ledger of queries like banks', and a canary is one to them too.
CREATE OR REPLACE FUNCTION access.record_all(p_records audit.pending[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit.pending SELECT * FROM unnest(p_records);
    INSERT INTO access.officer_query
        (county, ev, asked_at, day, asker, organisation_id, officer, purpose, decision, person_id, basis_id)
    SELECT coalesce(r.county, '000000'), r.ev, r.queued_at, (r.queued_at AT TIME ZONE 'Asia/Shanghai')::date,
           r.facts ->> 'client', r.organisation, r.actor, coalesce(r.purpose, ''), r.decision, r.subjects[1],
           (r.facts #>> ARRAY ['persons', r.subjects[1]::text, 'basis'])::uuid
    FROM unnest(p_records) AS r WHERE r.event IN ('profile:client:queried', 'eligibility:client:asked');
    INSERT INTO access.alert AS a (kind, raised_at, day, county, organisation_id, officer, observed)
    SELECT 'CANARY', min(r.queued_at), (min(r.queued_at) AT TIME ZONE 'Asia/Shanghai')::date, min(c.county),
           r.organisation, r.actor, count(*)
    FROM unnest(p_records) AS r JOIN access.canary c ON c.person_id = r.subjects[1]
    WHERE r.event IN ('profile:client:queried', 'eligibility:client:asked')
    GROUP BY r.organisation, r.actor ORDER BY r.organisation, r.actor
    ON CONFLICT (kind, day, organisation_id, officer, village_code) DO UPDATE SET observed = a.observed + excluded.observed;
END $$;

-- As in 0005; a provider also asks for what an approved programme of its own reads: for the hub to read, not for itself.
CREATE OR REPLACE FUNCTION consent.ask(
    p_request uuid, p_client text, p_token text, p_actor text, p_purpose text, p_parts text[], p_application text,
    p_valid_days int, p_max_uses int, p_identity bytea[], p_name bytea[], p_at timestamptz, p_answer_by timestamptz,
    p_ev uuid
) RETURNS TABLE (organisation_id text, role text, found_id uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_client access.client;
BEGIN
    SELECT c.* INTO v_client FROM access.client c WHERE c.client_id = p_client AND c.status = 'ACTIVE';
    IF NOT FOUND OR EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = p_token) THEN
        RAISE EXCEPTION 'client may not ask' USING ERRCODE = 'HB101';
    END IF;
    IF NOT p_purpose = ANY (v_client.purposes) THEN
        RAISE EXCEPTION 'purpose not registered' USING ERRCODE = 'HB102';
    END IF;
    IF EXISTS (
        SELECT FROM unnest(p_parts) AS wanted (part) WHERE NOT EXISTS (
            SELECT FROM access.decision d JOIN access.policy_set s ON s.digest = d.digest AND s.retired_at IS NULL
            WHERE d.role = v_client.role AND d.purpose = p_purpose AND d.part = wanted.part
              AND d.closed IS NULL AND d.needs_basis)
        AND NOT (v_client.role = 'PROVIDER' AND p_purpose = 'BENEFIT_ELIGIBILITY' AND EXISTS (
            SELECT FROM benefit.programme g
            WHERE g.organisation_id = v_client.organisation_id AND g.approved_at IS NOT NULL AND g.retired_at IS NULL
              AND wanted.part = ANY (g.reads)))
    ) THEN
        RAISE EXCEPTION 'part not open to this role and purpose' USING ERRCODE = 'HB103';
    END IF;
    INSERT INTO consent.request (request_id, organisation_id, client_id, actor, role, purpose, parts, application_ref,
                                 valid_days, max_uses, identity_indexes, name_indexes, asked_at, expires_at)
    VALUES (p_request, v_client.organisation_id, p_client, p_actor, v_client.role, p_purpose, p_parts, p_application,
            p_valid_days, p_max_uses, p_identity, p_name, p_at, p_answer_by);
    INSERT INTO consent.event (request_id, verb, at, by_whom, ev)
    VALUES (p_request, 'requestConsent', p_at, p_client, p_ev);
    RETURN QUERY SELECT v_client.organisation_id, v_client.role,
                        (SELECT d.person_id FROM record.directory d WHERE d.blind_index = ANY (p_identity) LIMIT 1);
END $$;

INSERT INTO audit.event_name (name) VALUES
    ('eligibility:client:asked'), ('programme:operator:proposed'), ('programme:operator:retired'),
    ('programme:security:approved');

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA benefit, access, consent FROM PUBLIC;
GRANT USAGE ON SCHEMA benefit TO hub_app;
GRANT EXECUTE ON FUNCTION benefit.assess TO hub_app;
