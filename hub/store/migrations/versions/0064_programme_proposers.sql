-- Whoever proposes a version of a programme signs for it, like whoever approves it: a name alone is nobody.

ALTER TABLE benefit.programme
    ADD COLUMN proposed_key       bytea,
    ADD COLUMN proposed_signature bytea CHECK (octet_length(proposed_signature) = 64),
    ADD CHECK (num_nulls(proposed_key, proposed_signature) IN (0, 2));

-- As in 0044; the proposer's signature never changes either.
CREATE OR REPLACE FUNCTION benefit.keep_programme() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.programme_id, NEW.version, NEW.organisation_id, NEW.terms, NEW.period, NEW.reads, NEW.begins_on, NEW.ends_on,
            NEW.proposed_by, NEW.proposed_at, NEW.proposed_key, NEW.proposed_signature)
           IS NOT DISTINCT FROM
           (OLD.programme_id, OLD.version, OLD.organisation_id, OLD.terms, OLD.period, OLD.reads, OLD.begins_on,
            OLD.ends_on, OLD.proposed_by, OLD.proposed_at, OLD.proposed_key, OLD.proposed_signature)
           AND (OLD.approved_at IS NULL AND OLD.retired_at IS NULL
                OR (NEW.approved_by, NEW.approved_at, NEW.public_key, NEW.signature, NEW.accepted)
                   IS NOT DISTINCT FROM (OLD.approved_by, OLD.approved_at, OLD.public_key, OLD.signature, OLD.accepted))
           AND (OLD.retired_at IS NULL OR NEW.retired_at = OLD.retired_at AND NEW.retired_by = OLD.retired_by) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'versions of programmes are never changed' USING ERRCODE = 'HB001';
END $$;
REVOKE ALL ON FUNCTION benefit.keep_programme FROM PUBLIC;
