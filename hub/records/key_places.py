"""Where the record and the ledger hold sealed texts and blind indexes, for the rotation of the keys.

A new column of either kind is a line here; `tests/store/test_key_places.py` finds the one that was forgotten.
"""

from hub.store.rekey import Place, Sealed

_ROW_ID = "uuid_send(t.row_id)"

RECORD_PLACES: tuple[Place, ...] = (
    Place(
        "record.observation",
        (("county", "bpchar"), ("observation_id", "uuid")),
        (Sealed("payload", "payload", _ROW_ID), Sealed("hint", "hint", _ROW_ID)),
        ("subject_index",),
    ),
    Place(
        "record.person",
        (("county", "bpchar"), ("person_id", "uuid")),
        (Sealed("sealed_identity", "identity", "uuid_send(t.person_id)"),),
        ("identity_index", "first_index", "name_index"),
    ),
    Place(
        "record.membership",
        (("county", "bpchar"), ("membership_id", "uuid")),
        (Sealed("sealed", "identity", "coalesce(uuid_send(t.person_id), convert_to(t.member_no, 'UTF8'))"),),
        ("name_index", "number_index", "identity_index"),
    ),
    Place("ingest.quarantine", (("number", "bigint"),), (Sealed("sealed_row", "quarantine", _ROW_ID),)),
    Place(
        "ingest.quarantine_act",
        (("act_id", "uuid"),),
        (
            Sealed("sealed_reason", "quarantine", "uuid_send(t.act_id)"),
            Sealed("sealed_values", "quarantine", "uuid_send(t.act_id)"),
        ),
    ),
    Place(
        "record.link_decision",
        (("county", "bpchar"), ("decision_id", "uuid")),
        (Sealed("sealed_reason", "decision", "uuid_send(t.decision_id)"),),
        ("identity_index",),
    ),
    Place(
        "record.adverse_statement",
        (("county", "bpchar"), ("statement_id", "uuid")),
        (Sealed("sealed_text", "statement", "uuid_send(t.statement_id)"),),
        ("identity_index",),
    ),
    Place(
        "record.adverse_repair",
        (("county", "bpchar"), ("repair_id", "uuid")),
        (Sealed("sealed", "repair", "uuid_send(t.repair_id)"),),
    ),
    Place(
        "record.roster_event",
        (("event_no", "text"), ("position", "int")),
        (Sealed("sealed_new", "identity", bound_to="new_index"),),
        ("old_index", "new_index"),
    ),
    Place(
        "record.alias",
        (("alias_index", "bytea"),),
        (Sealed("sealed_number", "identity", bound_to="canonical_index"),),
        ("alias_index", "canonical_index"),
        is_directory=True,
    ),
    Place("ingest.held_row", (("row_id", "uuid"),), indexed=("subject_index",)),
    Place("record.furnishing_consent", (("source", "text"), ("consent_id", "text")), indexed=("subject_index",)),
    Place("record.household", (("county", "bpchar"), ("household_id", "uuid")), indexed=("phone_index",)),
    Place(
        "record.past_directory",
        (("blind_index", "bytea"), ("person_id", "uuid"), ("recorded_to", "timestamptz")),
        indexed=("blind_index",),
    ),
    # Last of all: whoever is asked about is found through it, by every version held.
    Place("record.directory", (("blind_index", "bytea"),), indexed=("blind_index",), is_directory=True),
)
"""In the order in which they are brought over."""

NOT_CARRIED_OVER = {
    "record.observation.digest": "hash of the row's content",
    "record.membership.digest": "hash of what the membership says",
    "record.link_decision.hint_index": "hash of what a row says of a person",
    "record.challenge.stated": "hash of a statement",
    "record.adverse_mark.mark": "hash of household and category, gone after three years",
    "ingest.held_row.content_hash": "hash of the row's content",
    "ingest.quarantine_act.fingerprint": "hash of what was asked",
}
"""Keyed hashes of texts that the hub does not keep: their keys outlive the version (hub/store/key_files.py)."""
