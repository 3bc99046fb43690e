"""The report of the own record that a resident takes."""

from typing import Annotated

import strawberry

from hub.schema.types.problems import InvalidInput, NotAllowed
from hub.schema.types.scalars import DateTime, Digest


@strawberry.type(description="本人信用报告。 A numbered report of everything held about the resident who asks.")
class OwnReport:
    """One report; its text is to be kept as it is."""

    number: str = strawberry.field(description="报告编号。 Its number.")
    issued_at: DateTime = strawberry.field(description="出具时间。 When it was issued.")
    year: int = strawberry.field(description="计数的自然年。 The calendar year in which it counts.")
    ordinal: int = strawberry.field(description="本年第几份。 Which one of that year, from 1.")
    chargeable: bool = strawberry.field(
        description="每年前两份免费，第三份起可收费，不拒绝。 Two a year are free; a third is chargeable."
    )
    document: str = strawberry.field(
        description="全文（JSON）：档案、谁查过、同意。 The record, who asked, consents: JSON text."
    )
    digest: Digest = strawberry.field(
        description="全文的SHA-256，载入审计日志。 SHA-256 of the document; it stands in the audit log."
    )


@strawberry.input(description="领取本人信用报告。 Take a report of the own record.")
class IssueOwnReportInput:
    """The argument of ``issueOwnReport``."""

    idempotency_key: strawberry.ID = strawberry.field(
        description="由调用方生成；一日内同一键只计一份。 Made by the caller; for a day it means the same report."
    )


IssueOwnReportResult = Annotated[
    OwnReport | InvalidInput | NotAllowed,
    strawberry.union(name="IssueOwnReportResult", description="结果。 What came of it."),
]
