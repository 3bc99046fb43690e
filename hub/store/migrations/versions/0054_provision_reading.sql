-- Regulators and auditors read the records of provision page by page; the ids of the log's entries rise with time.
CREATE FUNCTION access.provisions_after(
    p_since timestamptz, p_until timestamptz, p_organisation text, p_after uuid, p_limit int
) RETURNS TABLE (ev uuid, asked_at timestamptz, organisation_id text, asker text, officer text, purpose text,
                 county char(6), person_id uuid, others uuid[], parts text[], basis_id uuid, basis_kind text, reference text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT q.ev, q.asked_at, q.organisation_id, q.asker, q.officer, q.purpose, q.county, q.person_id, q.others, q.parts,
           q.basis_id, b.kind, b.reference
      FROM access.officer_query q LEFT JOIN consent.basis b ON b.basis_id = q.basis_id
     WHERE q.decision <> 'deny' AND (p_since IS NULL OR q.asked_at >= p_since) AND (p_until IS NULL OR q.asked_at < p_until)
       AND (p_organisation IS NULL OR q.organisation_id = p_organisation) AND (p_after IS NULL OR q.ev > p_after)
     ORDER BY q.ev LIMIT p_limit
$$;
CREATE INDEX officer_query_given ON access.officer_query (ev) WHERE decision <> 'deny';
REVOKE ALL ON FUNCTION access.provisions_after FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access.provisions_after TO hub_auditor;
INSERT INTO audit.event_name (name) VALUES ('provision:auditor:listed');
