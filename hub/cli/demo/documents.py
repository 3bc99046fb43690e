"""The GraphQL operations of the story."""

PROFILE = """
query Profile($input: BorrowerProfileInput!) {
  borrowerProfile(input: $input) {
    __typename
    ... on BorrowerProfile {
      borrowerId
      completeness
      household { completeness countyName townshipName villageName size minors status }
      identity { name maskedIdNumber relation ageBand }
      tax {
        completeness
        registrations { taxpayerName taxpayerStatus provenance { source sourceTime sourceVersion } }
        grades { gradeYear grade provenance { source sourceTime sourceVersion } }
        hasArrears
        bands { taxPaidBand declaredIncomeBand }
      }
      socialInsurance { completeness items { insuranceType enrolStatus paidMonths provenance { source sourceTime } } }
      clinicArrears { completeness bands { balanceBand dueDate planInForce settled provenance { source sourceTime } } }
      relief { completeness inForce }
      bank {
        completeness
        ownLines { lineNo amount expiresOn }
        ownLoans { contractNo productCode principal balance overdueDays fiveClass }
        otherLines { lenders totalAmount }
        otherLoans { lenders totalBalance loans worstClass }
      }
      adverse { completeness items { kind since noticeDate endedOn expiresOn } }
      conflicts { items { type source } }
      otherAdults { maskedIdNumber relation ageBand }
      adultsNotShown
      withheld { field reason canAskConsent }
      absent { field reason }
    }
    ... on NotAllowed { code message }
    ... on InvalidInput { code message fields { path code message } }
  }
}
"""

REQUEST = """
mutation Ask($input: RequestConsentInput!) {
  requestConsent(input: $input) {
    __typename
    ... on ConsentRequested { requestId answerBy }
    ... on UserError { code message }
    ... on InvalidInput { fields { path code message } }
  }
}
"""

INBOX = """
query Inbox {
  consents {
    __typename
    ... on ConsentBook {
      requests { id organisation { id nameEn } purpose state parts { category form } notice }
      consents { id organisation { id nameEn } purpose state }
    }
    ... on UserError { code message }
  }
}
"""

GRANT = """
mutation Grant($input: GrantConsentInput!) {
  grantConsent(input: $input) {
    __typename
    ... on ConsentGranted { consentId organisationId expiresAt maxUses termsDigest }
    ... on UserError { code message }
    ... on InvalidInput { fields { path code message } }
  }
}
"""

WITHDRAW = """
mutation Withdraw($input: WithdrawConsentInput!) {
  withdrawConsent(input: $input) {
    __typename
    ... on ConsentWithdrawn { consentId state }
    ... on UserError { code message }
    ... on InvalidInput { fields { path code message } }
  }
}
"""

HISTORY = """
query History {
  accessHistory(first: 50) {
    __typename
    ... on AccessConnection {
      edges { node { number at event organisation purpose decision categories } }
    }
    ... on UserError { code message }
    ... on InvalidInput { fields { path code message } }
  }
}
"""

EVENTS = """
query Events($filter: AuditFilter) {
  auditEvents(first: 100, filter: $filter) {
    __typename
    ... on AuditEventConnection {
      edges { node { index event decision inclusionProof { treeSize path } } }
    }
    ... on UserError { code message }
    ... on InvalidInput { fields { path code message } }
  }
}
"""
