-- Roster rows are looked up by their keys in the ledger; while a prefecture is loaded for the first time the planner
-- must know how large it has become.
GRANT MAINTAIN ON ingest.held_row TO hub_ingest;
