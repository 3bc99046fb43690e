"""Items of the sections: what agencies reported, field by field."""

import strawberry

from hub.core.names import AdverseRegime
from hub.schema.types.classified import disclosed
from hub.schema.types.scalars import Date, DateTime, Decimal


@disclosed
class Provenance:
    """来源说明。 Where one value came from, when, and in which version."""

    source: str
    source_time: DateTime | None
    recorded_at: DateTime
    source_version: str | None
    valid_from: str | None
    valid_to: str | None
    repaired: bool | None


@strawberry.interface(description="带来源的值。 A value with its origin.")
class Fact:
    """Implemented by every item that an agency reported."""

    provenance: Provenance | None = strawberry.field(description="来源、时间与版本。 Where it came from.")


@disclosed
class TaxRegistration(Fact):
    """税务登记。 One tax registration."""

    taxpayer_id: str | None
    taxpayer_name: str | None
    taxpayer_status: str | None


@disclosed
class TaxGrade(Fact):
    """纳税信用等级。 The tax credit grade of one year."""

    grade_year: int | None
    grade: str | None


@disclosed
class TaxArrears(Fact):
    """欠税。 One case of tax arrears on public notice."""

    arrears_no: str | None
    amount: Decimal | None
    notice_date: Date | None
    cleared_on: Date | None


@disclosed
class TaxBand(Fact):
    """纳税与收入区间。 Tax paid and declared income of one period, as bands."""

    period_from: Date | None
    period_to: Date | None
    tax_paid_band: str | None
    declared_income_band: str | None
    authorisation_no: str | None


@disclosed
class SocialInsurance(Fact):
    """社会保险。 One type of social insurance."""

    insurance_type: str | None
    enrol_status: str | None
    paid_months: int | None
    arrears_months: int | None
    latest_period: str | None
    employer_uscc: str | None


@disclosed
class ClinicArrearsBand(Fact):
    """卫生院欠费区间。 One bill at a township clinic, as a band."""

    balance_band: str | None
    due_date: Date | None
    plan_in_force: bool | None
    settled: bool | None


@disclosed
class ClinicArrearsBill(Fact):
    """卫生院欠费明细。 One bill at a township clinic, for the person himself."""

    amount_due: Decimal | None
    amount_paid: Decimal | None
    arrears_balance: Decimal | None
    bill_date: Date | None
    due_date: Date | None
    repay_plan_until: Date | None
    settled_date: Date | None


@disclosed
class Relief(Fact):
    """社会救助。 One kind of relief, for the household itself."""

    relief_type: str | None
    monthly_amount: Decimal | None
    household_size: int | None


@disclosed
class CreditLine(Fact):
    """授信。 One credit line."""

    line_no: str | None
    amount: Decimal | None
    expires_on: Date | None


@disclosed
class Loan(Fact):
    """贷款。 One loan receipt."""

    contract_no: str | None
    receipt_no: str | None
    product_code: str | None
    principal: Decimal | None
    balance: Decimal | None
    overdue_amount: Decimal | None
    overdue_days: int | None
    maturity_date: Date | None
    rate_percent: Decimal | None
    five_class: str | None
    repay_status24m: str | None
    guarantor_count: int | None


@disclosed
class LinesTotal:
    """他行授信合计。 Credit lines at other banks, summed; no bank is named."""

    lenders: int | None
    total_amount: Decimal | None


@disclosed
class LoansTotal:
    """他行贷款合计。 Loans at other banks, summed; no bank is named."""

    lenders: int | None
    total_balance: Decimal | None
    loans: int | None
    worst_class: str | None


@disclosed
class LenderLines:
    """一家银行的授信。 Own credit lines at one bank."""

    lender: str | None
    items: list[CreditLine] | None


@disclosed
class LenderLoans:
    """一家银行的贷款。 Own loans at one bank."""

    lender: str | None
    items: list[Loan] | None


@disclosed
class AdverseItem(Fact):
    """不良信息。 One adverse item; never contract detail."""

    kind: str | None
    regime: AdverseRegime | None
    since: Date | None
    notice_date: Date | None
    ended_on: Date | None
    expires_on: Date | None
    statement: str | None
    stated_on: Date | None


@disclosed
class OwnAdverseItem(Fact):
    """本人不良信息。 One adverse item, for the person himself, who may put a statement beside it."""

    item_id: strawberry.ID | None
    kind: str | None
    regime: AdverseRegime | None
    since: Date | None
    notice_date: Date | None
    ended_on: Date | None
    expires_on: Date | None
    statement: str | None
    stated_on: Date | None


@disclosed
class SourceConflict:
    """数据不一致。 One disagreement between sources."""

    type: str | None
    source: str | None
