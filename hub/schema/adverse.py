"""Resolvers of own statements beside adverse items."""

import re

from hub.core.clock import iso
from hub.core.errors import InputError, RefusedError
from hub.flows.stewards.state_on_adverse import OwnStatement, state_on_adverse
from hub.schema.borrower import KEY, Problem, not_allowed
from hub.schema.context import Info, OperationContext
from hub.schema.messages import text
from hub.schema.once import Facts, KeyRefusedError, once
from hub.schema.types.adverse import (
    AdverseStated,
    StatementWithdrawn,
    StateOnAdverseInput,
    WithdrawStatementInput,
)
from hub.schema.types.problems import InvalidInput, NotAllowed, NotFound, invalid

ITEM = re.compile(r"[0-9a-f]{32}")
_HIDDEN = frozenset({"ADVERSE_UNKNOWN", "STATEMENT_MISSING"})


async def resolve_state_on_adverse(
    info: Info,
    input: StateOnAdverseInput,  # noqa: A002 - the argument's name in the schema
) -> AdverseStated | InvalidInput | NotFound | NotAllowed:
    """The resident who asks says something about an item of his."""
    facts = await _state(info.context, input.idempotency_key, input.item_id, input.text)
    return AdverseStated(**facts) if isinstance(facts, dict) else facts


async def resolve_withdraw_statement(
    info: Info,
    input: WithdrawStatementInput,  # noqa: A002 - the argument's name in the schema
) -> StatementWithdrawn | InvalidInput | NotFound | NotAllowed:
    """The resident who asks takes his statement back."""
    facts = await _state(info.context, input.idempotency_key, input.item_id, None)
    return StatementWithdrawn(**facts) if isinstance(facts, dict) else facts


async def _state(
    context: OperationContext, key: str, item_id: str, words: str | None
) -> Facts | InvalidInput | NotFound | NotAllowed:
    problems: list[Problem] = []
    if not KEY.fullmatch(key):
        problems.append((("input", "idempotencyKey"), "KEY_MALFORMED"))
    if not ITEM.fullmatch(item_id):
        problems.append((("input", "itemId"), "ID_MALFORMED"))
    if problems:
        return invalid(context.language, *problems)
    statement = OwnStatement(context.bearer.asker(), item_id, words)

    async def change() -> Facts:
        made, context.receipt = await state_on_adverse(context.ports.stewards, statement)
        return {"item_id": item_id, "stated_at": iso(made.stated_at), "shows_at_once": made.shows_at_once}

    try:
        facts = await once(context, key, change)
    except KeyRefusedError as refusal:
        return invalid(context.language, (("input", "idempotencyKey"), refusal.code))
    except InputError as error:
        return invalid(context.language, (("input", "text"), error.code))
    except RefusedError as refusal:
        if refusal.code in _HIDDEN:
            return NotFound(code=refusal.code, message=text(refusal.code, context.language))
        return not_allowed(context, refusal)
    if facts is None:
        raise AssertionError("a statement gives facts or raises")
    return facts
