"""Types whose every field stands in the registry of classified fields (hub/core/fields.py)."""

import inspect
from enum import StrEnum
from typing import Any, TypeVar, dataclass_transform

import strawberry
from strawberry.schema_directive import Location

from hub.core.fields import FIELDS, STRUCTURE, Sensitivity
from hub.core.names import AbsenceReason, AdverseRegime, Form, Purpose, WithheldReason
from hub.schema.types.scalars import camel

T = TypeVar("T")


def _enum(cls: type[StrEnum], description: str) -> Any:
    return strawberry.enum(cls, description=description)


SENSITIVITY = _enum(Sensitivity, "How a value must be guarded; classes of the data dictionary.")
FORM = _enum(Form, "How much of a value is shown.")
PURPOSE = _enum(Purpose, "What data are wanted for; it decides, with the basis, which fields are shown.")
WITHHELD_REASON = _enum(WithheldReason, "Why a value is kept back; the same whether or not there is a value.")
ABSENCE_REASON = _enum(
    AbsenceReason, "Why a granted field has no value. UNAVAILABLE: there may be one, the hub cannot say at the moment."
)
ADVERSE_REGIME = _enum(
    AdverseRegime,
    "不良信息适用的制度。 CREDIT_REPORTING: 征信业管理条例, five years after the end. PUBLIC_CREDIT: 信用修复管理办法, "
    "three years after the end, or until the body that decided repairs it.",
)


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    description="The category and form that must be granted before the field is read, and how it must be guarded.",
)
class Classified:
    """``@classified`` in the SDL."""

    category: str
    form: Form
    sensitivity: Sensitivity
    label: str
    source: str


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    description="Further parts (category/FORM) that a value is made of; what is not granted takes no part in it.",
)
class MadeOf:
    """``@madeOf`` in the SDL."""

    parts: list[str]


@dataclass_transform()
def disclosed(cls: type[T]) -> type[T]:
    """A Strawberry type that takes descriptions and ``@classified`` from the registry.

    Raises :class:`LookupError` for a field that is neither classified nor declared as structure: such a schema must not
    start.
    """
    made = strawberry.type(cls, description=inspect.cleandoc(cls.__doc__ or ""))
    definition = made.__strawberry_definition__  # type: ignore[attr-defined]
    if definition.interfaces:
        # Items are plain JSON objects of the record; which type they have is told by the field that holds them.
        definition.is_type_of = _is_plain
    for field in definition.fields:
        field_id = f"{cls.__name__}.{camel(field.python_name)}"
        entry = FIELDS.get(field_id)
        if entry is not None:
            field.description = f"{entry.label}. {entry.meaning}"
            field.directives = [
                Classified(
                    category=entry.part.category.value,
                    form=entry.part.form,
                    sensitivity=entry.sensitivity,
                    label=entry.label,
                    source=entry.source,
                ),
                *([MadeOf(parts=[f"{part.category}/{part.form}" for part in entry.also])] if entry.also else []),
            ]
        elif field_id in STRUCTURE:
            field.description = field.description or _STRUCTURE_TEXT[camel(field.python_name)]
        else:
            raise LookupError(f"field `{field_id}` is not classified; add it to hub/core/fields.py")
    return made


def _is_plain(value: Any, _: Any) -> bool:
    return type(value) is dict


_STRUCTURE_TEXT = {
    "programme": "项目编号。 The programme.",
    "programmeVersion": "项目版本。 The version of the programme that was asked.",
    "period": "回答所属期间。 The calendar span for which one answer holds: 2026, 2026-Q4 or 2026-11.",
    "personId": "本机构的个人编号，对其他机构无意义。 The own id of the person; means nothing to another organisation.",
    "decisionId": "决定编号，本人可据此要求说明和复核。 The decision; the person can have it explained and reviewed.",
    "decidedAt": "作出决定的时间。 When it was worked out; asked again in the period the answer is the same.",
    "validUntil": "失效日期。 The first day on which the answer counts no more.",
    "completeness": "本节是否完整显示。 Whether everything asked for in this section is shown.",
    "provenance": "来源、时间与版本。 Where the value came from, when, and in which version.",
    "household": "户信息。 The household: area, size, minors, status.",
    "identity": "身份信息。 Who the person is, masked.",
    "tax": "税务。 What the tax office reported.",
    "socialInsurance": "社会保险。 What the social security office reported.",
    "clinicArrears": "卫生院欠费。 What township clinics reported.",
    "relief": "社会救助。 What the civil affairs office reported.",
    "bank": "银行。 What banks reported.",
    "adverse": "不良信息。 Adverse information with notice and end.",
    "conflicts": "数据不一致。 Disagreements between sources.",
    "resolved": "多来源数据的采信值。 One value where several sources can state it, by a written precedence.",
    "precedence": "采信规则。 The rule by which it was chosen.",
    "ageDays": "距数据截至日的天数。 Days between the statement's own date and `asOf`.",
    "isStale": "是否已超过时限。 Whether it is older than its kind may be.",
    "contradicts": "是否与采用值矛盾。 Whether both cannot be true.",
    "id": "规则编号。 The rule, by the attribute that it is about.",
    "version": "规则版本。 Its version (docs/PRECEDENCE.md).",
    "borrowerId": "仅对本机构有效的借款人编号。 The borrower's id, for the asking organisation only; null where "
    "nothing may be said.",
    "asOf": "数据截至时间。 The instant at which the record was read; null where nothing is disclosed.",
    "purpose": "查询目的。 The purpose asked under.",
    "withheld": "未披露的字段及原因。 What is null because it is kept back, decided before anything was read.",
    "absent": "已授权但没有值的字段及原因。 What is granted and has no value, and why.",
    "field": "字段位置。 Where in the answer, for instance `tax.grades`.",
    "category": "数据类别。 The category that would have to be granted.",
    "form": "数据形式。 The form asked for.",
    "reason": "原因。 Why.",
    "canAskConsent": "征得本人同意后能否查看。 Whether the person's consent could lift it.",
    "source": "提供单位。 The source that reported it.",
    "sourceTime": "来源时间。 The source's own time of the value.",
    "recordedAt": "入库时间。 When the hub wrote it down.",
    "repaired": "经数据管理员更正。 True where a data steward corrected what the source delivered; else null.",
    "sourceVersion": "来源版本。 The source's version of the row.",
    "validFrom": "生效日期。 Since when it is true in the world.",
    "validTo": "失效日期。 Until when; null while it is still true.",
}
