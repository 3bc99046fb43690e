"""The one registry of classified fields: what each GraphQL field shows, how sensitive it is, and where it comes from.

A field id is ``Type.field`` of the GraphQL schema. Every field of a type that carries data about a person stands either
in :data:`FIELDS`, with the part (category and form) that must be granted for it, or in :data:`STRUCTURE`, if it says
nothing about the person. A test walks the schema and fails for a field that stands in neither. The schema prints each
entry as ``@classified``, so a change of classification is a visible line in the committed SDL.

    >>> FIELDS["TaxSection.grades"].part
    Part(category=<Category.TAX_GRADE: 'tax.grade'>, form=<Form.VALUE: 'VALUE'>)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from hub.core.disclosure import Part
from hub.core.names import Category, Form


class Sensitivity(StrEnum):
    """Classes of the data dictionary (docs/CONTRACTS.md): how a value must be guarded."""

    PUBLIC = "PUB"  # public by law
    ORDINARY = "P1"  # ordinary personal information
    IDENTIFYING = "P2"  # identifying or financial: encrypted at rest, masked where possible
    SENSITIVE = "S"  # needs separate consent (personal information protection law art. 28-29)
    WRITTEN_CONSENT = "W"  # needs written consent after notice of adverse effects (credit reporting regulation art. 14)


@dataclass(frozen=True, slots=True)
class FieldClass:
    """The classification of one field.

    ``label`` is its Chinese name for people, ``meaning`` one English sentence, ``source`` the kind of agency that
    delivers it. ``place`` is where it stands in the answer (``tax.grades``); it is empty for the fields inside a
    list item, which are granted or withheld together with the list. ``also``: further parts that a resolved value is
    made of, each as far as it is granted; what is not is left out of the value and named in the notices.
    """

    part: Part
    sensitivity: Sensitivity
    label: str
    meaning: str
    source: str
    place: str = ""
    also: tuple[Part, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """Every part that the value is made of."""
        return (self.part, *self.also)


FIELDS: dict[str, FieldClass] = {}
"""Field id -> classification, in the order in which notices are given."""

STRUCTURE: set[str] = set()
"""Ids of fields that carry no data of their own: containers, notices, and the provenance that travels with a value."""


def _structure(type_name: str, *names: str) -> None:
    STRUCTURE.update(f"{type_name}.{name}" for name in names)


def _section(type_name: str, place: str, source: str, rows: Iterable[tuple[str, Part, Sensitivity, str, str]]) -> None:
    """Fields of a section object, each with its own place in the answer."""
    _structure(type_name, "completeness")
    for name, part, sensitivity, label, meaning in rows:
        FIELDS[f"{type_name}.{name}"] = FieldClass(part, sensitivity, label, meaning, source, f"{place}.{name}")


def _parts(type_name: str, part: Part, source: str, rows: Iterable[tuple[str, Sensitivity, str, str]]) -> None:
    """Fields inside a place; all belong to its part."""
    for name, sensitivity, label, meaning in rows:
        FIELDS[f"{type_name}.{name}"] = FieldClass(part, sensitivity, label, meaning, source)


def _item(type_name: str, part: Part, source: str, rows: Iterable[tuple[str, Sensitivity, str, str]]) -> None:
    """Fields of one reported item, which carries its provenance."""
    _parts(type_name, part, source, rows)
    _structure(type_name, "provenance")


_PUB, _P1, _P2, _S, _W = Sensitivity

ROSTER = Part(Category.ROSTER, Form.VALUE)
IDENTITY = Part(Category.IDENTITY, Form.VALUE)
TAX_REGISTRATION = Part(Category.TAX_REGISTRATION, Form.VALUE)
TAX_GRADE = Part(Category.TAX_GRADE, Form.VALUE)
TAX_ARREARS = Part(Category.TAX_ARREARS, Form.VALUE)
TAX_ARREARS_YES_NO = Part(Category.TAX_ARREARS, Form.YES_NO)
TAX_BAND = Part(Category.TAX_BAND, Form.BAND)
SOCIAL_INSURANCE = Part(Category.SOCIAL_INSURANCE, Form.VALUE)
CLINIC_BAND = Part(Category.CLINIC_ARREARS, Form.BAND)
CLINIC_VALUE = Part(Category.CLINIC_ARREARS, Form.VALUE)
RELIEF_YES_NO = Part(Category.CIVIL_RELIEF, Form.YES_NO)
RELIEF_VALUE = Part(Category.CIVIL_RELIEF, Form.VALUE)
BANK_LINE = Part(Category.BANK_LINE, Form.VALUE)
BANK_LINE_TOTAL = Part(Category.BANK_LINE, Form.TOTAL)
BANK_LOAN = Part(Category.BANK_LOAN, Form.VALUE)
BANK_LOAN_TOTAL = Part(Category.BANK_LOAN, Form.TOTAL)
ADVERSE = Part(Category.ADVERSE, Form.VALUE)
CONFLICT = Part(Category.CONFLICT, Form.VALUE)
ELIGIBILITY = Part(Category.ELIGIBILITY, Form.YES_NO)

_structure("BorrowerProfile", "borrowerId", "asOf", "purpose", "completeness", "withheld", "absent")
_structure("OwnRecord", "asOf", "purpose", "completeness", "withheld", "absent")
for _root in ("BorrowerProfile", "OwnRecord"):
    _structure(_root, "household", "identity", "tax", "socialInsurance", "clinicArrears", "relief", "bank", "adverse")
    _structure(_root, "conflicts", "resolved")
    FIELDS[f"{_root}.adultsNotShown"] = FieldClass(
        ROSTER,
        _P1,
        "未显示的成年人数",
        "Number of adult members about whom nothing is shown.",
        "civil",
        "adultsNotShown",
    )
_structure("BenefitEligibility", "programme", "programmeVersion", "period", "personId", "withheld")
_structure("BenefitEligibility", "decisionId", "decidedAt", "validUntil")
FIELDS["BenefitEligibility.answer"] = FieldClass(
    ELIGIBILITY,
    _P2,
    "是否符合项目条件",
    "Whether the person is eligible for the programme in this period; nothing of what it was worked out from.",
    "derived",
    "answer",
)
_parts(
    "BenefitEligibility",
    ELIGIBILITY,
    "derived",
    (
        (
            "signedAnswer",
            _P2,
            "签名的回答",
            "The answer as an SD-JWT that can be checked without the hub, if asked for.",
        ),
    ),
)
_structure("Withheld", "field", "category", "form", "reason", "canAskConsent")
_structure("Absent", "field", "category", "form", "reason")
_structure("Provenance", "source", "sourceTime", "recordedAt", "sourceVersion", "validFrom", "validTo", "repaired")

FIELDS["BorrowerProfile.otherAdults"] = FieldClass(
    IDENTITY, _P1, "其他成年成员", "Adult members who agreed to be shown to the asker.", "civil", "otherAdults"
)
_section(
    "HouseholdSection",
    "household",
    "civil",
    (
        ("countyCode", ROSTER, _P1, "县（市）代码", "County code (GB/T 2260)."),
        ("countyName", ROSTER, _P1, "县（市）", "County name."),
        ("townshipName", ROSTER, _P1, "乡镇", "Township name."),
        ("villageName", ROSTER, _P1, "村（社区）", "Village name."),
        ("villageCode", ROSTER, _P1, "村代码", "Village code (12-digit statistical code)."),
        ("groupNo", ROSTER, _P1, "村民小组", "Villagers' group in the village."),
        ("size", ROSTER, _P1, "家庭人口", "Living current members, minors included."),
        ("minors", ROSTER, _P1, "未成年人数", "Living current members under 18."),
        ("status", ROSTER, _P1, "户状态", "State of the household on the roster."),
    ),
)
_IDENTITY_ROWS = (
    ("name", IDENTITY, _P1, "姓名", "Name on the roster."),
    ("maskedIdNumber", IDENTITY, _P2, "身份证号（掩码）", "Identity number with its middle hidden."),
    ("relation", IDENTITY, _P1, "与户主关系", "Relation to the head of household (GB/T 4761)."),
    ("ageBand", IDENTITY, _P1, "年龄段", "Age as a band: 18-24, 25-34, 35-44, 45-54, 55-64, 65+."),
    ("status", IDENTITY, _P1, "人员状态", "State of the person on the roster."),
)
_section("IdentitySection", "identity", "civil", _IDENTITY_ROWS)
_section("OtherAdult", "otherAdults", "civil", _IDENTITY_ROWS)
_structure("OtherAdult", "borrowerId")
_section(
    "TaxSection",
    "tax",
    "tax",
    (
        ("registrations", TAX_REGISTRATION, _P1, "税务登记", "Tax registrations."),
        ("grades", TAX_GRADE, _P1, "纳税信用等级", "Tax credit grades by year."),
        ("arrears", TAX_ARREARS, _P2, "欠税公告", "Tax arrears on public notice, with amounts."),
        ("hasArrears", TAX_ARREARS_YES_NO, _P2, "有无未清欠税", "Whether tax arrears are uncleared."),
        ("bands", TAX_BAND, _W, "纳税与收入区间", "Tax paid and declared income as bands."),
    ),
)
_item(
    "TaxRegistration",
    TAX_REGISTRATION,
    "tax",
    (
        ("taxpayerId", _P2, "纳税人识别号", "Taxpayer number; masked where it is an identity number."),
        ("taxpayerName", _P1, "纳税人名称", "Name of the taxpayer."),
        ("taxpayerStatus", _P1, "登记状态", "State of the registration."),
    ),
)
_item(
    "TaxGrade",
    TAX_GRADE,
    "tax",
    (("gradeYear", _P1, "评价年度", "Year graded."), ("grade", _P1, "信用等级", "Grade: A, B, M, C or D.")),
)
_item(
    "TaxArrears",
    TAX_ARREARS,
    "tax",
    (
        ("arrearsNo", _P1, "欠税编号", "The tax office's number of the arrears."),
        ("amount", _P2, "欠税金额（元）", "Amount in yuan."),
        ("noticeDate", _P2, "公告日期", "Day of the public notice."),
        ("clearedOn", _P2, "清缴日期", "Day on which it was paid; null while it is not."),
    ),
)
_item(
    "TaxBand",
    TAX_BAND,
    "tax",
    (
        ("periodFrom", _P2, "所属期起", "First day of the period."),
        ("periodTo", _P2, "所属期止", "Last day of the period."),
        ("taxPaidBand", _P2, "纳税额区间", "Band of the tax paid."),
        ("declaredIncomeBand", _P2, "申报收入区间", "Band of the declared income."),
        ("authorisationNo", _P1, "授权书编号", "The authorisation under which the tax office gave it."),
    ),
)
_section(
    "SocialInsuranceSection",
    "socialInsurance",
    "social",
    (("items", SOCIAL_INSURANCE, _P2, "社会保险", "Social insurance by type."),),
)
_item(
    "SocialInsurance",
    SOCIAL_INSURANCE,
    "social",
    (
        ("insuranceType", _P2, "险种", "Type of insurance."),
        ("enrolStatus", _P2, "参保状态", "State of enrolment."),
        ("paidMonths", _P2, "缴费月数", "Months paid."),
        ("arrearsMonths", _P2, "欠费月数", "Months in arrears."),
        ("latestPeriod", _P2, "最近缴费期", "Latest period paid, YYYYMM."),
        ("employerUscc", _P1, "参保单位代码", "Unified social credit code of the employer."),
    ),
)
_section(
    "ClinicArrearsSection",
    "clinicArrears",
    "clinic",
    (("bands", CLINIC_BAND, _S, "卫生院欠费区间", "Arrears at township clinics as bands."),),
)
_item(
    "ClinicArrearsBand",
    CLINIC_BAND,
    "clinic",
    (
        ("balanceBand", _S, "欠费余额区间", "Band of the balance in yuan."),
        ("dueDate", _S, "应缴日期", "Day due."),
        ("planInForce", _S, "还款计划执行中", "Whether a repayment plan is in force."),
        ("settled", _S, "已结清", "Whether it is settled."),
    ),
)
_section(
    "OwnClinicArrearsSection",
    "clinicArrears",
    "clinic",
    (("bills", CLINIC_VALUE, _S, "卫生院欠费明细", "Own bills at township clinics."),),
)
_item(
    "ClinicArrearsBill",
    CLINIC_VALUE,
    "clinic",
    (
        ("amountDue", _S, "应缴金额（元）", "Amount due in yuan."),
        ("amountPaid", _S, "已缴金额（元）", "Amount paid in yuan."),
        ("arrearsBalance", _S, "欠费余额（元）", "Balance in yuan."),
        ("billDate", _S, "账单日期", "Day of the bill."),
        ("dueDate", _S, "应缴日期", "Day due."),
        ("repayPlanUntil", _S, "还款计划至", "End of the repayment plan."),
        ("settledDate", _S, "结清日期", "Day settled."),
    ),
)
_section(
    "ReliefSection",
    "relief",
    "civil",
    (("inForce", RELIEF_YES_NO, _P2, "救助执行中", "Whether the household receives relief now."),),
)
_section(
    "OwnReliefSection",
    "relief",
    "civil",
    (("items", RELIEF_VALUE, _S, "社会救助", "Relief that the own household receives."),),
)
_item(
    "Relief",
    RELIEF_VALUE,
    "civil",
    (
        ("reliefType", _S, "救助类别", "Kind of relief."),
        ("monthlyAmount", _S, "月救助金额（元）", "Amount a month in yuan."),
        ("householdSize", _S, "保障人数", "Members covered."),
    ),
)
_section(
    "BankSection",
    "bank",
    "bank",
    (
        ("ownLines", BANK_LINE, _P2, "本行授信", "Credit lines at the asking bank."),
        ("ownLoans", BANK_LOAN, _P2, "本行贷款", "Loans at the asking bank."),
        ("otherLines", BANK_LINE_TOTAL, _P2, "他行授信合计", "Credit lines at other banks, summed."),
        ("otherLoans", BANK_LOAN_TOTAL, _P2, "他行贷款合计", "Loans at other banks, summed."),
    ),
)
_section(
    "OwnBankSection",
    "bank",
    "bank",
    (
        ("lines", BANK_LINE, _P2, "本人授信", "Own credit lines, bank by bank."),
        ("loans", BANK_LOAN, _P2, "本人贷款", "Own loans, bank by bank."),
    ),
)
_item(
    "CreditLine",
    BANK_LINE,
    "bank",
    (
        ("lineNo", _P2, "授信编号", "The bank's number of the line."),
        ("amount", _P2, "授信金额（元）", "Amount in yuan."),
        ("expiresOn", _P2, "到期日", "Last day."),
    ),
)
_item(
    "Loan",
    BANK_LOAN,
    "bank",
    (
        ("contractNo", _P2, "合同编号", "The bank's contract number."),
        ("receiptNo", _P2, "借据编号", "The bank's loan receipt number."),
        ("productCode", _P2, "产品代码", "The bank's product."),
        ("principal", _P2, "借款金额（元）", "Amount lent in yuan."),
        ("balance", _P2, "贷款余额（元）", "Balance in yuan."),
        ("overdueAmount", _P2, "逾期金额（元）", "Amount overdue in yuan."),
        ("overdueDays", _P2, "逾期天数", "Days overdue."),
        ("maturityDate", _P2, "到期日", "Last day."),
        ("ratePercent", _P2, "年利率（%）", "Yearly rate in per cent."),
        ("fiveClass", _P2, "五级分类", "Loan class from 1 (normal) to 5 (loss)."),
        ("repayStatus24m", _P2, "近24个月还款状态", "Repayment state of the last 24 months, one character each."),
        ("guarantorCount", _P2, "担保人数", "Number of guarantors."),
    ),
)
for _lender, _part in (("LenderLines", BANK_LINE), ("LenderLoans", BANK_LOAN)):
    _parts(
        _lender,
        _part,
        "bank",
        (("lender", _P2, "贷款机构", "12-digit code of the bank."), ("items", _P2, "明细", "What this bank reports.")),
    )
_parts(
    "LinesTotal",
    BANK_LINE_TOTAL,
    "bank",
    (("lenders", _P2, "机构数", "Number of banks."), ("totalAmount", _P2, "授信总额（元）", "Sum in yuan.")),
)
_parts(
    "LoansTotal",
    BANK_LOAN_TOTAL,
    "bank",
    (
        ("lenders", _P2, "机构数", "Number of banks."),
        ("totalBalance", _P2, "贷款余额合计（元）", "Sum of balances in yuan."),
        ("loans", _P2, "贷款笔数", "Number of loans."),
        ("worstClass", _P2, "最差五级分类", "Worst loan class of all."),
    ),
)
_section(
    "AdverseSection",
    "adverse",
    "derived",
    (("items", ADVERSE, _P2, "不良信息", "Adverse information, each with its notice and its end."),),
)
_section(
    "OwnAdverseSection",
    "adverse",
    "derived",
    (("items", ADVERSE, _P2, "本人不良信息", "Own adverse information, each item with its id."),),
)
_ADVERSE_ITEM = (
    ("kind", _P2, "类别", "Category of the fact behind it."),
    ("regime", _P2, "适用制度", "Law under which it stands (docs/ADVERSE-REGIMES.md)."),
    ("since", _P2, "起始日", "Day since which it stands."),
    ("noticeDate", _P2, "告知日", "Day on which the person was told."),
    ("endedOn", _P2, "终止日", "Day on which the event ended; null while it lasts."),
    ("expiresOn", _P2, "展示截止日", "Last day of showing, by its regime; five years after the end at the latest."),
    ("statement", _P2, "本人声明", "The person's own statement."),
    ("statedOn", _P2, "声明日期", "Day on which the person made it."),
)
_item("AdverseItem", ADVERSE, "derived", _ADVERSE_ITEM)
_item(
    "OwnAdverseItem",
    ADVERSE,
    "derived",
    (("itemId", _P2, "条目编号", "By which the person names it when making a statement."), *_ADVERSE_ITEM),
)
_section(
    "ConflictSection",
    "conflicts",
    "derived",
    (("items", CONFLICT, _P1, "数据不一致", "Disagreements between sources, shown and not resolved."),),
)
_parts(
    "SourceConflict",
    CONFLICT,
    "derived",
    (("type", _P1, "类型", "Kind of disagreement."), ("source", _P1, "来源", "The source that disagrees.")),
)


_RESOLVED = (
    ("membership", IDENTITY, _P1, (), "所属农户", "Which of several current memberships on the roster counts."),
    ("name", IDENTITY, _S, (TAX_REGISTRATION, SOCIAL_INSURANCE, BANK_LINE, BANK_LOAN), "姓名", "Name of the person."),
    ("employment", SOCIAL_INSURANCE, _P2, (TAX_REGISTRATION,), "就业状态", "Employed, trading, or not employed."),
    ("income", TAX_BAND, _W, (), "收入区间", "Band of the newest declared income, or below the relief line."),
    ("arrears", TAX_ARREARS_YES_NO, _S, (BANK_LOAN,), "有无未清欠款", "Whether anything overdue is still open."),
)
"""Resolved values: field, first part, sensitivity, further parts, label, meaning (docs/PRECEDENCE.md)."""

_RESOLVED_OF = {
    "ResolvedSection": {"name": (CLINIC_BAND,), "arrears": (CLINIC_BAND,)},
    "OwnResolvedSection": {"name": (CLINIC_VALUE,), "arrears": (CLINIC_VALUE,), "income": (RELIEF_VALUE,)},
}
"""What only one of the two readers' sections is made of as well."""

for _name, _part, _class, _also, _label, _meaning in _RESOLVED:
    for _type, _own in _RESOLVED_OF.items():
        FIELDS[f"{_type}.{_name}"] = FieldClass(
            _part, _class, _label, _meaning, "derived", f"resolved.{_name}", (*_also, *_own.get(_name, ()))
        )
    _whole, _one = f"Resolved{_name.title()}", f"{_name.title()}Statement"
    _structure(_whole, "provenance", "ageDays", "isStale", "precedence")
    _structure(_one, "provenance", "ageDays", "isStale", "reason", "contradicts")
    _parts(_whole, _part, "derived", (("value", _class, _label, _meaning),))
    _parts(_whole, _part, "derived", (("confidence", _class, "可信度", "How far the value can be relied on."),))
    _parts(_whole, _part, "derived", (("others", _class, "未采用的说法", "What other rows shown state instead."),))
    _parts(_one, _part, "derived", (("value", _class, _label, _meaning),))
for _type in _RESOLVED_OF:
    _structure(_type, "completeness")
_structure("Precedence", "id", "version", "reason")


def parts_of(field_ids: Iterable[str]) -> tuple[Part, ...]:
    """The parts that must be granted for these fields, each once, in the registry's order."""
    asked = set(field_ids)
    return tuple(dict.fromkeys(part for name, field in FIELDS.items() if name in asked for part in field.parts))


_OF_OTHERS = frozenset(name for name, field in FIELDS.items() if field.place.split(".")[0] == "otherAdults")


def named_parts_of(field_ids: Iterable[str]) -> tuple[Part, ...]:
    """The parts asked about the person named: what belongs to other adults of the household does not count."""
    return parts_of(set(field_ids) - _OF_OTHERS)


def asks_others(field_ids: Iterable[str]) -> bool:
    """Whether anything of other adults is asked; of them nothing but ``identity/VALUE`` can be."""
    return not _OF_OTHERS.isdisjoint(field_ids)


def places_of(field_ids: Iterable[str]) -> tuple[tuple[str, Part], ...]:
    """Where in the answer these fields are found, with their parts, in the registry's order."""
    asked = set(field_ids)
    return tuple(
        (field.place, part) for name, field in FIELDS.items() if field.place and name in asked for part in field.parts
    )


def as_markdown() -> str:
    """The text of docs/FIELDS.md."""
    lines = [
        "# Classified fields",
        "",
        "Written by `make generated` from `hub/core/fields.py`; change it there. Who may see a part (category and",
        "form) for which purpose is decided by the rules in `hub/access/policies`; `ACCESS-MATRIX.csv` shows it.",
        "",
        "| field | 中文 | category | form | class | source | meaning |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{name}` | {field.label} | {field.part.category} | {field.part.form} | {field.sensitivity} "
        f"| {field.source} | {field.meaning}{_made_of(field)} |"
        for name, field in FIELDS.items()
    ]
    return "\n".join(lines) + "\n"


def _made_of(field: FieldClass) -> str:
    return f" Also of {', '.join(f'{part.category}/{part.form}' for part in field.also)}." if field.also else ""
