"""A borrower's profile and a resident's own record: what leaves for one operation about one person."""

from typing import Annotated

import strawberry

from hub.core.names import AbsenceReason, Form, Purpose, WithheldReason
from hub.schema.types.classified import disclosed
from hub.schema.types.problems import InvalidInput, NotAllowed
from hub.schema.types.resolved import OwnResolvedSection, ResolvedSection
from hub.schema.types.scalars import DateTime
from hub.schema.types.sections import (
    AdverseSection,
    BankSection,
    ClinicArrearsSection,
    Completeness,
    ConflictSection,
    HouseholdSection,
    IdentitySection,
    OtherAdult,
    OwnAdverseSection,
    OwnBankSection,
    OwnClinicArrearsSection,
    OwnReliefSection,
    ReliefSection,
    SocialInsuranceSection,
    TaxSection,
)


@disclosed
class Withheld:
    """未披露说明。 A field that is null because it is kept back; the same whether or not there is a value.

    A field of `resolved` is made of several categories: what is kept back is left out of it, and null if all are.
    """

    field: str
    category: str
    form: Form
    reason: WithheldReason
    can_ask_consent: bool


@disclosed
class Absent:
    """无值说明。 A granted field that has no value, and why.

    Of a field of `resolved`: a granted category that states nothing about it.
    """

    field: str
    category: str
    form: Form
    reason: AbsenceReason


@disclosed
class BorrowerProfile:
    """借款人信用信息。 What an organisation sees of a borrower for one purpose.

    An unknown person, a wrong name, a missing basis and another area give one and the same answer: every value null,
    every field asked for listed in `withheld` with the same reason.
    """

    borrower_id: strawberry.ID | None
    as_of: DateTime | None
    purpose: Purpose
    completeness: Completeness
    household: HouseholdSection
    identity: IdentitySection
    tax: TaxSection
    social_insurance: SocialInsuranceSection
    clinic_arrears: ClinicArrearsSection
    relief: ReliefSection
    bank: BankSection
    adverse: AdverseSection
    conflicts: ConflictSection
    resolved: ResolvedSection
    other_adults: list[OtherAdult] | None
    adults_not_shown: int | None
    withheld: list[Withheld]
    absent: list[Absent]


@disclosed
class OwnRecord:
    """本人信用档案。 What the hub holds about the person who asks, and about the own household as a whole.

    Other members' own data are not shown here: each adult reads his own.
    """

    as_of: DateTime | None
    purpose: Purpose
    completeness: Completeness
    household: HouseholdSection
    identity: IdentitySection
    tax: TaxSection
    social_insurance: SocialInsuranceSection
    clinic_arrears: OwnClinicArrearsSection
    relief: OwnReliefSection
    bank: OwnBankSection
    adverse: OwnAdverseSection
    conflicts: ConflictSection
    resolved: OwnResolvedSection
    adults_not_shown: int | None
    withheld: list[Withheld]
    absent: list[Absent]


BorrowerProfileResult = Annotated[
    BorrowerProfile | InvalidInput | NotAllowed,
    strawberry.union(name="BorrowerProfileResult", description="查询结果。 What came of asking for a profile."),
]
OwnRecordResult = Annotated[
    OwnRecord | InvalidInput | NotAllowed,
    strawberry.union(name="OwnRecordResult", description="查询结果。 What came of asking for the own record."),
]


@strawberry.input(description="身份证号和姓名；只能作为 POST 的变量发送。 Only ever sent as variables of a POST.")
class IdentityKey:
    """How a bank names a borrower for the first time."""

    id_number: str = strawberry.field(description="身份证号。 Identity number, 18 characters, or 15 in the old form.")
    name: str = strawberry.field(description="姓名，须与户籍登记一致。 Name as on the roster.")


@strawberry.input(one_of=True, description="指明借款人，二选一。 How to name a borrower: exactly one of these.")
class BorrowerKey:
    """Exactly one of its fields is given."""

    identity: IdentityKey | None = strawberry.field(
        default=strawberry.UNSET, description="身份证号和姓名。 By identity number and name."
    )
    borrower_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description="本机构此前得到的借款人编号。 By the id that this organisation was given before.",
    )


@strawberry.input(description="查询谁、为何、由谁经办。 Whom to ask about, what for, and on whose behalf.")
class BorrowerProfileInput:
    """The argument of ``borrowerProfile``."""

    borrower: BorrowerKey = strawberry.field(description="借款人。 The borrower.")
    purpose: Purpose = strawberry.field(description="查询目的。 What the data are wanted for.")
    officer: str | None = strawberry.field(
        default=None, description="经办人编号；机构系统必填。 The named officer; required of an organisation's system."
    )
    idempotency_key: strawberry.ID | None = strawberry.field(
        default=None, description="重试时保持不变，不重复计次。 Keep it for a retry, which then is not counted again."
    )
