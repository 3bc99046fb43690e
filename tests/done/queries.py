"""The operations of the tests of lines 4 and 5: everything the schema shows, and the changes of consent."""

_PROVENANCE = "provenance { source sourceTime recordedAt sourceVersion validFrom validTo }"
_IDENTITY = "name maskedIdNumber relation ageBand status"
_STATED = f"value ageDays isStale {_PROVENANCE}"
_RESOLVED = " ".join(
    f"{name} {{ {_STATED} confidence precedence {{ id version reason }} others {{ {_STATED} reason contradicts }} }}"
    for name in ("membership", "name", "employment", "income", "arrears")
)
_SECTIONS = f"""
  completeness adultsNotShown
  household {{
    completeness countyCode countyName townshipName villageName villageCode groupNo size minors status }}
  identity {{ completeness {_IDENTITY} }}
  tax {{
    completeness hasArrears
    registrations {{ taxpayerId taxpayerName taxpayerStatus {_PROVENANCE} }}
    grades {{ gradeYear grade {_PROVENANCE} }}
    arrears {{ arrearsNo amount noticeDate clearedOn {_PROVENANCE} }}
    bands {{ periodFrom periodTo taxPaidBand declaredIncomeBand authorisationNo {_PROVENANCE} }} }}
  socialInsurance {{ completeness items {{
    insuranceType enrolStatus paidMonths arrearsMonths latestPeriod employerUscc {_PROVENANCE} }} }}
  adverse {{ completeness items {{ kind since noticeDate endedOn expiresOn statement {_PROVENANCE} }} }}
  conflicts {{ completeness items {{ type source }} }}
  resolved {{ completeness {_RESOLVED} }}
  withheld {{ field category form reason canAskConsent }}
  absent {{ field category form reason }}
"""
_LOAN = f"""
  contractNo receiptNo productCode principal balance overdueAmount overdueDays maturityDate ratePercent fiveClass
  repayStatus24m guarantorCount {_PROVENANCE}
"""
_LINE = f"lineNo amount expiresOn {_PROVENANCE}"

PROFILE = f"""
query Profile($input: BorrowerProfileInput!) {{ borrowerProfile(input: $input) {{
  __typename
  ... on UserError {{ code message }}
  ... on InvalidInput {{ fields {{ path code message }} }}
  ... on BorrowerProfile {{
    borrowerId asOf purpose {_SECTIONS}
    clinicArrears {{ completeness bands {{ balanceBand dueDate planInForce settled {_PROVENANCE} }} }}
    relief {{ completeness inForce }}
    bank {{
      completeness ownLines {{ {_LINE} }} ownLoans {{ {_LOAN} }}
      otherLines {{ lenders totalAmount }} otherLoans {{ lenders totalBalance loans worstClass }} }}
    otherAdults {{ borrowerId completeness {_IDENTITY} }} }} }} }}
"""
OWN_RECORD = f"""
query Own {{ household {{
  __typename
  ... on UserError {{ code message }}
  ... on OwnRecord {{
    asOf purpose {_SECTIONS}
    clinicArrears {{ completeness bills {{
      amountDue amountPaid arrearsBalance billDate dueDate repayPlanUntil settledDate {_PROVENANCE} }} }}
    relief {{ completeness items {{ reliefType monthlyAmount householdSize {_PROVENANCE} }} }}
    bank {{
      completeness lines {{ lender items {{ {_LINE} }} }} loans {{ lender items {{ {_LOAN} }} }} }} }} }} }}
"""
REQUEST = """
mutation Request($input: RequestConsentInput!) { requestConsent(input: $input) {
  __typename ... on ConsentRequested { requestId answerBy state }
  ... on UserError { code message } ... on InvalidInput { fields { path code } } } }
"""
GRANT = """
mutation Grant($input: GrantConsentInput!) { grantConsent(input: $input) {
  __typename ... on ConsentGranted { consentId organisationId parts { category form } maxUses termsDigest }
  ... on UserError { code message } ... on InvalidInput { fields { path code } } } }
"""
REFUSE = """
mutation Refuse($input: RefuseConsentInput!) { refuseConsent(input: $input) {
  __typename ... on ConsentRefused { state } ... on UserError { code message }
  ... on InvalidInput { fields { path code } } } }
"""
WITHDRAW = """
mutation Withdraw($input: WithdrawConsentInput!) { withdrawConsent(input: $input) {
  __typename ... on ConsentWithdrawn { state } ... on UserError { code message }
  ... on InvalidInput { fields { path code } } } }
"""
CONSENTS = """
query Book { consents {
  __typename
  ... on UserError { code message }
  ... on ConsentBook {
    requests { id state notice purpose organisation { id nameZh nameEn } parts { category form } applicationRef }
    consents { id state uses maxUses hasHeightenedNotice expiresAt endedAt parts { category form } } } } }
"""
HISTORY = """
query History($first: Int!) { accessHistory(first: $first) {
  __typename
  ... on UserError { code message }
  ... on AccessConnection { total edges { node {
    number event meaning organisation organisationId purpose decision categories isIntact } } } } }
"""
LOG = """
query Log($first: Int!) { auditEvents(first: $first) {
  __typename
  ... on UserError { code message }
  ... on AuditEventConnection { edges { node {
    index event kind organisationId leaf entry inclusionProof { treeSize path receipt } } } } } }
"""

REVIEWS = """
query Reviews($first: Int!) { linkReviews(first: $first) {
  __typename
  ... on UserError { code message }
  ... on LinkReviewConnection { edges { node { source sourceKey state band } } }
} }
"""
