"""Eligibility for a benefit programme: what a provider is told."""

from typing import Annotated

import strawberry

from hub.benefits.programme import Answer
from hub.schema.types.classified import disclosed
from hub.schema.types.problems import InvalidInput, NotAllowed
from hub.schema.types.profile import BorrowerKey, Withheld
from hub.schema.types.scalars import Date, DateTime

ANSWER = strawberry.enum(
    Answer,
    name="EligibilityAnswer",
    description="YES 符合，NO 不符合，CANNOT_SAY 数据来源暂不完备、与个人数据无关。 CANNOT_SAY hangs on the"
    " sources of the data alone, never on what they say of a person.",
)


@disclosed
class BenefitEligibility:
    """是否符合项目条件。 Whether a person is eligible for a programme, without anything behind the answer.

    An unknown person, a wrong name, a missing consent and another area give one and the same answer: null, with the
    notice in `withheld`.
    """

    programme: str
    programme_version: int
    period: str
    answer: Answer | None
    person_id: strawberry.ID | None
    decision_id: strawberry.ID | None
    decided_at: DateTime | None
    valid_until: Date | None
    signed_answer: str | None
    withheld: list[Withheld]


@strawberry.input(description="机构询问本人是否符合项目条件。 A provider asks about one person and one programme.")
class BenefitEligibilityInput:
    """The argument of ``benefitEligibility``."""

    programme: str = strawberry.field(description="项目编号。 Id of a programme of the own organisation.")
    person: BorrowerKey = strawberry.field(description="被询问人。 The person, by number and name or by the own id.")
    officer: str | None = strawberry.field(
        default=None, description="经办人编号，系统必填。 The officer in whose name a system asks."
    )
    signed: bool = strawberry.field(
        default=False, description="是否要可离线验证的签名回答，24小时内有效。 Also a signed answer, good for 24 hours."
    )
    holder_key: str | None = strawberry.field(
        default=None,
        description="持有人的 P-256 公钥（JWK），签名回答只归他使用。 Public key (JWK) of who alone may use it.",
    )
    idempotency_key: str | None = strawberry.field(
        default=None, description="重试用；同一键在一天内只计一次。 For retries; counts once within a day."
    )


BenefitEligibilityResult = Annotated[
    BenefitEligibility | InvalidInput | NotAllowed,
    strawberry.union(name="BenefitEligibilityResult", description="结果。 What came of it."),
]
