"""The peer's schema: a resolver per relation, one consent check and one audit row per request."""

from typing import Annotated, Any
from uuid import UUID

import asyncpg
import strawberry
from strawberry.extensions import ParserCache, ValidationCache

from bench.peer import facts
from bench.peer.loaders import Loaders

Info = strawberry.Info[dict[str, Any], None]
_COMPLETE = "COMPLETE"

PLACES = (
    ("tax.registrations", "tax.registration", "VALUE", "tax_registration"),
    ("tax.grades", "tax.grade", "VALUE", "tax_grade"),
    ("tax.arrears", "tax.arrears", "VALUE", "tax_arrears"),
    ("tax.hasArrears", "tax.arrears", "YES_NO", ""),
    ("tax.bands", "tax.band", "BAND", "tax_band"),
    ("socialInsurance.items", "social.insurance", "VALUE", "social_insurance"),
    ("clinicArrears.bands", "clinic.arrears", "BAND", "clinic_arrears"),
    ("relief.inForce", "civil.relief", "YES_NO", ""),
    ("bank.ownLines", "bank.line", "VALUE", "credit_line"),
    ("bank.ownLoans", "bank.loan", "VALUE", "loan"),
    ("bank.otherLines", "bank.line", "TOTAL", "other_lines"),
    ("bank.otherLoans", "bank.loan", "TOTAL", "other_loans"),
    ("adverse.items", "adverse", "VALUE", "adverse"),
    ("conflicts.items", "conflict", "VALUE", "conflict"),
)
"""Fields that may have no value: place, category, form, loader."""


async def _load(info: Info, table: str, person: UUID) -> list[asyncpg.Record]:
    loaders: Loaders = info.context["loaders"]
    return await loaders.facts[table].load(person)


@strawberry.type
class HouseholdSection:
    completeness: str
    county_code: str | None
    county_name: str | None
    township_name: str | None
    village_name: str | None
    village_code: str | None
    group_no: str | None
    size: int | None
    minors: int | None
    status: str | None


@strawberry.type
class IdentitySection:
    completeness: str
    name: str | None
    masked_id_number: str | None
    relation: str | None
    age_band: str | None
    status: str | None


@strawberry.type
class TaxSection:
    person: strawberry.Private[Any]
    completeness: str
    has_arrears: bool | None

    @strawberry.field
    async def registrations(self, info: Info) -> list[facts.TaxRegistration] | None:
        return facts.items(facts.TaxRegistration, await _load(info, "tax_registration", self.person))

    @strawberry.field
    async def grades(self, info: Info) -> list[facts.TaxGrade] | None:
        return facts.items(facts.TaxGrade, await _load(info, "tax_grade", self.person))

    @strawberry.field
    async def arrears(self, info: Info) -> list[facts.TaxArrears] | None:
        return facts.items(facts.TaxArrears, await _load(info, "tax_arrears", self.person))

    @strawberry.field
    async def bands(self, info: Info) -> list[facts.TaxBand] | None:
        return facts.items(facts.TaxBand, await _load(info, "tax_band", self.person))


@strawberry.type
class SocialInsuranceSection:
    person: strawberry.Private[Any]
    completeness: str

    @strawberry.field
    async def items(self, info: Info) -> list[facts.SocialInsurance] | None:
        return facts.items(facts.SocialInsurance, await _load(info, "social_insurance", self.person))


@strawberry.type
class ClinicArrearsSection:
    person: strawberry.Private[Any]
    completeness: str

    @strawberry.field
    async def bands(self, info: Info) -> list[facts.ClinicArrearsBand] | None:
        return facts.items(facts.ClinicArrearsBand, await _load(info, "clinic_arrears", self.person))


@strawberry.type
class ReliefSection:
    completeness: str
    in_force: bool | None


@strawberry.type
class BankSection:
    person: strawberry.Private[Any]
    completeness: str

    @strawberry.field
    async def own_lines(self, info: Info) -> list[facts.CreditLine] | None:
        return facts.items(facts.CreditLine, await _load(info, "credit_line", self.person))

    @strawberry.field
    async def own_loans(self, info: Info) -> list[facts.Loan] | None:
        return facts.items(facts.Loan, await _load(info, "loan", self.person))

    @strawberry.field
    async def other_lines(self, info: Info) -> facts.LinesTotal | None:
        row = await info.context["loaders"].other_lines.load(self.person)
        return facts.LinesTotal(lenders=row["lenders"], total_amount=row["total_amount"]) if row else None

    @strawberry.field
    async def other_loans(self, info: Info) -> facts.LoansTotal | None:
        row = await info.context["loaders"].other_loans.load(self.person)
        if row is None:
            return None
        return facts.LoansTotal(
            lenders=row["lenders"],
            total_balance=row["total_balance"],
            loans=row["loans"],
            worst_class=row["worst_class"],
        )


@strawberry.type
class AdverseSection:
    person: strawberry.Private[Any]
    completeness: str

    @strawberry.field
    async def items(self, info: Info) -> list[facts.AdverseItem] | None:
        return facts.items(facts.AdverseItem, await _load(info, "adverse", self.person))


@strawberry.type
class ConflictSection:
    person: strawberry.Private[Any]
    completeness: str

    @strawberry.field
    async def items(self, info: Info) -> list[facts.SourceConflict] | None:
        return facts.items(facts.SourceConflict, await _load(info, "conflict", self.person))


@strawberry.type
class Withheld:
    field: str
    category: str
    form: str
    reason: str
    can_ask_consent: bool


@strawberry.type
class Absent:
    field: str
    category: str
    form: str
    reason: str


@strawberry.type
class BorrowerProfile:
    row: strawberry.Private[Any]
    borrower_id: strawberry.ID
    as_of: str
    purpose: str
    completeness: str
    identity: IdentitySection
    tax: TaxSection
    social_insurance: SocialInsuranceSection
    clinic_arrears: ClinicArrearsSection
    bank: BankSection
    adverse: AdverseSection
    conflicts: ConflictSection

    @strawberry.field
    async def household(self, info: Info) -> HouseholdSection:
        row = await info.context["loaders"].household.load(self.row["household_id"])
        shown = {name: value for name, value in row.items() if name not in ("household_id", "relief_in_force")}
        return HouseholdSection(completeness=_COMPLETE, **shown)

    @strawberry.field
    async def relief(self, info: Info) -> ReliefSection:
        row = await info.context["loaders"].household.load(self.row["household_id"])
        return ReliefSection(completeness=_COMPLETE, in_force=row["relief_in_force"])

    @strawberry.field
    async def other_adults(self, info: Info) -> list[facts.OtherAdult]:
        rows = await info.context["loaders"].adults.load(self.row["household_id"])
        return [
            facts.OtherAdult(
                borrower_id=strawberry.ID(str(row["person_id"])),
                completeness=_COMPLETE,
                name=row["name"],
                masked_id_number=row["masked_id_number"],
                relation=row["relation"],
                age_band=row["age_band"],
                status=row["status"],
            )
            for row in rows
            if row["agreed"] and row["person_id"] != self.row["person_id"]
        ]

    @strawberry.field
    async def adults_not_shown(self, info: Info) -> int:
        rows = await info.context["loaders"].adults.load(self.row["household_id"])
        return sum(1 for row in rows if not row["agreed"] and row["person_id"] != self.row["person_id"])

    @strawberry.field
    async def withheld(self) -> list[Withheld]:
        return []

    @strawberry.field
    async def absent(self, info: Info) -> list[Absent]:
        """Fields without a value. The loaders hold them already."""
        loaders: Loaders = info.context["loaders"]
        person = self.row["person_id"]
        found = []
        for place, category, form, table in PLACES:
            if place == "tax.hasArrears":
                value: Any = self.row["has_tax_arrears"] is not None
            elif place == "relief.inForce":
                household = await loaders.household.load(self.row["household_id"])
                value = household["relief_in_force"] is not None
            elif table in loaders.facts:
                value = await loaders.facts[table].load(person)
            else:
                value = await getattr(loaders, table).load(person)
            if not value:
                found.append(Absent(field=place, category=category, form=form, reason="NOT_REPORTED"))
        return found


@strawberry.type
class NotAllowed:
    code: str
    message: str


@strawberry.input
class IdentityKey:
    id_number: str
    name: str


@strawberry.input
class BorrowerKey:
    identity: IdentityKey


@strawberry.input
class BorrowerProfileInput:
    borrower: BorrowerKey
    purpose: str
    officer: str


Result = Annotated[BorrowerProfile | NotAllowed, strawberry.union(name="BorrowerProfileResult")]


@strawberry.type
class Query:
    @strawberry.field
    async def borrower_profile(self, info: Info, input: BorrowerProfileInput) -> Result:  # noqa: A002
        pool, bank = info.context["pool"], info.context["bank"]
        key = input.borrower.identity
        person = await pool.fetchrow(
            "SELECT * FROM person WHERE id_number = $1 AND full_name = $2 AND alive", key.id_number, key.name
        )
        agreed = person is not None and await pool.fetchval(
            "SELECT true FROM consent WHERE person_id = $1 AND organisation_id = $2 AND purpose = $3"
            " AND expires_at > now()",
            person["person_id"],
            bank,
            input.purpose,
        )
        at = await pool.fetchval(
            "INSERT INTO audit (organisation_id, officer, purpose, person_id, operation, decision)"
            " VALUES ($1, $2, $3, $4, $5, $6) RETURNING at",
            bank,
            input.officer,
            input.purpose,
            person and person["person_id"],
            "borrowerProfile",
            "allow" if agreed else "deny",
        )
        if not agreed:
            return NotAllowed(code="NO_BASIS", message="No consent.")
        return _profile(person, input.purpose, at.isoformat())


def _profile(row: asyncpg.Record, purpose: str, as_of: str) -> BorrowerProfile:
    person = row["person_id"]
    return BorrowerProfile(
        row=row,
        borrower_id=strawberry.ID(str(person)),
        as_of=as_of,
        purpose=purpose,
        completeness=_COMPLETE,
        identity=IdentitySection(
            completeness=_COMPLETE,
            name=row["name"],
            masked_id_number=row["masked_id_number"],
            relation=row["relation"],
            age_band=row["age_band"],
            status=row["status"],
        ),
        tax=TaxSection(person=person, completeness=_COMPLETE, has_arrears=row["has_tax_arrears"]),
        social_insurance=SocialInsuranceSection(person=person, completeness=_COMPLETE),
        clinic_arrears=ClinicArrearsSection(person=person, completeness=_COMPLETE),
        bank=BankSection(person=person, completeness=_COMPLETE),
        adverse=AdverseSection(person=person, completeness=_COMPLETE),
        conflicts=ConflictSection(person=person, completeness=_COMPLETE),
    )


NAIVE = strawberry.Schema(query=Query)
"""As a developer gets it who adds no extension."""

CACHED = strawberry.Schema(
    query=Query, extensions=[lambda: ParserCache(maxsize=100), lambda: ValidationCache(maxsize=100)]
)
"""With the two caches that Strawberry offers."""
