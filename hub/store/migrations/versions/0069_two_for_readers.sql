-- Two people open, resume and enrol every account by which somebody reads of others: an operator who made himself a data
-- steward, or a bank's officer, alone would have all that these see. Collectors and reviewers of a village, who see its
-- roster and no more, and residents, who are found in the record by number and name, are opened by one.
CREATE OR REPLACE FUNCTION auth.needs_approval(p_account text, p_role text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT p_role NOT IN ('RESIDENT', 'GUARDIAN', 'COLLECTOR', 'VILLAGE_REVIEWER') AND NOT starts_with(p_account, 'sandbox-')
$$;
