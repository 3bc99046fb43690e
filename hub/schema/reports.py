"""Resolver of the report of the own record."""

import hashlib
from uuid import UUID

from hub.core.clock import iso
from hub.core.errors import InputError, RefusedError
from hub.flows.readings.issue_report import issue_report
from hub.schema.borrower import KEY, not_allowed
from hub.schema.changing import operation_of
from hub.schema.context import Info
from hub.schema.messages import text
from hub.schema.types.problems import InvalidInput, NotAllowed, invalid
from hub.schema.types.reports import IssueOwnReportInput, OwnReport
from hub.schema.types.scalars import DateTime, Digest


async def resolve_issue_own_report(
    info: Info,
    input: IssueOwnReportInput,  # noqa: A002 - the argument's name in the schema
) -> OwnReport | InvalidInput | NotAllowed:
    """The resident who asks takes a report; an account without a person has none."""
    context, key = info.context, input.idempotency_key
    if not KEY.fullmatch(key):
        return invalid(context.language, (("input", "idempotencyKey"), "KEY_MALFORMED"))
    person = context.bearer.person_id
    if person is None:
        return NotAllowed(code="NOT_ALLOWED", message=text("NOT_ALLOWED", context.language), remedy=None)
    # The id follows from the key, so no copy of a report has to be kept for a call that is repeated.
    report_id = UUID(bytes=hashlib.sha256(f"{context.bearer.id}|{key}".encode()).digest()[:16])
    ports = context.ports
    try:
        report, context.receipt = await issue_report(
            ports.disclosing, ports.consents, context.bearer.asker(), person, operation_of(context), report_id
        )
    except InputError as error:
        return invalid(context.language, (("input", "idempotencyKey"), error.code))
    except RefusedError as refusal:
        return not_allowed(context, refusal)
    return OwnReport(
        number=report.mark.number,
        issued_at=DateTime(iso(report.mark.issued_at)),
        year=report.mark.year,
        ordinal=report.mark.ordinal,
        chargeable=report.mark.chargeable,
        document=report.document,
        digest=Digest(report.digest),
    )
