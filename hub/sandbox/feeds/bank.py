"""What a bank exports: consents, credit lines and loans in daily files (bank interface, section 3)."""

import gzip
import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any
from uuid import UUID

from hub.core.names import ConflictType, QuarantineReason, RefusalReason
from hub.sandbox.feeds.bank_rows import (
    add_forbidden,
    consent_row,
    draw_line,
    draw_loan,
    loan_row,
    make_adverse,
    pay_back,
    row_key,
    spoil_row,
)
from hub.sandbox.feeds.dirt import DirtPlan, misspell
from hub.sandbox.numbers import ID_DAMAGES, has_short_form, short_form
from hub.sandbox.people import Household, Person
from hub.sandbox.population import Population
from hub.sandbox.story import Story
from hub.sandbox.truth import ExpectedConflict, Truth

DAYS = 15

_DIRT = {reason.name: 0.001 for reason in ID_DAMAGES} | {
    "ROW_UNREADABLE": 0.0005,
    "TEXT_UNREADABLE": 0.0005,
    "MINOR_SUBJECT": 0.0005,
    "CONSENT_MISSING": 0.003,
    "CONSENT_INVALID": 0.004,
    "UNKNOWN_CODE": 0.001,
    "BAD_DATE": 0.002,
    "DATE_INCONSISTENT": 0.002,
    "BAD_AMOUNT": 0.002,
    "AMOUNT_INCONSISTENT": 0.002,
    "DUP_CONFLICT": 0.001,
    "ADVERSE_EXPIRED": 0.001,
    "ADVERSE_NOTICE_MISSING": 0.003,
    "adverse": 0.02,
    "forbidden": 0.02,
    "short": 0.002,
    "older": 0.004,
    "deleted": 0.004,
    "withdrawn": 0.006,
    "misspelt": 0.005,
    "unwarned guarantor": 0.02,
}
_LOAN_ONLY = frozenset({"ADVERSE_EXPIRED", "ADVERSE_NOTICE_MISSING", "AMOUNT_INCONSISTENT", "adverse"})
_REFUSALS = (
    RefusalReason.CONTROL_MISSING,
    RefusalReason.SIGNATURE_INVALID,
    RefusalReason.ENCODING_INVALID,
    RefusalReason.COUNT_MISMATCH,
)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bank:
    """A bank: its source name, 12-digit code, and the shares of households with a line and with a loan."""

    source: str
    code: str
    lines: float
    loans: float


@dataclass(slots=True)
class BankLine:
    """One row and the fate it must have."""

    row: Row
    reason: QuarantineReason | None = None
    dropped: tuple[str, ...] = ()
    repeats: bool = False
    broken: bool = False

    def text(self) -> bytes:
        """The JSON line as sent; a broken one is cut in the middle."""
        text = json.dumps(self.row, ensure_ascii=False)
        return (text[: len(text) // 2] if self.broken else text).encode() + b"\n"


@dataclass(slots=True)
class BankFile:
    """One export. ``refusal``: the damage it is published with; its repaired form follows under a new name."""

    name: str
    seq: int
    business_date: date
    content: bytes
    rows: int
    replaces: str | None = None
    refusal: RefusalReason | None = None


@dataclass(slots=True)
class BankFeed:
    """All exports by ascending sequence number, and what later days need to go on."""

    bank: Bank
    files: list[BankFile] = field(default_factory=list)
    loans: list[Row] = field(default_factory=list)
    consents: list[Row] = field(default_factory=list)

    @property
    def next_seq(self) -> int:
        """The number of the next export; the bank's numbers have gaps."""
        return self.files[-1].seq + 2 if self.files else 101

    def publish(self, day: date, lines: list[BankLine], refusal: RefusalReason | None = None) -> None:
        """Add the export of a day. With ``refusal`` a damaged form comes first, the repaired one replaces it."""
        content = gzip.compress(b"".join(line.text() for line in lines), 5, mtime=0)
        damaged = None
        if refusal is not None:
            seq = self.next_seq
            damaged = self._name(day, seq)
            bad = b"PK not a gzip file" if refusal is RefusalReason.ENCODING_INVALID else content
            self.files.append(BankFile(damaged, seq, day, bad, len(lines), None, refusal))
        seq = self.next_seq
        self.files.append(BankFile(self._name(day, seq), seq, day, content, len(lines), damaged))

    def _name(self, day: date, seq: int) -> str:
        return f"CREDIT_{self.bank.code}_{day:%Y%m%d}_{seq}.jsonl.gz"


class BankMaker:
    """Writes the exports of one bank up to the day before ``population.as_of``."""

    def __init__(
        self, bank: Bank, population: Population, avoid: set[int], story: Story, rng: Random, truth: Truth
    ) -> None:
        """``avoid``: people missing from the roster or with two memberships; they are no customers."""
        self.feed = BankFeed(bank)
        self._bank = bank
        self._population = population
        self._avoid = avoid
        self._story = story
        self._rng = rng
        self._truth = truth
        self._today = population.as_of
        self._plan = DirtPlan(rng, _DIRT, every=3)
        self._days: dict[date, list[BankLine]] = defaultdict(list)
        self._serial = 0
        self._conflicts: set[str] = set()
        self._minor = next(p for p in population.people if p.id_number and 5 < p.age(self._today) < 16)

    def make(self) -> BankFeed:
        """All files and their expected fate."""
        self._story_rows()
        for household in self._population.households:
            if not household.story and household.members:
                self._customers(household)
        refusals = list(_REFUSALS)
        recent: list[list[BankLine]] = []
        for i in range(DAYS, 0, -1):
            day = self._today - timedelta(days=i)
            lines = self._days.get(day, [])
            again = [BankLine(x.row, repeats=True) for part in recent[-3:] for x in part[:2] if x.reason is None]
            whole = lines + again
            refusal = refusals.pop(0) if refusals and i % 3 == 0 else None
            self.feed.publish(day, whole, refusal)
            if refusal is not None:
                self._truth.refuse(self._bank.source, self.feed.files[-2].name, refusal)
            recent.append(lines)
            self._expect(lines, self.feed.files[-1].name)
        self._count()
        return self.feed

    def _expect(self, lines: list[BankLine], name: str) -> None:
        numbers = self._truth.of(self._bank.source)
        for record, line in enumerate(lines, start=1):
            if line.reason is QuarantineReason.ROW_UNREADABLE:
                self._truth.hold(self._bank.source, f"{name}#{record}", "", line.reason)
                continue
            numbers.dropped_fields.update(line.dropped)
            if line.reason is not None:
                self._truth.hold(self._bank.source, row_key(line.row), str(line.row["rev"]), line.reason)

    def _count(self) -> None:
        numbers = self._truth.of(self._bank.source)
        valid = [x.row for lines in self._days.values() for x in lines if x.reason is None]
        numbers.accepted = len({row_key(row) for row in valid})
        numbers.superseded = len(valid) - numbers.accepted

    def _uuid(self) -> str:
        return str(UUID(int=self._rng.getrandbits(128), version=4))

    def _base(self, person: Person, consent_id: str | None) -> Row:
        return {
            "bank_code": self._bank.code,
            "rev": 1,
            "op": "U",
            "consent_id": consent_id,
            "id_no": person.number,
            "name": person.name,
        }

    def _consent(self, person: Person, day: date, **changes: Any) -> Row:
        row = consent_row(self._base(person, self._uuid()), day, self._rng) | changes
        self._days[day].append(BankLine(row))
        return row

    def _day(self) -> date:
        """Most rows came with the first files, the rest day by day."""
        back = DAYS - self._rng.randrange(0, 5) if self._rng.random() < 0.8 else self._rng.randrange(3, DAYS)
        return self._today - timedelta(days=back)

    def _numbers(self) -> tuple[str, str]:
        self._serial += 1
        return f"HT{self._serial:07d}", f"JJ{self._serial:07d}01"

    def _story_rows(self) -> None:
        day = self._today - timedelta(days=DAYS - 1)
        borrower, spouse = self._story.borrower, self._story.spouse
        own = self._consent(borrower, day)
        base = self._base(borrower, own["consent_id"])
        loan = loan_row(base, *self._numbers(), principal=3_000_000, balance=1_800_000, day=day)
        if self._bank.source.endswith("rcb"):
            wife = self._consent(spouse, day)
            loan["guarantors"] = [{"id_no": spouse.number, "name": spouse.name, "consent_id": wife["consent_id"]}]
            for consent, amount in ((own, "5"), (wife, "2")):
                person = borrower if consent is own else spouse
                line = draw_line(self._base(person, consent["consent_id"]), f"SX9{amount}00001", day, self._rng)
                self._days[day].append(BankLine(line | {"line_amount_wan": amount}))
        else:
            loan |= {"principal_fen": 2_000_000, "balance_fen": 1_200_000, "name": "刀岩囤"}
            make_adverse(loan, day)
            self._truth.conflicts.append(
                ExpectedConflict(ConflictType.NAME_DIFFERS, borrower.member_no, self._bank.source)
            )
        self._days[day].append(BankLine(loan))

    def _customers(self, household: Household) -> None:
        rng = self._rng
        chance = rng.random()
        if chance >= self._bank.lines:
            return
        adults = [p for p in household.adults(self._today) if p.serial not in self._avoid and not p.old_number]
        adults = [p for p in adults if 19 < p.age(self._today) < 70]
        if not adults:
            return
        person = adults[0]
        day = self._day()
        consent = self._consent(person, day)
        self.feed.consents.append(consent)
        self._serial += 1
        line = draw_line(self._base(person, consent["consent_id"]), f"SX{self._serial:07d}", day, rng)
        self._put(person, line, consent, day)
        if chance < self._bank.loans:
            for _ in range(rng.choice((1, 1, 1, 2))):
                loan = draw_loan(self._base(person, consent["consent_id"]), *self._numbers(), day, rng)
                self._guarantee(loan, household, person, day)
                self._put(person, loan, consent, day)

    def _guarantee(self, loan: Row, household: Household, borrower: Person, day: date) -> None:
        if self._rng.random() > 0.1:
            return
        others = [p for p in household.adults(self._today) if p is not borrower and p.serial not in self._avoid]
        others = [p for p in others if not p.old_number]
        if others:
            consent = self._consent(others[0], day)
            loan["guarantors"] = [
                {"id_no": others[0].number, "name": others[0].name, "consent_id": consent["consent_id"]}
            ]

    def _put(self, person: Person, row: Row, consent: Row, day: date) -> None:
        fitting = tuple(kind for kind in _DIRT if row["rt"] == "LOAN" or kind not in _LOAN_ONLY)
        dirt = self._plan.draw(fitting)
        if dirt is not None and dirt.isupper():
            self._spoil(person, row, QuarantineReason[dirt], day)
            return
        line = BankLine(row)
        self._days[day].append(line)
        if dirt is not None:
            self._vary(person, line, consent, day, dirt)
        elif row["rt"] == "LOAN":
            self.feed.loans.append(row)
            later = day + timedelta(days=self._rng.randrange(1, 8))
            if self._rng.random() < 0.2 and later < self._today - timedelta(days=1):
                self._days[later].append(BankLine(pay_back(row)))
                self.feed.loans.pop()

    def _spoil(self, person: Person, row: Row, reason: QuarantineReason, day: date) -> None:
        lines = self._days[day]
        if row["rt"] == "LOAN":
            row["guarantors"] = []
        match reason:
            case QuarantineReason.DUP_CONFLICT:
                lines.append(BankLine(dict(row)))
                row["name"] = misspell(row["name"])
            case QuarantineReason.MINOR_SUBJECT:
                row |= {"id_no": self._minor.number, "name": self._minor.name}
            case QuarantineReason.CONSENT_INVALID:
                self._invalidate(person, row, day)
            case _:
                spoil_row(row, reason, day, self._rng)
        lines.append(BankLine(row, reason, broken=reason is QuarantineReason.ROW_UNREADABLE))

    def _invalidate(self, person: Person, row: Row, day: date) -> None:
        """The consent is unknown, another person's, expired, or withdrawn."""
        match self._rng.randrange(4):
            case 0:
                row["consent_id"] = self._uuid()
            case 1 if self.feed.consents and self.feed.consents[0]["id_no"] != person.number:
                row["consent_id"] = self.feed.consents[0]["consent_id"]
            case 2:
                ended = (day - timedelta(days=9)).isoformat()
                row["consent_id"] = self._consent(person, day, expires_on=ended)["consent_id"]
            case _:
                gone = day.isoformat()
                row["consent_id"] = self._consent(person, day, withdrawn_on=gone)["consent_id"]

    def _vary(self, person: Person, line: BankLine, consent: Row, day: date, dirt: str) -> None:
        row = line.row
        later = min(day + timedelta(days=3), self._today - timedelta(days=2))
        match dirt:
            case "adverse":
                make_adverse(row, day)
            case "forbidden":
                line.dropped = add_forbidden(row, self._rng)
            case "short" if has_short_form(person.number):
                row["id_no"] = short_form(person.number)
            case "older":  # the newer revision came first, the older one arrives days later
                old = row | {"rev": 1}
                row["rev"] = 3
                self._days[later].append(BankLine(old))
            case "deleted":
                gone = {name: row[name] for name in row if name in {"rt", "bank_code", "consent_id"} | _KEYS}
                self._days[later].append(BankLine(gone | {"rev": 2, "op": "D"}))
            case "withdrawn" if consent in self.feed.consents and person.member_no not in self._conflicts:
                # On the last day, so that no row that uses the consent can come after its withdrawal.
                last = self._today - timedelta(days=1)
                self._days[last].append(BankLine(consent | {"rev": 2, "withdrawn_on": last.isoformat()}))
                self.feed.consents.remove(consent)
            case "misspelt" if consent in self.feed.consents:
                row["name"] = misspell(person.name)
                if person.member_no not in self._conflicts:
                    self._conflicts.add(person.member_no)
                    conflict = ExpectedConflict(ConflictType.NAME_DIFFERS, person.member_no, self._bank.source)
                    self._truth.conflicts.append(conflict)
            case "unwarned guarantor" if row["rt"] == "LOAN":
                row["guarantors"] = [{"id_no": self._story.father.number, "name": "保", "consent_id": None}]
                line.dropped = ("guarantors[]",)


_KEYS = frozenset({"line_no", "contract_no", "receipt_no"})
