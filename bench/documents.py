"""The operations that are measured. The hub and its peer get the same text, byte for byte."""

_HEAD = """
query Profile($input: BorrowerProfileInput!) {
  borrowerProfile(input: $input) {
    __typename
    ... on BorrowerProfile {
      borrowerId asOf purpose completeness
"""
_TAIL = """
    }
  }
}
"""
_NOTICES = """
      withheld { field category form reason canAskConsent }
      absent { field category form reason }
"""
_PROVENANCE = "provenance { source sourceTime recordedAt sourceVersion validFrom validTo }"

_SECTIONS = {
    "household": "completeness countyCode countyName townshipName villageName villageCode groupNo size minors status",
    "identity": "completeness name maskedIdNumber relation ageBand status",
    "bank": f"""completeness
      ownLines {{ lineNo amount expiresOn {_PROVENANCE} }}
      ownLoans {{ contractNo receiptNo productCode principal balance overdueAmount overdueDays maturityDate ratePercent
                  fiveClass repayStatus24m guarantorCount {_PROVENANCE} }}
      otherLines {{ lenders totalAmount }}
      otherLoans {{ lenders totalBalance loans worstClass }}""",
    "tax": f"""completeness
      registrations {{ taxpayerId taxpayerName taxpayerStatus {_PROVENANCE} }}
      grades {{ gradeYear grade {_PROVENANCE} }}
      arrears {{ arrearsNo amount noticeDate clearedOn {_PROVENANCE} }}
      hasArrears
      bands {{ periodFrom periodTo taxPaidBand declaredIncomeBand authorisationNo {_PROVENANCE} }}""",
    "socialInsurance": f"""completeness
      items {{ insuranceType enrolStatus paidMonths arrearsMonths latestPeriod employerUscc {_PROVENANCE} }}""",
    "clinicArrears": f"completeness bands {{ balanceBand dueDate planInForce settled {_PROVENANCE} }}",
    "relief": "completeness inForce",
    "adverse": f"completeness items {{ kind since noticeDate endedOn expiresOn statement {_PROVENANCE} }}",
    "conflicts": "completeness items { type source }",
}
_ADULTS = "otherAdults { borrowerId completeness name maskedIdNumber relation ageBand status } adultsNotShown"


def _document(names: tuple[str, ...], rest: str = "") -> str:
    return _HEAD + "".join(f"{name} {{ {_SECTIONS[name]} }}\n" for name in names) + rest + _TAIL


FULL = _document(tuple(_SECTIONS), _ADULTS + _NOTICES)
"""Every field that a bank's risk desk may see."""

HALF = _document(("household", "identity", "bank"))
"""Three of the nine sections."""

FEW = _document(("identity",))
"""One section without lists."""

OFFICER = "bench.officer"
PURPOSE = "LOAN_APPLICATION"


def variables(id_number: str, name: str) -> dict[str, object]:
    """The variables of a first-time query: a borrower by ID number and name."""
    borrower = {"identity": {"idNumber": id_number, "name": name}}
    return {"input": {"borrower": borrower, "purpose": PURPOSE, "officer": OFFICER}}


def leaves(value: object) -> int:
    """Leaf values of an answer."""
    if isinstance(value, dict):
        return sum(map(leaves, value.values()))
    if isinstance(value, list):
        return sum(map(leaves, value))
    return 1
