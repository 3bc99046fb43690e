"""The parts of a record that can be disclosed, and the groups that the rules speak of.

A part is one category in one form. The list is closed: what is not here can be asked for by nobody.
"""

from dataclasses import dataclass
from functools import lru_cache

from hub.core.disclosure import Part
from hub.core.names import Category, Form, Role


@dataclass(frozen=True, slots=True)
class PartFacts:
    """What the rules know of one part.

    ``classes``: ``register`` (who and where), ``fact`` (what an agency reported or what follows from it), ``sensitive``
    (个人信息保护法 art. 28 and everything that needs written notice), ``written-notice`` (征信业管理条例 art. 14(2)),
    ``person`` (about one person), ``answer`` (what a benefit programme's condition comes to; no section holds it).
    ``household``: the section is about the household, not about one person.
    """

    part: Part
    classes: frozenset[str]
    household: bool = False


def _facts(category: Category, form: Form, *classes: str, household: bool = False) -> PartFacts:
    return PartFacts(Part(category, form), frozenset(classes if household else (*classes, "person")), household)


PART_FACTS: tuple[PartFacts, ...] = (
    _facts(Category.ROSTER, Form.VALUE, "register", household=True),
    _facts(Category.IDENTITY, Form.VALUE, "register"),
    _facts(Category.TAX_REGISTRATION, Form.VALUE, "fact"),
    _facts(Category.TAX_GRADE, Form.VALUE, "fact"),
    _facts(Category.TAX_ARREARS, Form.VALUE, "fact"),
    _facts(Category.TAX_ARREARS, Form.YES_NO, "fact"),
    _facts(Category.TAX_BAND, Form.BAND, "fact", "sensitive", "written-notice"),
    _facts(Category.SOCIAL_INSURANCE, Form.VALUE, "fact"),
    _facts(Category.CLINIC_ARREARS, Form.VALUE, "fact", "sensitive"),
    _facts(Category.CLINIC_ARREARS, Form.BAND, "fact", "sensitive"),
    _facts(Category.CIVIL_RELIEF, Form.VALUE, "fact", "sensitive", household=True),
    _facts(Category.CIVIL_RELIEF, Form.YES_NO, "fact", household=True),
    _facts(Category.BANK_LINE, Form.VALUE, "fact"),
    _facts(Category.BANK_LINE, Form.TOTAL, "fact"),
    _facts(Category.BANK_LOAN, Form.VALUE, "fact"),
    _facts(Category.BANK_LOAN, Form.TOTAL, "fact"),
    _facts(Category.ADVERSE, Form.VALUE, "fact"),
    _facts(Category.CONFLICT, Form.VALUE, "register"),
    PartFacts(Part(Category.ELIGIBILITY, Form.YES_NO), frozenset({"answer"})),
)

PARTS: tuple[Part, ...] = tuple(facts.part for facts in PART_FACTS)
"""Every part, in the order in which a record is read."""

RECORD_PARTS: tuple[Part, ...] = tuple(facts.part for facts in PART_FACTS if "answer" not in facts.classes)
"""Those of which a record has sections; the others are answers that are worked out of them."""

WRITTEN_NOTICE_PARTS = frozenset(facts.part for facts in PART_FACTS if "written-notice" in facts.classes)
"""Parts that a consent covers only together with the heightened notice."""

ROLE_GROUPS: dict[Role, frozenset[str]] = {
    Role.LOAN_OFFICER: frozenset({"lender", "assigned-area"}),
    Role.BANK_RISK: frozenset({"lender", "assigned-area"}),
    Role.COLLECTOR: frozenset({"field", "assigned-area"}),
    Role.VILLAGE_REVIEWER: frozenset({"field", "assigned-area"}),
    Role.TOWNSHIP: frozenset({"field", "assigned-area", "emergency"}),
    Role.STEWARD: frozenset({"assigned-area", "emergency"}),
    Role.REGULATOR: frozenset({"assigned-area"}),
    Role.PROVIDER: frozenset({"assigned-area"}),
}
"""Groups of a role; a role that is not here is in none."""


@lru_cache(maxsize=256)
def part_key(part: Part) -> str:
    """How a part is written in the database and in the rules, for instance ``tax.grade/VALUE``."""
    return f"{part.category}/{part.form}"


@lru_cache(maxsize=256)
def part_of(key: str) -> Part:
    """The part behind :func:`part_key`. Raises :class:`ValueError` for what is no part."""
    category, _, form = key.partition("/")
    return Part(Category(category), Form(form))
