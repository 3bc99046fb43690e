"""The household record as a data steward sees it beside its sources (docs/CONTRACTS.md 2.7). Pure."""

from datetime import date
from typing import Any

from hub.core.clock import iso
from hub.core.identifiers import mask_id_number
from hub.core.names import FactStatus, LinkState
from hub.records.folding.fold import Conflict, Fact, HouseholdRecord, Member, SeenConsent

SCHEMA = "hub.household/1"
"""Name and version of the form."""


def shown_record(record: HouseholdRecord, query: int) -> dict[str, Any]:
    """One record: facts exactly as received, values of locked and suppressed ones null. ``query`` counts from 1."""
    household = record.household
    return {
        "schema": SCHEMA,
        "query": query,
        "household": {
            "household_no": household.household_no,
            "village_code": household.village_code,
            "group_no": household.group_no,
            "status": household.status,
            "predecessors": list(household.predecessors),
            "successors": list(household.successors),
        },
        "members": [_member(member) for member in record.members],
        "minors": record.minors,
        "consents": [_consent(member_no, consent, record.day) for member_no, consent in record.consents],
        "facts": [_fact(fact) for fact in record.facts],
        "conflicts": [_conflict(conflict) for conflict in record.conflicts],
    }


def not_found(query: int) -> dict[str, Any]:
    """The answer for a number behind which no current household of an adult stands, whatever the cause."""
    return {"schema": SCHEMA, "query": query, "error": "NOT_FOUND"}


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _member(member: Member) -> dict[str, Any]:
    return {
        "member_no": member.member_no,
        "name": member.name,
        "id_masked": mask_id_number(member.id_number) if member.id_number else None,
        "relation": member.relation,
        "joined_on": _day(member.joined_on),
        "status": "ACTIVE" if member.died_on is None else "DECEASED",
        "deceased_on": _day(member.died_on),
        "overlap": member.overlap,
    }


def _consent(member_no: str, consent: SeenConsent, day: date) -> dict[str, Any]:
    return {
        "source": consent.source,
        "consent_id": consent.consent_id,
        "member_no": member_no,
        "status": consent.status(day),
        "granted_on": _day(consent.granted_on),
        "expires_on": _day(consent.expires_on),
    }


def _fact(fact: Fact) -> dict[str, Any]:
    seen = fact.seen
    return {
        "category": seen.category.value,
        "source": seen.source,
        "source_key": seen.source_key,
        "source_version": seen.version,
        "member_no": fact.member_no,
        "link": (seen.link or LinkState.ID).value,
        "status": fact.status.value,
        "adverse": seen.adverse,
        "valid_from": _day(seen.valid_from),
        "valid_to": _day(seen.valid_to),
        "source_time": None if seen.source_time is None else iso(seen.source_time),
        "recorded_at": iso(seen.recorded_from),
        "value": dict(seen.value) if fact.status is FactStatus.CURRENT else None,
    }


def _conflict(conflict: Conflict) -> dict[str, Any]:
    return {"type": conflict.type, "member_no": conflict.member_no, "source": conflict.source or None}
