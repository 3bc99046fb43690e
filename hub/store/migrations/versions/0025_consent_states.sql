-- Consent in full: every state and step, caps and evidence as data of the database, one condition for "in force", and what
-- the parties to a consent are told of it.

-- The purposes for which a person can be asked, in versions. A retired purpose puts every consent for it out of force.
-- `min_evidence`: the level (L0 to L4, docs/CONSENT.md) below which a consent for the purpose is never in force.
CREATE TABLE consent.purpose (
    purpose        text NOT NULL,
    version        int  NOT NULL CHECK (version > 0),
    max_days       int  NOT NULL CHECK (max_days > 0),
    max_uses       int  NOT NULL CHECK (max_uses > 0),
    fetch_type     text NOT NULL CHECK (fetch_type IN ('ONETIME', 'PERIODIC')),
    data_life_days int  NOT NULL CHECK (data_life_days > 0),
    min_evidence   smallint NOT NULL CHECK (min_evidence BETWEEN 0 AND 4),
    law            text NOT NULL,
    valid_from     timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at     timestamptz,
    PRIMARY KEY (purpose, version)
);
CREATE UNIQUE INDEX purpose_live ON consent.purpose (purpose) WHERE retired_at IS NULL;
INSERT INTO consent.purpose (purpose, version, max_days, max_uses, fetch_type, data_life_days, min_evidence, law) VALUES
    ('LOAN_APPLICATION', 1, 30, 3, 'ONETIME', 90, 2, '征信业管理条例 art. 18; PBoC order 2005-3 art. 12(1)'),
    ('CARD_APPLICATION', 1, 30, 3, 'ONETIME', 90, 2, '征信业管理条例 art. 18; PBoC order 2005-3 art. 12(2)'),
    ('GUARANTOR_REVIEW', 1, 30, 3, 'ONETIME', 90, 2, '征信业管理条例 art. 18; PBoC order 2005-3 art. 12(3)'),
    ('ENTERPRISE_PRINCIPAL_REVIEW', 1, 30, 3, 'ONETIME', 90, 2, '征信业管理条例 art. 18; PBoC order 2005-3 art. 12(5)'),
    ('POST_LOAN_REVIEW', 1, 366, 12, 'PERIODIC', 366, 2, '征信业管理条例 art. 18; PBoC order 2005-3 art. 12(4)'),
    ('BENEFIT_ELIGIBILITY', 1, 366, 12, 'PERIODIC', 1, 2, '征信业管理条例 art. 18; 个人信息保护法 art. 23');

-- The state machine: what a verb does in a state; whatever is not here is refused. hub/consent/states.py is its twin.
-- `IN_FORCE` is the state "given"; whether such a consent is in force at a moment is for consent.lack to say.
CREATE TABLE consent.transition (
    from_state text NOT NULL,
    verb       text NOT NULL,
    to_state   text NOT NULL,
    PRIMARY KEY (from_state, verb)
);
INSERT INTO consent.transition VALUES
    ('REQUESTED', 'captureConsent', 'CAPTURED'),
    ('REQUESTED', 'grantConsent', 'IN_FORCE'),
    ('REQUESTED', 'refuseConsent', 'REFUSED'),
    ('REQUESTED', 'invalidateConsent', 'INVALIDATED'),
    ('CAPTURED', 'grantConsent', 'IN_FORCE'),
    ('CAPTURED', 'refuseConsent', 'REFUSED'),
    ('CAPTURED', 'invalidateConsent', 'INVALIDATED'),
    ('IN_FORCE', 'suspendConsent', 'SUSPENDED'),
    ('IN_FORCE', 'withdrawConsent', 'WITHDRAWN'),
    ('IN_FORCE', 'revokeConsent', 'REVOKED'),
    ('IN_FORCE', 'expireConsent', 'EXPIRED'),
    ('IN_FORCE', 'supersedeConsent', 'SUPERSEDED'),
    ('IN_FORCE', 'invalidateConsent', 'INVALIDATED'),
    ('SUSPENDED', 'resumeConsent', 'IN_FORCE'),
    ('SUSPENDED', 'withdrawConsent', 'WITHDRAWN'),
    ('SUSPENDED', 'revokeConsent', 'REVOKED'),
    ('SUSPENDED', 'expireConsent', 'EXPIRED'),
    ('SUSPENDED', 'supersedeConsent', 'SUPERSEDED'),
    ('SUSPENDED', 'invalidateConsent', 'INVALIDATED');

ALTER TABLE consent.request DROP CONSTRAINT request_state_check,
    ADD CONSTRAINT request_state_check CHECK (state IN ('REQUESTED', 'CAPTURED', 'GIVEN', 'REFUSED', 'INVALIDATED'));
ALTER TABLE consent.event DROP CONSTRAINT event_verb_check,
    ADD CONSTRAINT event_verb_check CHECK (verb IN (
        'requestConsent', 'captureConsent', 'grantConsent', 'refuseConsent', 'suspendConsent', 'resumeConsent',
        'withdrawConsent', 'revokeConsent', 'expireConsent', 'supersedeConsent', 'invalidateConsent')),
    ADD COLUMN cause text;

-- The protected header of the hub's detached JWS over the terms (RFC 7515); none in records of version 1, whose signature
-- stands over a context of its own.
ALTER TABLE consent.record ADD COLUMN protected text;

-- `evidence_level`: how far it is proved that the person agreed. `frozen_cause`: set where the signed record or its
-- evidence no longer proves anything.
ALTER TABLE consent.basis
    ADD COLUMN evidence_level smallint NOT NULL DEFAULT 3 CHECK (evidence_level BETWEEN 0 AND 4),
    ADD COLUMN frozen_cause text,
    DROP CONSTRAINT basis_status_check,
    ADD CONSTRAINT basis_status_check CHECK (status IN (
        'IN_FORCE', 'SUSPENDED', 'WITHDRAWN', 'REVOKED', 'EXPIRED', 'SUPERSEDED', 'INVALIDATED'));
DROP INDEX consent.basis_in_force;
CREATE UNIQUE INDEX basis_in_force ON consent.basis (organisation_id, person_id, purpose, kind) WHERE status = 'IN_FORCE';
CREATE INDEX basis_ends ON consent.basis (expires_at) WHERE status IN ('IN_FORCE', 'SUSPENDED');
CREATE INDEX request_ends ON consent.request (expires_at) WHERE state IN ('REQUESTED', 'CAPTURED');
CREATE INDEX client_organisation ON access.client (organisation_id) WHERE status = 'ACTIVE';

-- In force: the one place. -------------------------------------------------------------------------------------------

-- What apart from state and time must hold of a basis. A set with one row, so that the planner takes it into the
-- statement that asks.
CREATE FUNCTION consent.fitness_of(
    p_kind text, p_purpose text, p_organisation text, p_level smallint, p_frozen text
) RETURNS TABLE (fit boolean)
LANGUAGE sql STABLE AS $$
    SELECT p_frozen IS NULL AND (p_kind <> 'CONSENT' OR (
        EXISTS (SELECT FROM consent.purpose p
                WHERE p.purpose = p_purpose AND p.retired_at IS NULL AND p.min_evidence <= p_level)
        AND EXISTS (SELECT FROM access.client c WHERE c.organisation_id = p_organisation AND c.status = 'ACTIVE')))
$$;

-- Why a basis does not count at an instant; null where it does. Whether uses are left is counted apart, since the count
-- is only sure once it is made (access.use_basis).
CREATE FUNCTION consent.lack(
    p_status text, p_from timestamptz, p_until timestamptz, p_fit boolean, p_at timestamptz
) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_status <> 'IN_FORCE' THEN p_status WHEN p_at < p_from THEN 'NOT_YET'
                WHEN p_at >= p_until THEN 'EXPIRED' WHEN p_fit IS NOT TRUE THEN 'UNFIT' END
$$;

-- How a consent stands: IN_FORCE, or what it lacks (a state, NOT_YET, EXPIRED, UNFIT, USED_UP). No row: no such consent.
CREATE FUNCTION consent.standing(p_consent uuid, p_at timestamptz) RETURNS TABLE (standing text)
LANGUAGE sql STABLE AS $$
    SELECT coalesce(consent.lack(b.status, b.effective_from, b.expires_at, f.fit, p_at),
                    CASE WHEN q.uses >= q.max_uses THEN 'USED_UP' END, 'IN_FORCE')
    FROM consent.basis b
    CROSS JOIN LATERAL consent.fitness_of(b.kind, b.purpose, b.organisation_id, b.evidence_level, b.frozen_cause) f
    LEFT JOIN consent.quota q ON q.basis_id = b.basis_id
    WHERE b.basis_id = p_consent
$$;

-- For whoever holds something that hangs on a consent, such as a token.
CREATE FUNCTION consent.in_force(p_consent uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT s.standing = 'IN_FORCE' FROM consent.standing(p_consent, clock_timestamp()) s), false)
$$;

-- What the parties are told. ------------------------------------------------------------------------------------------

-- Where an organisation (or a source) wants to be told; registered by an operator. `is_local`: a sandbox's own machine.
CREATE TABLE consent.endpoint (
    recipient     text PRIMARY KEY CHECK (recipient ~ '^[A-Za-z0-9._:-]{1,64}$'),
    url           text NOT NULL CHECK (octet_length(url) <= 500),
    is_local      boolean NOT NULL DEFAULT false,
    status        text NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'CLOSED')),
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (is_local OR url LIKE 'https://%')
);

-- One thing that a recipient is told: ids and states, nothing of a record. Sent by the worker to the endpoint, if there is
-- one, until it is taken; kept for the recipient's own pull either way.
CREATE TABLE consent.delivery (
    delivery_id  uuid PRIMARY KEY,
    recipient    text NOT NULL,
    topic        text NOT NULL CHECK (topic IN ('CONSENT', 'CHALLENGE', 'CORRECTION')),
    body         text NOT NULL,
    made_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_try_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    tries        int NOT NULL DEFAULT 0,
    last_code    text,
    delivered_at timestamptz,
    given_up_at  timestamptz
);
CREATE INDEX delivery_waits ON consent.delivery (next_try_at) WHERE delivered_at IS NULL AND given_up_at IS NULL;
CREATE INDEX delivery_pulled ON consent.delivery (recipient, made_at, delivery_id);

CREATE FUNCTION consent.tell(p_recipient text, p_topic text, p_facts json) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_delivery uuid := uuidv7();
BEGIN
    INSERT INTO consent.delivery (delivery_id, recipient, topic, body)
    VALUES (v_delivery, p_recipient, p_topic,
            json_build_object('deliveryId', v_delivery, 'topic', p_topic, 'facts', p_facts)::text);
END $$;
