"""Resolver of ``explainAccess``: an access of the own list explained to the resident in plain words."""

from uuid import UUID

import strawberry

from hub.access.explain import Outcome, PartExplained
from hub.core.clock import iso
from hub.core.errors import RefusedError
from hub.core.names import Role
from hub.flows.consent.consent_change import Operation
from hub.flows.rules.explain_decision import Explanation, explain_to_resident
from hub.schema.borrower import not_allowed
from hub.schema.context import Info
from hub.schema.messages import Language, text
from hub.schema.types.explanations import AccessExplanation, PartExplanation
from hub.schema.types.problems import InvalidInput, NotAllowed, NotFound, invalid
from hub.schema.types.scalars import DateTime

_OF_ROLE = {Role.RESIDENT: "OWN", Role.GUARDIAN: "WARD"}
"""Why a part was given to those who need no other reason."""

_WHY: dict[str, tuple[str, str]] = {
    "OWN": ("这是您本人的信息，您有权查看。", "It is your own record; you may see it."),
    "WARD": ("当时由您的监护人查看，监护人有权知情。", "Your guardian saw it, who has to know what is held of you."),
    "BASIS": (
        "当时有有效的同意或其他依据，且包含此项。",
        "There was a consent or another basis in force that covers it.",
    ),
    "TASK": ("该岗位为此用途可以查看此项，无需另行同意。", "This office may see it for this purpose without consent."),
    "NO_BASIS": ("当时没有有效的同意或其他依据。", "There was no consent or other basis in force."),
    "CATEGORY_NOT_IN_BASIS": (
        "您的同意不包含此项，或缺少对不利后果的提示。",
        "Your consent does not cover it, or lacks the notice of adverse consequences.",
    ),
    "PURPOSE_MISMATCH": ("此用途不得查看此项。", "It may not be seen for this purpose."),
    "OUT_OF_AREA": ("不在该机构的辖区。", "It lies outside the area assigned to the asker."),
    "STEP_UP_REQUIRED": ("查看者未完成第二重身份验证。", "The asker had not shown a second factor."),
    "QUOTA": ("已达到查询次数上限。", "The number of queries allowed was used up."),
    "NEVER_DISCLOSED": ("此项从不向该类机构提供。", "It is never given to this kind of asker."),
    "MINOR": ("未成年人的信息不予提供。", "Nothing is given about a minor."),
}
"""Reason -> Chinese, English."""

_TODAY_GIVEN = ("如果今天再次查询，会开放此项。", "Asked again today, it would be open.")
_TODAY_WITHHELD = ("如果今天再次查询，不会开放此项。", "Asked again today, it would be withheld.")


async def resolve_explain_access(
    info: Info, access_id: strawberry.ID
) -> AccessExplanation | InvalidInput | NotFound | NotAllowed:
    """Why an access of the own list showed what it did. No rule is named: outsiders get reason and decision id."""
    context = info.context
    language = context.language
    try:
        event = UUID(str(access_id))
    except ValueError:
        return invalid(language, (("accessId",), "ID_MALFORMED"))
    operation = Operation(context.operation.text, context.variables)
    try:
        explanation, context.receipt = await explain_to_resident(
            context.ports.consents, context.ports.auditor, context.bearer.asker(), operation, event
        )
    except RefusedError as refusal:
        if refusal.code == "NOT_FOUND":
            return NotFound(code="NOT_FOUND", message=text("NOT_FOUND", language))
        return not_allowed(context, refusal)
    return AccessExplanation(
        id=strawberry.ID(str(explanation.event)),
        at=DateTime(iso(explanation.at)),
        purpose=explanation.purpose,
        had_basis=explanation.has_basis,
        basis_stands=explanation.basis_stands,
        follows_rules=explanation.follows,
        parts=[_part(part, explanation, language) for part in explanation.parts],
    )


def _part(part: PartExplained, explanation: Explanation, language: Language) -> PartExplanation:
    category, _, form = part.part.partition("/")
    given = part.outcome is Outcome.GIVEN
    own = _OF_ROLE.get(explanation.role, "BASIS" if explanation.has_basis else "TASK")
    today = part.now is not None and part.now.allowed
    return PartExplanation(
        category=category,
        form=form,
        was_given=given,
        reason=None if given else part.told,
        meaning=_words(_WHY[own] if given else _WHY.get(part.told or "", _WHY["NO_BASIS"]), language),
        would_be_given_today=today,
        today=_words(_TODAY_GIVEN if today else _TODAY_WITHHELD, language),
    )


def _words(pair: tuple[str, str], language: Language) -> str:
    return pair[1 if language == "en" else 0]
