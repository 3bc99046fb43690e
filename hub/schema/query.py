"""Reads. An operation has one root field; those that show a record or the log leave one entry in the audit log.

While the log cannot record, none of them answers.
"""

import strawberry

from hub.schema.alerts import resolve_security_alerts
from hub.schema.audit import resolve_access_history, resolve_audit_events
from hub.schema.borrower import resolve_borrower_profile, resolve_own_record
from hub.schema.captures import (
    resolve_consent_capture,
    resolve_consent_captures,
    resolve_consent_evidence,
    resolve_consent_form,
)
from hub.schema.challenges import resolve_challenges
from hub.schema.consent import resolve_consent_request, resolve_consents
from hub.schema.consent_steps import resolve_consent_changes, resolve_consent_receipt
from hub.schema.coverage import resolve_coverage
from hub.schema.eligibility import resolve_benefit_eligibility
from hub.schema.eligibility_reviews import (
    resolve_eligibility_decisions,
    resolve_eligibility_reviews,
    resolve_explain_eligibility,
)
from hub.schema.explanations import resolve_explain_access
from hub.schema.links import resolve_link_review, resolve_link_reviews
from hub.schema.notices import resolve_notices
from hub.schema.provisions import resolve_provisions
from hub.schema.quarantine import resolve_quarantine_rows, resolve_quarantine_summary
from hub.schema.scorecards import resolve_source_scorecards
from hub.schema.types.alerts import SecurityAlertsResult
from hub.schema.types.audit import AccessHistoryResult, AuditEventsResult
from hub.schema.types.captures import (
    ConsentCaptureResult,
    ConsentCapturesResult,
    ConsentEvidenceResult,
    ConsentFormResult,
)
from hub.schema.types.challenges import ChallengesResult
from hub.schema.types.consent import ConsentBookResult, ConsentRequestStateResult
from hub.schema.types.consent_steps import ConsentChangesResult, ConsentReceiptResult
from hub.schema.types.coverage import CoverageResult
from hub.schema.types.eligibility import BenefitEligibilityResult
from hub.schema.types.eligibility_reviews import (
    EligibilityDecisionsResult,
    EligibilityReviewsResult,
    ExplainEligibilityResult,
)
from hub.schema.types.explanations import ExplainAccessResult
from hub.schema.types.links import LinkReviewResult, LinkReviewsResult
from hub.schema.types.notices import NoticesResult
from hub.schema.types.profile import BorrowerProfileResult, OwnRecordResult
from hub.schema.types.provisions import ProvisionsResult
from hub.schema.types.quarantine import QuarantineRowsResult, QuarantineSummaryResult
from hub.schema.types.scorecards import SourceScorecardsResult
from hub.schema.types.wards import WardsResult
from hub.schema.wards import resolve_wards


@strawberry.type(description="查询。 Reads; an operation has one of them.")
class Query:
    """The root of reads."""

    borrower_profile: BorrowerProfileResult = strawberry.field(
        resolver=resolve_borrower_profile,
        description="借款人信用信息，仅用 POST。 What an organisation may see of a borrower. POST only.",
    )
    benefit_eligibility: BenefitEligibilityResult = strawberry.field(
        resolver=resolve_benefit_eligibility,
        description="是否符合惠民项目条件，仅用 POST。 Whether a person is eligible for a programme.",
    )
    eligibility_decisions: EligibilityDecisionsResult = strawberry.field(
        resolver=resolve_eligibility_decisions,
        description="各项目对本人的资格决定。 What programmes decided about the resident who asks.",
    )
    explain_eligibility: ExplainEligibilityResult = strawberry.field(
        resolver=resolve_explain_eligibility,
        description="资格决定为何如此，本人数据只有本人可见。 Why a programme decided so about the resident who asks.",
    )
    eligibility_reviews: EligibilityReviewsResult = strawberry.field(
        resolver=resolve_eligibility_reviews,
        description="待复核的资格决定，供数据管理员。 Reviews of decisions that wait; `first` is 1 to 100.",
    )
    household: OwnRecordResult = strawberry.field(
        resolver=resolve_own_record,
        description="本人及本户信用档案，或被监护人的档案。 The own record of the resident who asks, or a ward's.",
    )
    consents: ConsentBookResult = strawberry.field(
        resolver=resolve_consents,
        description="本人或被监护人收到的请求和已作出的同意。 One's own requests and consents, or those of a ward.",
    )
    wards: WardsResult = strawberry.field(
        resolver=resolve_wards,
        description="本人可代为决定的未成年人。 The minors for whom the resident who asks may act as guardian.",
    )
    consent_request: ConsentRequestStateResult = strawberry.field(
        resolver=resolve_consent_request, description="本机构请求的状态。 How a request of the own organisation stands."
    )
    consent_receipt: ConsentReceiptResult = strawberry.field(
        resolver=resolve_consent_receipt,
        description="本人一份同意的签名回执，供保存。 The signed receipt of one of the own consents, to keep.",
    )
    consent_changes: ConsentChangesResult = strawberry.field(
        resolver=resolve_consent_changes,
        description="本机构同意的变化，`since` 为上一页的游标。 Changes since a cursor; `first` is 1 to 100.",
    )
    consent_form: ConsentFormResult = strawberry.field(
        resolver=resolve_consent_form,
        description="现场出示的告知书，供采集员。 The words to be shown to a person in the field, for collectors.",
    )
    consent_captures: ConsentCapturesResult = strawberry.field(
        resolver=resolve_consent_captures,
        description="现场采集、待复核的同意，供数据管理员。 Captured consents, for stewards; `first` is 1 to 100.",
    )
    consent_capture: ConsentCaptureResult = strawberry.field(
        resolver=resolve_consent_capture,
        description="一张采集单，须写明事由。 One captured consent with the names on its form, for a stated reason.",
    )
    consent_evidence: ConsentEvidenceResult = strawberry.field(
        resolver=resolve_consent_evidence,
        description="同意的影像证据，须写明事由。 A picture that proves a consent, for a stated reason.",
    )
    access_history: AccessHistoryResult = strawberry.field(
        resolver=resolve_access_history,
        description="谁看过我或被监护人的数据。 Who looked at one's own data, or a ward's; `first` is 1 to 100.",
    )
    explain_access: ExplainAccessResult = strawberry.field(
        resolver=resolve_explain_access,
        description="这一次查询为何能看到或看不到。 Why an access of the own list showed what it did, then and now.",
    )
    notices: NoticesResult = strawberry.field(
        resolver=resolve_notices, description="平台须主动告知本人的事项。 What the resident who asks has to be told."
    )
    audit_events: AuditEventsResult = strawberry.field(
        resolver=resolve_audit_events,
        description="审计日志，供监管人员。 The audit log, for regulators and auditors; `first` is 1 to 100.",
    )
    provisions: ProvisionsResult = strawberry.field(
        resolver=resolve_provisions,
        description="对外提供记录，供监管人员。 Records of provision, for regulators, auditors; `first` is 1 to 100.",
    )
    security_alerts: SecurityAlertsResult = strawberry.field(
        resolver=resolve_security_alerts,
        description="查询异常警报，供监管人员。 Alarms about queries, for regulators, auditors; `first` is 1 to 100.",
    )
    challenges: ChallengesResult = strawberry.field(
        resolver=resolve_challenges,
        description="请来源单位核对的行，供数据管理员。 Rows that sources are asked to look at again, for stewards.",
    )
    link_reviews: LinkReviewsResult = strawberry.field(
        resolver=resolve_link_reviews,
        description="关联复核队列，供数据管理员。 Rows that wait for a reviewer; `first` is 1 to 100.",
    )
    link_review: LinkReviewResult = strawberry.field(
        resolver=resolve_link_review,
        description="一行与候选人并列，供数据管理员，须写明事由。 One such row beside the members who may be meant.",
    )
    quarantine_summary: QuarantineSummaryResult = strawberry.field(
        resolver=resolve_quarantine_summary,
        description="隔离区概况，供数据管理员。 What is held back by source, reason and age, for stewards.",
    )
    quarantine_rows: QuarantineRowsResult = strawberry.field(
        resolver=resolve_quarantine_rows,
        description="被隔离的数据，不含内容，供数据管理员。 What is held back, without content; `first` is 1 to 100.",
    )
    coverage: CoverageResult = strawberry.field(
        resolver=resolve_coverage,
        description="档案覆盖率，供监管、数据管理员、乡镇和采集员在本辖区内查看。 Coverage by area, for officials.",
    )
    source_scorecards: SourceScorecardsResult = strawberry.field(
        resolver=resolve_source_scorecards,
        description="数据来源评分，供监管、数据管理员和运维人员。 How good every source is; `days` is 1 to 400.",
    )
