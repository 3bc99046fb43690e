"""Writes. An operation has one of them; it is recorded, and repeated under the same key it is not made again."""

import strawberry

from hub.schema.adverse import resolve_state_on_adverse, resolve_withdraw_statement
from hub.schema.bases import resolve_decide_basis, resolve_declare_basis, resolve_end_basis
from hub.schema.captures import resolve_capture_consents, resolve_verify_consent
from hub.schema.consent import (
    resolve_grant_consent,
    resolve_refuse_consent,
    resolve_request_consent,
    resolve_withdraw_consent,
)
from hub.schema.consent_steps import resolve_resume_consent, resolve_revoke_consent, resolve_suspend_consent
from hub.schema.eligibility_reviews import resolve_decide_eligibility_review, resolve_request_eligibility_review
from hub.schema.links import resolve_decide_link
from hub.schema.quarantine import (
    resolve_discard_quarantined_row,
    resolve_release_quarantined_row,
    resolve_repair_quarantined_row,
)
from hub.schema.reports import resolve_issue_own_report
from hub.schema.types.adverse import StateOnAdverseResult, WithdrawStatementResult
from hub.schema.types.bases import DecideBasisResult, DeclareBasisResult
from hub.schema.types.captures import CaptureConsentsResult, VerifyConsentResult
from hub.schema.types.consent import (
    GrantConsentResult,
    RefuseConsentResult,
    RequestConsentResult,
    WithdrawConsentResult,
)
from hub.schema.types.consent_steps import RevokeConsentResult, SuspendConsentResult
from hub.schema.types.eligibility_reviews import DecideEligibilityReviewResult, RequestEligibilityReviewResult
from hub.schema.types.links import DecideLinkResult
from hub.schema.types.quarantine import (
    DiscardQuarantinedRowResult,
    ReleaseQuarantinedRowResult,
    RepairQuarantinedRowResult,
)
from hub.schema.types.reports import IssueOwnReportResult


@strawberry.type(description="操作。 Writes; an operation has one of them.")
class Mutation:
    """The root of writes."""

    request_consent: RequestConsentResult = strawberry.field(
        resolver=resolve_request_consent, description="机构向本人征求同意。 Ask a person for consent."
    )
    grant_consent: GrantConsentResult = strawberry.field(
        resolver=resolve_grant_consent,
        description="本人或监护人同意。 Say yes for oneself or for a ward, to all or to a part.",
    )
    refuse_consent: RefuseConsentResult = strawberry.field(
        resolver=resolve_refuse_consent, description="本人拒绝。 Say no; no reason is asked."
    )
    withdraw_consent: WithdrawConsentResult = strawberry.field(
        resolver=resolve_withdraw_consent,
        description="本人撤回同意，下一次查询即生效。 Take a consent back; it takes effect on the very next query.",
    )
    suspend_consent: SuspendConsentResult = strawberry.field(
        resolver=resolve_suspend_consent, description="本人暂停同意，下一次查询即生效。 Pause a consent, at once."
    )
    resume_consent: SuspendConsentResult = strawberry.field(
        resolver=resolve_resume_consent, description="本人恢复已暂停的同意。 Let a paused consent count again."
    )
    revoke_consent: RevokeConsentResult = strawberry.field(
        resolver=resolve_revoke_consent,
        description="获得同意的机构或平台依据事由终止同意。 End a consent with cause, by its recipient or by the hub.",
    )
    capture_consents: CaptureConsentsResult = strawberry.field(
        resolver=resolve_capture_consents,
        description="采集设备提交签名批次；撤回即时生效，同意须待复核。 A device delivers what was signed offline.",
    )
    verify_consent: VerifyConsentResult = strawberry.field(
        resolver=resolve_verify_consent,
        description="核实或否决现场采集的同意，供数据管理员。 Verify or reject a captured consent, for stewards.",
    )
    declare_basis: DeclareBasisResult = strawberry.field(
        resolver=resolve_declare_basis,
        description="申明同意以外的处理依据，须有编号。 Declare a basis other than consent, with its reference.",
    )
    decide_basis: DecideBasisResult = strawberry.field(
        resolver=resolve_decide_basis,
        description="第二人批准、否决或复核所申明的依据。 A second person approves, declines or reviews.",
    )
    end_basis: DecideBasisResult = strawberry.field(
        resolver=resolve_end_basis, description="结束所申明的依据。 End a declared basis when its case is over."
    )
    request_eligibility_review: RequestEligibilityReviewResult = strawberry.field(
        resolver=resolve_request_eligibility_review,
        description="本人申请人工复核一项资格决定。 Ask that a person looks at a programme's no again.",
    )
    decide_eligibility_review: DecideEligibilityReviewResult = strawberry.field(
        resolver=resolve_decide_eligibility_review,
        description="数据管理员作出复核决定。 Decide a review of a programme's no, for stewards.",
    )
    state_on_adverse: StateOnAdverseResult = strawberry.field(
        resolver=resolve_state_on_adverse,
        description="对本人的一条不良信息作出声明，能看到该条目者均可见。 Put a statement beside an own adverse item.",
    )
    withdraw_statement: WithdrawStatementResult = strawberry.field(
        resolver=resolve_withdraw_statement, description="撤回本人声明。 Take an own statement back."
    )
    issue_own_report: IssueOwnReportResult = strawberry.field(
        resolver=resolve_issue_own_report,
        description="领取本人信用报告，编号、注明日期。 Take a numbered report of the own record.",
    )
    decide_link: DecideLinkResult = strawberry.field(
        resolver=resolve_decide_link,
        description="认定一行所指何人，供数据管理员。 Decide whom a row means, for stewards; it shows at once.",
    )
    repair_quarantined_row: RepairQuarantinedRowResult = strawberry.field(
        resolver=resolve_repair_quarantined_row,
        description="更正被隔离的一行，供数据管理员。 Correct fields of a held-back row, for stewards.",
    )
    release_quarantined_row: ReleaseQuarantinedRowResult = strawberry.field(
        resolver=resolve_release_quarantined_row,
        description="放行被隔离的一行，供数据管理员。 Let a held-back row count as delivered, for stewards.",
    )
    discard_quarantined_row: DiscardQuarantinedRowResult = strawberry.field(
        resolver=resolve_discard_quarantined_row,
        description="废弃被隔离的一行，供数据管理员。 Destroy the content of a held-back row, for stewards.",
    )
