"""Resolvers of declared bases: each act is one flow, recorded before anybody is told."""

from hub.core.clock import iso
from hub.core.disclosure import SubjectByNumber
from hub.flows.consent.declare_basis import Declaration, decide_basis, declare_basis, end_basis
from hub.schema.borrower import acting_problems, subject_of
from hub.schema.changing import changed, key_problems, operation_of, uuid_of
from hub.schema.consent import asked_parts
from hub.schema.context import Info
from hub.schema.once import Facts
from hub.schema.types.bases import BasisDecided, BasisDeclared, DecideBasisInput, DeclareBasisInput, EndBasisInput
from hub.schema.types.problems import InvalidInput, NotAllowed, NotFound, invalid
from hub.schema.types.profile import BorrowerKey


async def resolve_declare_basis(
    info: Info,
    input: DeclareBasisInput,  # noqa: A002 - the argument's name in the schema
) -> BasisDeclared | InvalidInput | NotAllowed:
    """Whoever the kind allows declares a basis about one person."""
    context = info.context
    problems = acting_problems(context, input.officer, input.idempotency_key)
    subject = subject_of(BorrowerKey(identity=input.person), context)
    parts, unknown = asked_parts(input.parts)
    problems += unknown
    if isinstance(subject, tuple):
        problems.append((("input", "person", subject[0][-1]), subject[1]))
    if problems or not isinstance(subject, SubjectByNumber):
        return invalid(context.language, *problems)
    declaration = Declaration(
        context.bearer.asker(input.officer), input.kind, input.reference, subject, parts, operation_of(context)
    )

    async def change() -> Facts:
        made, context.receipt = await declare_basis(context.ports.consents, declaration)
        return {"basis_id": str(made.basis_id), "state": made.state, "expires_at": iso(made.expires_at)}

    answer = await changed(context, input.idempotency_key, change, lambda facts: BasisDeclared(**facts))
    if isinstance(answer, NotFound):
        return NotAllowed(code=answer.code, message=answer.message, remedy=None)
    return answer


async def resolve_decide_basis(
    info: Info,
    input: DecideBasisInput,  # noqa: A002 - the argument's name in the schema
) -> BasisDecided | InvalidInput | NotFound | NotAllowed:
    """A second person approves, declines or reviews."""
    context = info.context
    basis_id = uuid_of(input.basis_id)
    problems = key_problems(input.idempotency_key, "basisId", basis_id)
    if problems or basis_id is None:
        return invalid(context.language, *problems)

    async def change() -> Facts:
        decided, context.receipt = await decide_basis(
            context.ports.consents,
            context.bearer.asker(),
            basis_id,
            yes=input.approve,
            operation=operation_of(context),
        )
        return {"basis_id": str(basis_id), "state": decided.status}

    return await changed(context, input.idempotency_key, change, lambda facts: BasisDecided(**facts))


async def resolve_end_basis(
    info: Info,
    input: EndBasisInput,  # noqa: A002 - the argument's name in the schema
) -> BasisDecided | InvalidInput | NotFound | NotAllowed:
    """Whoever declared a basis ends it."""
    context = info.context
    basis_id = uuid_of(input.basis_id)
    problems = acting_problems(context, input.officer, None) + key_problems(input.idempotency_key, "basisId", basis_id)
    if problems or basis_id is None:
        return invalid(context.language, *problems)

    async def change() -> Facts:
        ended, context.receipt = await end_basis(
            context.ports.consents, context.bearer.asker(input.officer), basis_id, operation_of(context)
        )
        return {"basis_id": str(basis_id), "state": ended.status}

    return await changed(context, input.idempotency_key, change, lambda facts: BasisDecided(**facts))
