"""Ready-made sections of a household record: what may leave, one text per person, category, form and owner. Pure.

Never in a section: facts whose link nobody confirmed, locked or suppressed values, minors, adverse items whose time is
over or that were repaired (hub/records/adverse_items/adverse.py), a whole ID number, a bank's contract outside its own
section.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from operator import itemgetter
from typing import Any
from uuid import UUID

import orjson

from hub.core.areas import county_name, township_name
from hub.core.clock import day_of, days_after, full_years, iso
from hub.core.identifiers import check_id_number, mask_id_number
from hub.core.names import Category, Form, QuarantineReason
from hub.records.adverse_items.adverse import ended_on, is_over, last_day, regime_of
from hub.records.folding.fold import Fact, HouseholdRecord, Member, birthday
from hub.records.folding.statements import CARRIED, identity_statements, statements_in, yes_no_statements

NOBODY = UUID(int=0)
"""The person id of sections about the household itself."""

ANY_BANK = "bank"
"""Stands for a bank's own source name where other lenders read: whose customer a person is, is the bank's to know."""

AGE_BANDS = ((25, "18-24"), (35, "25-34"), (45, "35-44"), (55, "45-54"), (65, "55-64"))
"""Upper ends (exclusive, completed years) and names; from 65 on it is ``65+``."""


@dataclass(frozen=True, slots=True)
class Section:
    """One section, not yet stored. ``changes_on``: the day from which time alone makes it wrong.

    ``expires_on``: the first day on which it may not leave any more, because an adverse item in it is over.
    """

    person_id: UUID
    category: Category
    form: Form
    owner: str
    body: str
    source: str
    source_time: datetime | None
    changes_on: date | None
    expires_on: date | None = None

    @property
    def digest(self) -> bytes:
        """SHA-256 of the body."""
        return hashlib.sha256(self.body.encode()).digest()


UsableFacts = Mapping[str | None, Sequence[Fact]]
"""Facts that others than a data steward may see, by member number; ``None``: of the household itself."""


def usable_facts(record: HouseholdRecord) -> UsableFacts:
    """Facts that are linked, neither locked nor suppressed, and not past their time."""
    usable: defaultdict[str | None, list[Fact]] = defaultdict(list)
    for fact in record.facts:
        if fact.is_shown and not (fact.seen.adverse and is_over(fact.seen, record.day)):
            usable[fact.member_no].append(fact)
    return usable


def sections_of(record: HouseholdRecord, usable: UsableFacts | None = None) -> list[Section]:
    """All sections of one record, those of the household first. ``usable``: its :func:`usable_facts`, if at hand."""
    usable = usable_facts(record) if usable is None else usable
    sections = [_roster(record), *_relief(usable.get(None, ()), record)]
    done: set[UUID] = set()
    for member in record.members:
        if member.person_id is None or member.person_id in done:
            continue
        done.add(member.person_id)
        sections.append(_identity(member, record.day))
        facts = usable.get(member.member_no)
        if facts:
            sections += _person_sections(member.person_id, facts, record.day)
        sections += _conflicts(record, member)
    return sections


def next_change(record: HouseholdRecord, sections: Iterable[Section]) -> date | None:
    """The first day on which the household must be folded again although nothing new was delivered."""
    days = [section.changes_on for section in sections if section.changes_on is not None]
    days += [
        fact.seen.valid_from for fact in record.facts if fact.seen.valid_from and fact.seen.valid_from > record.day
    ]
    if record.next_of_age is not None:
        days.append(record.next_of_age)
    return min(days, default=None)


def _section(
    person_id: UUID,
    part: tuple[Category, Form],
    body: dict[str, Any],
    facts: Sequence[Fact],
    changes: Iterable[date | None] = (),
    *,
    owner: str = "",
    day: date,
) -> Section:
    times = [fact.seen.source_time for fact in facts if fact.seen.source_time is not None]
    ends = [end for end in (_day_after(last_day(fact.seen)) for fact in facts if fact.seen.adverse) if end is not None]
    days = [change for change in changes if change is not None and change > day]
    days += ends
    return Section(
        person_id=person_id,
        category=part[0],
        form=part[1],
        owner=owner,
        body=orjson.dumps(body).decode(),
        source=",".join(sorted({fact.seen.source for fact in facts})),
        source_time=max(times, default=None),
        changes_on=min(days, default=None),
        expires_on=min(ends, default=None),
    )


def _provenance(fact: Fact, *, with_range: bool = True) -> dict[str, Any]:
    seen = fact.seen
    told = {
        "source": seen.source,
        "sourceTime": iso(seen.source_time) if seen.source_time is not None else None,
        "recordedAt": iso(seen.recorded_from),
        "sourceVersion": seen.version,
        "validFrom": seen.valid_from.isoformat() if with_range and seen.valid_from is not None else None,
        "validTo": seen.valid_to.isoformat() if with_range and seen.valid_to is not None else None,
    }
    return told | {"repaired": True} if seen.is_repaired else told


def _roster(record: HouseholdRecord) -> Section:
    household = record.household
    body = {
        "countyCode": household.village_code[:6],
        "countyName": county_name(household.village_code),
        "townshipName": household.township_name or township_name(household.village_code),
        "villageName": household.village_name,
        "villageCode": household.village_code,
        "groupNo": household.group_no,
        "size": record.size,
        "minors": record.minors,
        "status": household.status,
    }
    text = orjson.dumps(body).decode()
    return Section(
        NOBODY, Category.ROSTER, Form.VALUE, "", text, household.source, household.changed_at, record.next_of_age
    )


def age_band(years: int) -> tuple[str, int | None]:
    """The band of an adult's age in completed years, and the age at which it ends (exclusive; the last never does)."""
    return next(((name, end) for end, name in AGE_BANDS if years < end), ("65+", None))


def _identity(member: Member, day: date) -> Section:
    assert member.person_id is not None
    years = full_years(member.birth_date, day)
    band, band_ends = age_band(years)
    body = {
        "name": member.name,
        "maskedIdNumber": mask_id_number(member.id_number) if member.id_number else None,
        "relation": member.relation,
        "ageBand": band,
        "status": "DECEASED" if member.died_on is not None else "ACTIVE",
    }
    return Section(
        member.person_id,
        Category.IDENTITY,
        Form.VALUE,
        "",
        orjson.dumps(body | identity_statements(member)).decode(),
        member.source,
        member.changed_at,
        None if band_ends is None else birthday(member.birth_date, band_ends),
    )


def _person_sections(person_id: UUID, facts: Sequence[Fact], day: date) -> list[Section]:
    by_category: defaultdict[Category, list[Fact]] = defaultdict(list)
    for fact in facts:
        by_category[fact.seen.category].append(fact)
    sections = []
    for category, reported in by_category.items():
        for form, item in _LISTS_OF.get(category, ()):
            listed = [fact for fact in reported if _may_band(fact)] if form is Form.BAND else reported
            if listed:
                items = [item(fact, day) | {"provenance": _provenance(fact)} for fact in listed]
                body = _listing((category, form), items, listed, day)
                ends = map(_plan_ends, listed) if category is Category.CLINIC_ARREARS else ()
                sections.append(_section(person_id, (category, form), body, listed, ends, day=day))
    arrears = by_category.get(Category.TAX_ARREARS)
    if arrears:
        value = any(fact.seen.valid_to is None for fact in arrears)
        is_owing = {"value": value} | yes_no_statements(arrears)
        sections.append(_section(person_id, (Category.TAX_ARREARS, Form.YES_NO), is_owing, arrears, day=day))
    if Category.BANK_LINE in by_category or Category.BANK_LOAN in by_category:
        sections += _bank_sections(person_id, by_category, day)
    adverse = [fact for fact in facts if fact.seen.adverse]
    if adverse:
        body = {"items": [_adverse(fact) for fact in adverse]}
        sections.append(_section(person_id, (Category.ADVERSE, Form.VALUE), body, adverse, day=day))
    return sections


def _listing(
    part: tuple[Category, Form], items: list[dict[str, Any]], facts: Sequence[Fact], day: date
) -> dict[str, Any]:
    """The body of a list, with what its rows state about the attributes of docs/PRECEDENCE.md."""
    statements = statements_in(part, facts, day) if part in CARRIED else []
    return {"items": items, "statements": statements} if statements else {"items": items}


def _may_band(fact: Fact) -> bool:
    """Tax bands may be passed on only with the taxpayer's written authorisation (tax interface, section 3)."""
    return fact.seen.category is not Category.TAX_BAND or bool(fact.seen.value.get("authorisation_no"))


def _plan_ends(fact: Fact) -> date | None:
    until = fact.seen.value.get("repay_plan_until")
    return _day_after(date.fromisoformat(until)) if until else None


def _day_after(day: date | None) -> date | None:
    """The first day after a last one; ``None`` where there is none."""
    return None if day is None else days_after(day, 1)


def _registration(fact: Fact, day: date) -> dict[str, Any]:
    value = fact.seen.value
    taxpayer = value["taxpayer_id"]
    is_number = taxpayer is not None and not isinstance(check_id_number(taxpayer, day), QuarantineReason)
    return {
        "taxpayerId": mask_id_number(taxpayer) if is_number else taxpayer,
        "taxpayerName": value["taxpayer_name"],
        "taxpayerStatus": value["taxpayer_status"],
    }


def _clinic_band(fact: Fact, day: date) -> dict[str, Any]:
    value = fact.seen.value
    until = value["repay_plan_until"]
    is_settled = value["settled_date"] is not None
    return {
        "balanceBand": balance_band(Decimal(value["arrears_balance"])),
        "dueDate": value["due_date"],
        "planInForce": not is_settled and until is not None and date.fromisoformat(until) >= day,
        "settled": is_settled,
    }


def balance_band(balance: Decimal) -> str:
    """The band in which a bank sees a clinic balance in yuan."""
    if balance <= 0:
        return "0"
    if balance < 500:
        return "<500"
    if balance < 2_000:
        return "500-2000"
    return "2000-10000" if balance <= 10_000 else ">10000"


def _picked(names: dict[str, str]) -> Callable[[Fact, date], dict[str, Any]]:
    """Takes values of a fact under other names: ``{name in the section: name in the value}``."""
    shown, kept = tuple(names), itemgetter(*names.values())
    return lambda fact, day: dict(zip(shown, kept(fact.seen.value), strict=True))


_LISTS: dict[tuple[Category, Form], Callable[[Fact, date], dict[str, Any]]] = {
    (Category.TAX_REGISTRATION, Form.VALUE): _registration,
    (Category.TAX_GRADE, Form.VALUE): _picked({"gradeYear": "grade_year", "grade": "tax_credit_grade"}),
    (Category.TAX_ARREARS, Form.VALUE): lambda fact, day: {
        "arrearsNo": fact.seen.value["arrears_no"],
        "amount": fact.seen.value["arrears_amount"],
        "noticeDate": fact.seen.value["notice_date"],
        "clearedOn": fact.seen.valid_to.isoformat() if fact.seen.valid_to is not None else None,
    },
    (Category.TAX_BAND, Form.BAND): lambda fact, day: {
        "periodFrom": fact.seen.valid_from.isoformat() if fact.seen.valid_from is not None else None,
        "periodTo": fact.seen.valid_to.isoformat() if fact.seen.valid_to is not None else None,
        "taxPaidBand": fact.seen.value["tax_paid_band"],
        "declaredIncomeBand": fact.seen.value["declared_income_band"],
        "authorisationNo": fact.seen.value["authorisation_no"],
    },
    (Category.SOCIAL_INSURANCE, Form.VALUE): _picked(
        {
            "insuranceType": "insurance_type",
            "enrolStatus": "enrol_status",
            "paidMonths": "paid_months",
            "arrearsMonths": "arrears_months",
            "latestPeriod": "latest_period",
            "employerUscc": "employer_uscc",
        }
    ),
    (Category.CLINIC_ARREARS, Form.VALUE): _picked(
        {
            "amountDue": "amount_due",
            "amountPaid": "amount_paid",
            "arrearsBalance": "arrears_balance",
            "billDate": "bill_date",
            "dueDate": "due_date",
            "repayPlanUntil": "repay_plan_until",
            "settledDate": "settled_date",
        }
    ),
    (Category.CLINIC_ARREARS, Form.BAND): _clinic_band,
}
"""How one fact is written in the lists of a person."""

_LISTS_OF = {
    category: tuple((form, item) for (of, form), item in _LISTS.items() if of is category) for category, _ in _LISTS
}


def _relief(facts: Sequence[Fact], record: HouseholdRecord) -> list[Section]:
    """Civil affairs keeps the register of reliefs, so a household on its roster without one receives none."""
    day = record.day
    reliefs = [fact for fact in facts if fact.seen.category is Category.CIVIL_RELIEF]
    if not reliefs:
        text, household = orjson.dumps({"value": False}).decode(), record.household
        part = (Category.CIVIL_RELIEF, Form.YES_NO)
        return [Section(NOBODY, *part, "", text, household.source, household.changed_at, None)]
    item = _picked(
        {
            "reliefType": "relief_type",
            "monthlyAmount": "monthly_amount",
            "householdSize": "relief_household_size",
        }
    )
    items = [item(fact, day) | {"provenance": _provenance(fact)} for fact in reliefs]
    listed = _listing((Category.CIVIL_RELIEF, Form.VALUE), items, reliefs, day)
    in_force = {"value": any(_is_in_force(fact, day) for fact in reliefs)}
    days = [fact.seen.valid_from for fact in reliefs]
    days += [_day_after(fact.seen.valid_to) for fact in reliefs]
    return [
        _section(NOBODY, (Category.CIVIL_RELIEF, Form.VALUE), listed, reliefs, days, day=day),
        _section(NOBODY, (Category.CIVIL_RELIEF, Form.YES_NO), in_force, reliefs, days, day=day),
    ]


def _is_in_force(fact: Fact, day: date) -> bool:
    begins, ends = fact.seen.valid_from, fact.seen.valid_to
    return (begins is None or begins <= day) and (ends is None or day <= ends)


_LINE = _picked({"lineNo": "line_no", "amount": "line_amount"})
_LOAN = _picked(
    {
        "contractNo": "contract_no",
        "receiptNo": "receipt_no",
        "productCode": "product_code",
        "principal": "principal",
        "balance": "balance",
        "overdueAmount": "overdue_amount",
        "overdueDays": "overdue_days",
        "maturityDate": "maturity_date",
        "ratePercent": "rate_nominal",
        "fiveClass": "five_class",
        "repayStatus24m": "repay_status_24m",
        "guarantorCount": "guarantor_count",
    }
)


def _bank_sections(person_id: UUID, by_category: dict[Category, list[Fact]], day: date) -> list[Section]:
    sections = []
    for owner, lines in _by_owner(by_category.get(Category.BANK_LINE, ())):
        items = [
            _LINE(line, day)
            | {"expiresOn": line.seen.valid_to.isoformat() if line.seen.valid_to is not None else None}
            | {"provenance": _provenance(line)}
            for line in lines
        ]
        part = (Category.BANK_LINE, Form.VALUE)
        sections.append(_section(person_id, part, _listing(part, items, lines, day), lines, owner=owner, day=day))
        live = [line for line in lines if _is_in_force(line, day)]
        if live:
            amount = {"amount": str(sum(Decimal(line.seen.value["line_amount"]) for line in live))}
            ends = [_day_after(line.seen.valid_to) for line in live]
            part = (Category.BANK_LINE, Form.TOTAL)
            sections.append(_section(person_id, part, amount, live, ends, owner=owner, day=day))
    for owner, loans in _by_owner(by_category.get(Category.BANK_LOAN, ())):
        items = [_LOAN(loan, day) | {"provenance": _provenance(loan)} for loan in loans]
        part = (Category.BANK_LOAN, Form.VALUE)
        sections.append(_section(person_id, part, _listing(part, items, loans, day), loans, owner=owner, day=day))
        owed = [loan for loan in loans if loan.seen.valid_to is None]
        if owed:
            total: dict[str, Any] = {
                "balance": str(sum(Decimal(loan.seen.value["balance"]) for loan in owed)),
                "loans": len(owed),
                "worstClass": max(loan.seen.value["five_class"] for loan in owed),
            }
            part = (Category.BANK_LOAN, Form.TOTAL)
            sections.append(_section(person_id, part, total, owed, owner=owner, day=day))
    return sections


def _by_owner(facts: Iterable[Fact]) -> list[tuple[str, list[Fact]]]:
    owners: defaultdict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        owners[fact.seen.owner].append(fact)
    return sorted(owners.items())


def _adverse(fact: Fact) -> dict[str, Any]:
    """An adverse item without anything of the contract: not even the day on which a loan was paid out."""
    is_loan = fact.seen.category is Category.BANK_LOAN
    since = _loan_trouble_since(fact) if is_loan else fact.seen.valid_from
    ended, expires, note = ended_on(fact.seen), last_day(fact.seen), fact.seen.note
    return {
        "itemId": note.item_id if note is not None else None,
        "kind": fact.seen.category.value,
        "regime": regime_of(fact.seen.category).name.value,
        "since": since.isoformat() if since is not None else None,
        "noticeDate": fact.seen.value.get("notice_date"),
        "endedOn": ended.isoformat() if ended is not None else None,
        "expiresOn": expires.isoformat() if expires is not None else None,
        "statement": note.statement if note is not None else None,
        "statedOn": note.stated_on.isoformat() if note is not None and note.stated_on is not None else None,
        "provenance": _provenance(fact, with_range=not is_loan) | ({"source": ANY_BANK} if is_loan else {}),
    }


def _loan_trouble_since(fact: Fact) -> date | None:
    days, written_off = fact.seen.value.get("overdue_days"), fact.seen.value.get("writeoff_date")
    if days and fact.seen.source_time is not None:
        return days_after(day_of(fact.seen.source_time), -days)
    return date.fromisoformat(written_off) if written_off else None


def _conflicts(record: HouseholdRecord, member: Member) -> list[Section]:
    found = [c for c in record.conflicts if c.member_no == member.member_no and c.certain]
    if not found:
        return []
    assert member.person_id is not None
    facts = [f for f in record.facts if f.member_no == member.member_no and f.seen.link and f.seen.link.is_certain]
    banks = {fact.seen.source for fact in facts if fact.seen.owner}
    body = {"items": [{"type": c.type, "source": ANY_BANK if c.source in banks else c.source or None} for c in found]}
    concerned = [
        fact
        for fact in facts
        if fact.is_shown and fact.seen.source in {c.source for c in found} and not is_over(fact.seen, record.day)
    ]
    return [_section(member.person_id, (Category.CONFLICT, Form.VALUE), body, concerned, day=record.day)]
