"""Sections of a profile. Every section says whether it is complete, so that "withheld" is never read as "none"."""

from enum import StrEnum

import strawberry

from hub.schema.types.classified import disclosed
from hub.schema.types.facts import (
    AdverseItem,
    ClinicArrearsBand,
    ClinicArrearsBill,
    CreditLine,
    LenderLines,
    LenderLoans,
    LinesTotal,
    Loan,
    LoansTotal,
    OwnAdverseItem,
    Relief,
    SocialInsurance,
    SourceConflict,
    TaxArrears,
    TaxBand,
    TaxGrade,
    TaxRegistration,
)


@strawberry.enum(
    description="COMPLETE: everything asked for here is shown, an empty list means there is none. "
    "PARTIAL: something is withheld, out of date or unreachable, or nothing was asked for: see `withheld` and `absent`."
)
class Completeness(StrEnum):
    """Whether a reader may take "not shown" for "none"."""

    COMPLETE = "COMPLETE"
    PARTIAL = "PARTIAL"


@disclosed
class HouseholdSection:
    """户信息。 The household: area, size, number of minors, status."""

    completeness: Completeness
    county_code: str | None
    county_name: str | None
    township_name: str | None
    village_name: str | None
    village_code: str | None
    group_no: str | None
    size: int | None
    minors: int | None
    status: str | None


@disclosed
class IdentitySection:
    """身份信息。 Who the person is; the identity number is always masked."""

    completeness: Completeness
    name: str | None
    masked_id_number: str | None
    relation: str | None
    age_band: str | None
    status: str | None


@disclosed
class OtherAdult:
    """其他成年成员。 Another adult of the household who agreed to be shown to the asker."""

    borrower_id: strawberry.ID
    completeness: Completeness
    name: str | None
    masked_id_number: str | None
    relation: str | None
    age_band: str | None
    status: str | None


@disclosed
class TaxSection:
    """税务。 What the tax office reported."""

    completeness: Completeness
    registrations: list[TaxRegistration] | None
    grades: list[TaxGrade] | None
    arrears: list[TaxArrears] | None
    has_arrears: bool | None
    bands: list[TaxBand] | None


@disclosed
class SocialInsuranceSection:
    """社会保险。 Social insurance by type."""

    completeness: Completeness
    items: list[SocialInsurance] | None


@disclosed
class ClinicArrearsSection:
    """卫生院欠费。 Arrears at township clinics, as bands; never what a treatment was for."""

    completeness: Completeness
    bands: list[ClinicArrearsBand] | None


@disclosed
class OwnClinicArrearsSection:
    """本人卫生院欠费。 Own bills at township clinics."""

    completeness: Completeness
    bills: list[ClinicArrearsBill] | None


@disclosed
class ReliefSection:
    """社会救助。 Whether relief is in force, yes or no."""

    completeness: Completeness
    in_force: bool | None


@disclosed
class OwnReliefSection:
    """本户社会救助。 Relief that the own household receives."""

    completeness: Completeness
    items: list[Relief] | None


@disclosed
class BankSection:
    """银行。 The asking bank's own contracts in detail, other banks' as totals."""

    completeness: Completeness
    own_lines: list[CreditLine] | None
    own_loans: list[Loan] | None
    other_lines: LinesTotal | None
    other_loans: LoansTotal | None


@disclosed
class OwnBankSection:
    """本人银行信息。 Own credit lines and loans, bank by bank."""

    completeness: Completeness
    lines: list[LenderLines] | None
    loans: list[LenderLoans] | None


@disclosed
class AdverseSection:
    """不良信息。 Adverse information, each item with its notice and its end."""

    completeness: Completeness
    items: list[AdverseItem] | None


@disclosed
class OwnAdverseSection:
    """本人不良信息。 Own adverse information; each item names itself, so that a statement can be put beside it."""

    completeness: Completeness
    items: list[OwnAdverseItem] | None


@disclosed
class ConflictSection:
    """数据不一致。 Disagreements between sources, shown and not resolved."""

    completeness: Completeness
    items: list[SourceConflict] | None
