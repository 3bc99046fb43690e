"""What rows state about the attributes that several sources can state (docs/PRECEDENCE.md). Pure.

A statement stands in the section of the very part that it belongs to, and says nothing that this part does not show: so
whoever is granted a part has its statements, and nobody else learns of them.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from hub.core.clock import day_of, days_after, iso, midnight
from hub.core.disclosure import Part
from hub.core.names import Attribute, Category, Form
from hub.records.folding.fold import Fact, Member
from hub.records.folding.precedence import precedence
from hub.records.folding.resolution import Statement

EMPLOYEE_TYPES = frozenset({"110", "210", "310", "410"})
"""Insurance into which an employer enrols: employee pension, unemployment, employee medical, work injury."""

RESIDENT_TYPES = frozenset({"170", "390"})
"""Insurance of residents without employer: pension, medical."""

BELOW_THE_LINE = frozenset({"LOW_INCOME", "FIVE_GUARANTEE"})
"""Reliefs that are given only below the line of low income (社会救助暂行办法 art. 9, 14)."""

_NAME, _MEMBERSHIP, _EMPLOYMENT = Attribute.NAME, Attribute.MEMBERSHIP, Attribute.EMPLOYMENT
_INCOME, _ARREARS = Attribute.INCOME, Attribute.ARREARS

CARRIED: dict[tuple[Category, Form], frozenset[Attribute]] = {
    (Category.IDENTITY, Form.VALUE): frozenset({_NAME, _MEMBERSHIP}),
    (Category.TAX_REGISTRATION, Form.VALUE): frozenset({_NAME, _EMPLOYMENT}),
    (Category.TAX_ARREARS, Form.YES_NO): frozenset({_ARREARS}),
    (Category.TAX_BAND, Form.BAND): frozenset({_INCOME}),
    (Category.SOCIAL_INSURANCE, Form.VALUE): frozenset({_NAME, _EMPLOYMENT}),
    (Category.CLINIC_ARREARS, Form.VALUE): frozenset({_NAME, _ARREARS}),
    (Category.CLINIC_ARREARS, Form.BAND): frozenset({_NAME, _ARREARS}),
    (Category.CIVIL_RELIEF, Form.VALUE): frozenset({_INCOME}),
    (Category.BANK_LINE, Form.VALUE): frozenset({_NAME}),
    (Category.BANK_LOAN, Form.VALUE): frozenset({_NAME, _ARREARS}),
}
"""Which statements the section of a part carries. Totals of other lenders and yes or no about relief carry none."""

_NAME_KINDS = {
    Category.TAX_REGISTRATION: "tax",
    Category.TAX_GRADE: "tax",
    Category.TAX_ARREARS: "tax",
    Category.TAX_BAND: "tax",
    Category.SOCIAL_INSURANCE: "social",
    Category.CLINIC_ARREARS: "clinic",
    Category.BANK_LINE: "bank",
    Category.BANK_LOAN: "bank",
}


Written = tuple[Attribute, str, str, int, int]
"""A statement in a section: attribute, kind, value, version of the rule, place of its origin in the section."""


class Told(NamedTuple):
    """One thing that a row states."""

    attribute: Attribute
    kind: str
    value: str


def parts_carrying(attribute: Attribute) -> frozenset[Part]:
    """The parts whose sections carry statements about an attribute."""
    return frozenset(Part(*part) for part, carried in CARRIED.items() if attribute in carried)


def told_by(fact: Fact, day: date) -> Sequence[Told]:
    """Everything that a row states on ``day``, its name first."""
    seen = fact.seen
    kind = _NAME_KINDS.get(seen.category)
    beside = told_beside_name(fact, day)
    return (Told(_NAME, kind, seen.name), *beside) if kind is not None and seen.name else beside


def told_beside_name(fact: Fact, day: date) -> Sequence[Told]:
    """What a row states on ``day``, other than a name."""
    reader = _READERS.get(fact.seen.category)
    told = reader(fact, day) if reader is not None else None
    return () if told is None else (told,)


def _registration(fact: Fact, _: date) -> Told | None:
    is_trading = fact.seen.value.get("taxpayer_status") == "NORMAL"
    return Told(_EMPLOYMENT, "operator", "SELF_EMPLOYED") if is_trading else None


_EMPLOYEE = Told(_EMPLOYMENT, "employee", "EMPLOYEE")
_ENDED = Told(_EMPLOYMENT, "ended", "NOT_EMPLOYEE")
_RESIDENT = Told(_EMPLOYMENT, "resident", "NOT_EMPLOYEE")


def _insurance(fact: Fact, _: date) -> Told | None:
    kind, is_active = fact.seen.value.get("insurance_type"), fact.seen.value.get("enrol_status") == "ACTIVE"
    if kind in EMPLOYEE_TYPES:
        return _EMPLOYEE if is_active else _ENDED
    return _RESIDENT if kind in RESIDENT_TYPES and is_active else None


def _band(fact: Fact, _: date) -> Told | None:
    value = fact.seen.value
    band = value.get("declared_income_band") if value.get("authorisation_no") else None
    return Told(_INCOME, "declared", band) if band else None


def _relief(fact: Fact, day: date) -> Told | None:
    seen = fact.seen
    in_force = (seen.valid_from is None or seen.valid_from <= day) and (seen.valid_to is None or day <= seen.valid_to)
    tells = in_force and seen.value.get("relief_type") in BELOW_THE_LINE
    return Told(_INCOME, "relief", "BELOW_RELIEF_LINE") if tells else None


_OPEN = Told(_ARREARS, "open", "OPEN")
_PLANNED = Told(_ARREARS, "planned", "PLANNED")
_SETTLED = Told(_ARREARS, "settled", "SETTLED")


def _tax_arrears(fact: Fact, _: date) -> Told | None:
    return _OPEN if fact.seen.valid_to is None else _SETTLED


def _clinic(fact: Fact, day: date) -> Told | None:
    value = fact.seen.value
    if value["settled_date"] is not None or Decimal(value["arrears_balance"]) == 0:
        return _SETTLED
    until = value["repay_plan_until"]
    return _PLANNED if until is not None and date.fromisoformat(until) >= day else _OPEN


def _loan(fact: Fact, _: date) -> Told | None:
    """A loan that runs without anything overdue states nothing about arrears."""
    value = fact.seen.value
    if fact.seen.valid_to is not None:
        return _SETTLED
    is_written_off = value.get("writeoff_date") is not None and value.get("adverse_ended_on") is None
    return _OPEN if value.get("overdue_days") or is_written_off else None


_READERS = {
    Category.TAX_REGISTRATION: _registration,
    Category.TAX_ARREARS: _tax_arrears,
    Category.TAX_BAND: _band,
    Category.SOCIAL_INSURANCE: _insurance,
    Category.CLINIC_ARREARS: _clinic,
    Category.CIVIL_RELIEF: _relief,
    Category.BANK_LOAN: _loan,
}


def dated(
    attribute: Attribute, kind: str, source_time: datetime | None, begins: date | None, ends: date | None
) -> datetime | None:
    """The instant by which a statement of this kind is recent or old, by the newest rule."""
    dated_by = _dated_by()[attribute, kind]
    if dated_by == "SOURCE_TIME":
        return source_time
    day = begins if dated_by == "VALID_FROM" else ends
    return None if day is None else midnight(day)


@lru_cache(maxsize=1)
def _dated_by() -> dict[tuple[Attribute, str], str]:
    return {(a, kind.name): kind.dated for a, rule in precedence().newest.items() for kind in rule.kinds.values()}


def statements_in(part: tuple[Category, Form], facts: Sequence[Fact], day: date) -> list[Written]:
    """The statements of the section of ``part``, each with the place of its row in the section's list.

    One for each kind and value, the most recent; of declared income the newest period only.
    """
    carried = CARRIED[part]
    best: dict[Told, int] = {}
    for place, fact in enumerate(facts):
        for told in told_by(fact, day):
            if told.attribute in carried:
                known = best.get(told)
                if known is None or _recent(told, fact) > _recent(told, facts[known]):
                    best[told] = place
    if _INCOME in carried and len(best) > 1:
        newest = max(_recent(told, facts[place]) for told, place in best.items())
        best = {told: place for told, place in best.items() if _recent(told, facts[place]) == newest}
    return [_written(told, place) for told, place in best.items()]


def _recent(told: Told, fact: Fact) -> datetime:
    seen = fact.seen
    at = dated(told.attribute, told.kind, seen.source_time, seen.valid_from, seen.valid_to)
    return _NEVER if at is None else at


_NEVER = datetime.min.replace(tzinfo=UTC)


def _written(told: Told, place: int) -> Written:
    return (told.attribute, told.kind, told.value, _newest_versions()[told.attribute], place)


@lru_cache(maxsize=1)
def _newest_versions() -> dict[Attribute, int]:
    return {attribute: rule.version for attribute, rule in precedence().newest.items()}


_HERE = Told(_MEMBERSHIP, "roster", "THIS_HOUSEHOLD")


def yes_no_statements(facts: Sequence[Fact]) -> dict[str, Any]:
    """What the yes or no about tax arrears states: when it was last told, and nothing else of the case behind it."""
    told = _OPEN if any(fact.seen.valid_to is None for fact in facts) else _SETTLED
    latest = max(facts, key=lambda fact: 0.0 if fact.seen.source_time is None else fact.seen.source_time.timestamp())
    origin = _origin(latest.seen.source, latest.seen.source_time, latest.seen.recorded_from)
    return {"statements": [_written(told, 0)], "origins": [origin]}


def identity_statements(member: Member) -> dict[str, Any]:
    """What the roster states: the name, and the membership, with those in other households that it holds as well."""
    if not member.elsewhere:
        told = [_written(Told(_NAME, "roster", member.name), 0)] if member.name else []
        origin = _origin(member.source, member.changed_at, member.recorded_from, member.joined_on)
        return {"statements": [*told, _written(_HERE, 0)], "origins": [origin]}
    stays = stays_of(member)
    own = next(place for place, (_, stay) in enumerate(stays) if stay.member_no == member.member_no)
    told = [_written(Told(_NAME, "roster", member.name), own)] if member.name else []
    told += [_written(Told(_MEMBERSHIP, "roster", value), place) for place, (value, _) in enumerate(stays)]
    return {
        "statements": told,
        "origins": [_origin(stay.source, stay.changed_at, stay.recorded_from, stay.joined_on) for _, stay in stays],
    }


class Stay(NamedTuple):
    """One current membership of a person."""

    member_no: str
    joined_on: date
    source: str
    changed_at: datetime
    recorded_from: datetime


def stays_of(member: Member) -> list[tuple[str, Stay]]:
    """All current memberships of a person, told apart by whether they are this household's; by member number."""
    own = Stay(member.member_no, member.joined_on, member.source, member.changed_at, member.recorded_from)
    found = [("THIS_HOUSEHOLD", own)]
    for other in member.elsewhere:
        stay = Stay(other.member_no, other.valid_from, other.source, other.changed_at, other.recorded_from)
        is_here = other.household_id == member.household_id
        found.append(("THIS_HOUSEHOLD" if is_here else "OTHER_HOUSEHOLD", stay))
    return sorted(found, key=lambda each: each[1].member_no)


def _origin(
    source: str, source_time: datetime | None, recorded_at: datetime, valid_from: date | None = None
) -> dict[str, str]:
    """The provenance of a statement that stands in no list, without what is null in it."""
    origin = {"source": source, "recordedAt": iso(recorded_at)}
    if source_time is not None:
        origin["sourceTime"] = iso(source_time)
    if valid_from is not None:
        origin["validFrom"] = valid_from.isoformat()
    return origin


def read_statements(attribute: Attribute, body: dict[str, Any]) -> Iterable[tuple[Statement, dict[str, Any]]]:
    """The statements about an attribute in the body of a section, each with its provenance."""
    for of, kind, value, version, place in body.get("statements", ()):
        if of == attribute:
            told = body["origins"][place] if "origins" in body else body["items"][place]["provenance"]
            origin = _NOTHING | told
            dated_by = precedence().versions[attribute, version].kinds[kind].dated
            yield Statement(attribute, kind, value, version, origin["source"], _instant(origin, dated_by)), origin


_NOTHING: dict[str, Any] = dict.fromkeys(
    ("source", "sourceTime", "recordedAt", "sourceVersion", "validFrom", "validTo")
)


def _instant(origin: dict[str, Any], dated_by: str) -> datetime | None:
    match dated_by:
        case "SOURCE_TIME":
            return datetime.fromisoformat(origin["sourceTime"]) if origin["sourceTime"] else None
        case "VALID_FROM":
            return midnight(date.fromisoformat(origin["validFrom"])) if origin["validFrom"] else None
        case _:
            return midnight(date.fromisoformat(origin["validTo"])) if origin["validTo"] else None


def stale_on(statement: Statement) -> date | None:
    """The first day on which the statement is out of date; ``None`` if it never is."""
    limit = precedence().newest[statement.attribute].kinds[statement.kind].stale_after
    return None if limit is None or statement.at is None else days_after(day_of(statement.at), limit + 1)
