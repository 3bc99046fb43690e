"""The frozen names of the hub: roles, purposes, categories, forms, reasons. One list each.

The schema, the access rules, the consent records, the audit log and the operator's reports all use these.
"""

from enum import IntEnum, StrEnum


class Word(StrEnum):
    """A name that is equal to its text and hashes like it: parts are looked up hundreds of times for each answer."""

    __hash__ = str.__hash__


class Role(Word):
    """In which capacity somebody acts."""

    RESIDENT = "RESIDENT"
    GUARDIAN = "GUARDIAN"
    COLLECTOR = "COLLECTOR"
    VILLAGE_REVIEWER = "VILLAGE_REVIEWER"
    TOWNSHIP = "TOWNSHIP"
    LOAN_OFFICER = "LOAN_OFFICER"
    BANK_RISK = "BANK_RISK"
    INSURER = "INSURER"
    MUTUAL_SOCIETY = "MUTUAL_SOCIETY"
    PROVIDER = "PROVIDER"
    FURNISHER = "FURNISHER"
    STEWARD = "STEWARD"
    REGULATOR = "REGULATOR"
    AUDITOR = "AUDITOR"
    SECURITY_ADMIN = "SECURITY_ADMIN"
    OPERATOR = "OPERATOR"
    ANALYST = "ANALYST"
    PUBLIC = "PUBLIC"


class Purpose(Word):
    """What data are wanted for; a disclosure has exactly one."""

    LOAN_APPLICATION = "LOAN_APPLICATION"
    CARD_APPLICATION = "CARD_APPLICATION"
    GUARANTOR_REVIEW = "GUARANTOR_REVIEW"
    ENTERPRISE_PRINCIPAL_REVIEW = "ENTERPRISE_PRINCIPAL_REVIEW"
    POST_LOAN_REVIEW = "POST_LOAN_REVIEW"
    BENEFIT_ELIGIBILITY = "BENEFIT_ELIGIBILITY"
    DATA_COLLECTION = "DATA_COLLECTION"
    DATA_QUALITY = "DATA_QUALITY"
    SELF_ACCESS = "SELF_ACCESS"
    OBJECTION = "OBJECTION"
    SUPERVISION = "SUPERVISION"
    JUDICIAL = "JUDICIAL"
    EMERGENCY = "EMERGENCY"
    STATISTICS = "STATISTICS"
    RATING = "RATING"
    SUBSIDY = "SUBSIDY"
    RISK_COMPENSATION = "RISK_COMPENSATION"
    PUBLICITY = "PUBLICITY"
    DIRECTORY = "DIRECTORY"


class Category(Word):
    """A group of fields that is granted or withheld together."""

    TAX_REGISTRATION = "tax.registration"
    TAX_GRADE = "tax.grade"
    TAX_ARREARS = "tax.arrears"
    TAX_BAND = "tax.band"
    SOCIAL_INSURANCE = "social.insurance"
    CLINIC_ARREARS = "clinic.arrears"
    CIVIL_RELIEF = "civil.relief"
    BANK_LINE = "bank.line"
    BANK_LOAN = "bank.loan"
    IDENTITY = "identity"
    CONTACT = "contact"
    ROSTER = "roster"
    ADVERSE = "adverse"
    CONFLICT = "conflict"
    CONSENT = "consent"
    ACCESS_HISTORY = "access_history"
    RATING = "rating"
    ELIGIBILITY = "eligibility"


FACT_CATEGORIES = (
    Category.TAX_REGISTRATION,
    Category.TAX_GRADE,
    Category.TAX_ARREARS,
    Category.TAX_BAND,
    Category.SOCIAL_INSURANCE,
    Category.CLINIC_ARREARS,
    Category.CIVIL_RELIEF,
    Category.BANK_LINE,
    Category.BANK_LOAN,
)
"""The categories that agencies deliver, in the order of docs/CONTRACTS.md 2.7."""


class Form(Word):
    """How much of a value is shown."""

    VALUE = "VALUE"
    BAND = "BAND"
    TOTAL = "TOTAL"
    YES_NO = "YES_NO"


class WithheldReason(Word):
    """Why a field is null although the caller asked; decided before any value is read."""

    NO_BASIS = "NO_BASIS"
    CATEGORY_NOT_IN_BASIS = "CATEGORY_NOT_IN_BASIS"
    PURPOSE_MISMATCH = "PURPOSE_MISMATCH"
    OUT_OF_AREA = "OUT_OF_AREA"
    STEP_UP_REQUIRED = "STEP_UP_REQUIRED"
    QUOTA = "QUOTA"
    NEVER_DISCLOSED = "NEVER_DISCLOSED"
    MINOR = "MINOR"


class AbsenceReason(Word):
    """Why a *granted* field has no value.

    ``NOT_REPORTED``: no source said anything. ``STALE``, ``SOURCE_DOWN``: none could lately. ``UNAVAILABLE``: the hub
    cannot say anything of the household at the moment, so there may be a value or none.
    """

    NOT_REPORTED = "NOT_REPORTED"
    STALE = "STALE"
    SOURCE_DOWN = "SOURCE_DOWN"
    UNAVAILABLE = "UNAVAILABLE"


class QuarantineReason(IntEnum):
    """Why a row is held back; the number is its rank: the smallest of several wins (docs/CONTRACTS.md 1.5)."""

    ROW_UNREADABLE = 1
    FORBIDDEN_RECORD = 2
    TEXT_UNREADABLE = 3
    ID_MISSING = 4
    ID_PRECISION_LOST = 5
    ID_FORMAT = 6
    ID_CHECK_DIGIT = 7
    ID_BIRTH_DATE = 8
    USCC_CHECK_DIGIT = 9
    MINOR_SUBJECT = 10
    CONSENT_MISSING = 11
    CONSENT_INVALID = 12
    ADVERSE_EXPIRED = 13
    ADVERSE_NOTICE_MISSING = 14
    UNKNOWN_CODE = 15
    BAD_DATE = 16
    DATE_INCONSISTENT = 17
    BAD_AMOUNT = 18
    AMOUNT_INCONSISTENT = 19
    DUP_CONFLICT = 20
    REF_MISSING = 21
    ID_MISSING_UNLINKED = 22

    @property
    def keeps_row(self) -> bool:
        """Whether the row's content may be kept (sealed) for return to the agency."""
        return self not in _COUNT_ONLY


_COUNT_ONLY = frozenset(
    {QuarantineReason.FORBIDDEN_RECORD, QuarantineReason.MINOR_SUBJECT, QuarantineReason.ADVERSE_EXPIRED}
)

RETRIED_REASONS = (QuarantineReason.REF_MISSING, QuarantineReason.ID_MISSING_UNLINKED)
"""Reasons that are tried again at the end of every later pull."""


class RefusalReason(Word):
    """Why a whole file is refused; the first in this order wins (docs/CONTRACTS.md 1.7)."""

    CONTROL_MISSING = "CONTROL_MISSING"
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    HASH_MISMATCH = "HASH_MISMATCH"
    ENCODING_INVALID = "ENCODING_INVALID"
    FORMAT_INVALID = "FORMAT_INVALID"
    COUNT_MISMATCH = "COUNT_MISMATCH"
    TOTAL_MISMATCH = "TOTAL_MISMATCH"


class ConflictType(Word):
    """Disagreements that are shown and never resolved by the machine (docs/CONTRACTS.md 1.3)."""

    NAME_DIFFERS = "NAME_DIFFERS"
    MEMBERSHIP_OVERLAP = "MEMBERSHIP_OVERLAP"
    DECEASED_ACTIVE = "DECEASED_ACTIVE"


class Attribute(Word):
    """What several sources can state about a person while a reader needs one value (docs/PRECEDENCE.md)."""

    MEMBERSHIP = "membership"
    NAME = "name"
    EMPLOYMENT = "employment"
    INCOME = "income"
    ARREARS = "arrears"
    LIFE = "life"


class Criterion(Word):
    """By what one statement goes before another; a precedence rule lists them in its own order."""

    LEGAL = "LEGAL"
    VERIFICATION = "VERIFICATION"
    RECENCY = "RECENCY"


class Verification(Word):
    """How far a source answers for a statement, best first."""

    REGISTER = "REGISTER"
    VERIFIED = "VERIFIED"
    STATED = "STATED"


class ChoiceReason(Word):
    """Why a statement was chosen, or what it lost by."""

    ONLY_STATEMENT = "ONLY_STATEMENT"
    ALL_AGREE = "ALL_AGREE"
    LEGAL = "LEGAL"
    VERIFICATION = "VERIFICATION"
    RECENCY = "RECENCY"
    FIRST_LISTED = "FIRST_LISTED"


class Confidence(Word):
    """How far a chosen value can be relied on (docs/PRECEDENCE.md)."""

    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


class ChallengeCause(Word):
    """Why a source is asked to look at one of its rows again."""

    LOST = "LOST"
    STALE = "STALE"


class ChallengeOutcome(Word):
    """How a challenge ended. The first three are a steward's (征信业管理条例 art. 25); the machine knows the first
    and the last.
    """

    CORRECTED = "CORRECTED"
    UPHELD = "UPHELD"
    INCONCLUSIVE = "INCONCLUSIVE"
    DISSOLVED = "DISSOLVED"


class LinkState(Word):
    """How a row is linked to a person: by number, by a reviewer, by the exact rule alone, not yet, or to nobody."""

    ID = "ID"
    CONFIRMED = "CONFIRMED"
    PROBABLE = "PROBABLE"
    REVIEW = "REVIEW"
    UNLINKED = "UNLINKED"

    @property
    def is_certain(self) -> bool:
        """Whether recipients may see what it ties to the person."""
        return self in _CERTAIN_LINKS

    @property
    def names_person(self) -> bool:
        """Whether a row in this state is tied to one person."""
        return self in _CERTAIN_LINKS or self is LinkState.PROBABLE


_CERTAIN_LINKS = frozenset({LinkState.ID, LinkState.CONFIRMED})


class LinkVerdict(Word):
    """What a reviewer decides about a row: this person, not the person it is linked to, or none of the candidates."""

    LINK = "LINK"
    UNLINK = "UNLINK"
    NONE = "NONE"


class AdverseRegime(Word):
    """Under which law an adverse item stands: how long it is kept, and whether it can be repaired (docs/ADVERSE.md)."""

    CREDIT_REPORTING = "CREDIT_REPORTING"
    PUBLIC_CREDIT = "PUBLIC_CREDIT"


class FactStatus(Word):
    """Whether the value of a current fact may be shown to anyone."""

    CURRENT = "CURRENT"
    LOCKED = "LOCKED"
    SUPPRESSED = "SUPPRESSED"


class SourceStatus(Word):
    """How the pull of one source ended."""

    OK = "OK"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"
