"""Reads. An operation has one root field, and each of them leaves one entry in the audit log."""

import strawberry

from hub.schema.borrower import resolve_borrower_profile, resolve_own_record
from hub.schema.types.profile import BorrowerProfileResult, OwnRecordResult


@strawberry.type(description="查询。 Reads; an operation has one of them.")
class Query:
    """The root of reads."""

    borrower_profile: BorrowerProfileResult = strawberry.field(
        resolver=resolve_borrower_profile,
        description="借款人信用信息，仅用 POST。 What an organisation may see of a borrower. POST only.",
    )
    household: OwnRecordResult = strawberry.field(
        resolver=resolve_own_record, description="本人及本户信用档案。 The own record of the resident who asks."
    )
