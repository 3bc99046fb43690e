-- How what is told reaches whom: by a signed message that the worker sends, and by a list that an organisation pulls.

-- In the order of transactions, so that a page never skips what commits late: a row is listed once no older transaction is
-- under way any more.
ALTER TABLE consent.delivery ADD COLUMN made_in xid8 NOT NULL DEFAULT pg_current_xact_id();
DROP INDEX consent.delivery_pulled;
CREATE INDEX delivery_pulled ON consent.delivery (recipient, made_in, delivery_id);

-- Sources are told of challenges of their rows and of rows that were corrected here, where they have an endpoint: ids and
-- keys of their own, no value.
CREATE FUNCTION consent.tell_challenges() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM consent.tell(c.source, 'CHALLENGE', json_build_object(
        'challengeId', c.challenge_id, 'sourceKey', c.source_key, 'attribute', c.attribute, 'cause', c.cause,
        'dueOn', c.due_on, 'at', c.opened_at))
    FROM added c JOIN consent.endpoint e ON e.recipient = c.source AND e.status = 'ACTIVE';
    RETURN NULL;
END $$;
CREATE TRIGGER challenge_told AFTER INSERT ON record.challenge
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION consent.tell_challenges();

CREATE FUNCTION consent.tell_corrections() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM consent.tell(q.source, 'CORRECTION', json_build_object(
        'correctionId', a.act_id, 'sourceKey', q.source_key, 'fields', a.fields, 'at', a.acted_at))
    FROM added a JOIN ingest.quarantine q ON q.number = a.number
    JOIN consent.endpoint e ON e.recipient = q.source AND e.status = 'ACTIVE'
    WHERE a.act = 'REPAIRED';
    RETURN NULL;
END $$;
CREATE TRIGGER correction_told AFTER INSERT ON ingest.quarantine_act
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION consent.tell_corrections();

-- What is to be sent now, claimed for two minutes: another worker, or this one after a crash, tries again after that.
CREATE FUNCTION consent.due_deliveries(p_at timestamptz, p_limit int)
RETURNS TABLE (delivery_id uuid, url text, is_local boolean, body text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE consent.delivery d SET next_try_at = p_at + interval '2 minutes', tries = d.tries + 1
    FROM (SELECT w.delivery_id, e.url, e.is_local
          FROM consent.delivery w JOIN consent.endpoint e ON e.recipient = w.recipient AND e.status = 'ACTIVE'
          WHERE w.delivered_at IS NULL AND w.given_up_at IS NULL AND w.next_try_at <= p_at
          ORDER BY w.next_try_at LIMIT p_limit FOR UPDATE OF w SKIP LOCKED) due
    WHERE d.delivery_id = due.delivery_id
    RETURNING d.delivery_id, due.url, due.is_local, d.body
$$;

-- What came of a try. A failed one waits twice as long as the one before, from a minute to six hours, sixteen times.
CREATE FUNCTION consent.note_delivery(p_delivery uuid, p_code text, p_at timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE consent.delivery d
    SET last_code = p_code,
        delivered_at = CASE WHEN p_code = 'OK' THEN p_at END,
        given_up_at = CASE WHEN p_code <> 'OK' AND d.tries >= 16 THEN p_at END,
        next_try_at = p_at + least(interval '1 minute' * (2 ^ least(d.tries - 1, 10))::int, interval '6 hours')
    WHERE d.delivery_id = p_delivery AND d.delivered_at IS NULL
$$;

-- What an organisation is told, in order, for its own system to pull. `p_transaction`, `p_delivery`: after which.
CREATE FUNCTION consent.deliveries_of(
    p_client text, p_token text, p_transaction text, p_delivery uuid, p_limit int
) RETURNS TABLE (made_in text, delivery_id uuid, body text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_organisation text;
BEGIN
    SELECT c.organisation_id INTO v_organisation FROM access.client c
    WHERE c.client_id = p_client AND c.status = 'ACTIVE'
      AND NOT EXISTS (SELECT FROM auth.revoked_token t WHERE t.jti = p_token);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'client may not ask' USING ERRCODE = 'HB101';
    END IF;
    RETURN QUERY
    SELECT d.made_in::text, d.delivery_id, d.body FROM consent.delivery d
    WHERE d.recipient = v_organisation AND d.made_in < pg_snapshot_xmin(pg_current_snapshot())
      AND (d.made_in, d.delivery_id) > (p_transaction::xid8, p_delivery)
    ORDER BY d.made_in, d.delivery_id LIMIT p_limit;
END $$;

INSERT INTO audit.event_name (name) VALUES ('endpoint:operator:changed');
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA consent FROM PUBLIC;
GRANT EXECUTE ON FUNCTION consent.deliveries_of TO hub_app;
GRANT EXECUTE ON FUNCTION consent.due_deliveries, consent.note_delivery TO hub_ingest;
