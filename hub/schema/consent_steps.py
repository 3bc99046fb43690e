"""Resolvers of a consent's later steps, and of its receipt."""

import json

import strawberry

from hub.core.errors import InputError, RefusedError
from hub.flows.consent.consent_changes import PAGE_MAX, consent_changes
from hub.flows.consent.consent_receipt import consent_receipt
from hub.flows.consent.revoke_consent import ConsentRevocation, revoke_consent
from hub.flows.consent.suspend_consent import ConsentPause, suspend_consent
from hub.schema.borrower import acting_problems, not_allowed
from hub.schema.changing import changed, id_of, key_problems, operation_of, refused, uuid_of
from hub.schema.context import Info
from hub.schema.once import Facts
from hub.schema.types.consent_steps import (
    ConsentChange,
    ConsentChanges,
    ConsentPaused,
    ConsentReceipt,
    ConsentRevoked,
    RevokeConsentInput,
    SuspendConsentInput,
)
from hub.schema.types.problems import InvalidInput, NotAllowed, NotFound, invalid
from hub.schema.types.scalars import DateTime


async def resolve_suspend_consent(
    info: Info,
    input: SuspendConsentInput,  # noqa: A002 - the argument's name in the schema
) -> ConsentPaused | InvalidInput | NotFound | NotAllowed:
    """The resident who asks pauses a consent."""
    return await _pause(info, input, resume=False)


async def resolve_resume_consent(
    info: Info,
    input: SuspendConsentInput,  # noqa: A002 - the argument's name in the schema
) -> ConsentPaused | InvalidInput | NotFound | NotAllowed:
    """The resident who asks lets a paused consent count again."""
    return await _pause(info, input, resume=True)


async def _pause(
    info: Info, asked: SuspendConsentInput, *, resume: bool
) -> ConsentPaused | InvalidInput | NotFound | NotAllowed:
    context = info.context
    consent_id = uuid_of(asked.consent_id)
    problems = key_problems(asked.idempotency_key, "consentId", consent_id)
    if problems or consent_id is None:
        return invalid(context.language, *problems)
    pause = ConsentPause(context.bearer.asker(), consent_id, operation_of(context), resume)

    async def change() -> Facts:
        made, context.receipt = await suspend_consent(context.ports.consents, pause)
        return {"consent_id": str(made.consent_id), "organisation_id": made.organisation_id, "state": made.state}

    return await changed(context, asked.idempotency_key, change, lambda facts: ConsentPaused(**facts))


async def resolve_revoke_consent(
    info: Info,
    input: RevokeConsentInput,  # noqa: A002 - the argument's name in the schema
) -> ConsentRevoked | InvalidInput | NotFound | NotAllowed:
    """A recipient ends a consent of its own, or the hub one that must not stand."""
    context = info.context
    consent_id = uuid_of(input.consent_id)
    problems = acting_problems(context, input.officer, None) + key_problems(
        input.idempotency_key, "consentId", consent_id
    )
    if problems or consent_id is None:
        return invalid(context.language, *problems)
    revocation = ConsentRevocation(context.bearer.asker(input.officer), consent_id, input.cause, operation_of(context))

    async def change() -> Facts:
        made, context.receipt = await revoke_consent(context.ports.consents, revocation)
        return {"consent_id": str(made.consent_id), "organisation_id": made.organisation_id, "state": made.state}

    return await changed(context, input.idempotency_key, change, lambda facts: ConsentRevoked(**facts))


async def resolve_consent_receipt(
    info: Info, consent_id: strawberry.ID
) -> ConsentReceipt | InvalidInput | NotFound | NotAllowed:
    """The receipt of one of the resident's own consents."""
    context = info.context
    consent = uuid_of(consent_id)
    if consent is None:
        return invalid(context.language, (("consentId",), "ID_MALFORMED"))
    try:
        receipt = await consent_receipt(context.ports.consents, context.bearer.asker(), consent)
    except RefusedError as refusal:
        return refused(context, refusal)
    return ConsentReceipt(
        consent_id=id_of(consent), document=json.dumps(receipt, ensure_ascii=False, sort_keys=True, indent=1)
    )


async def resolve_consent_changes(
    info: Info, since: str | None = None, first: int = PAGE_MAX
) -> ConsentChanges | InvalidInput | NotAllowed:
    """What the asking organisation was told after a cursor."""
    context = info.context
    if not 1 <= first <= PAGE_MAX:
        return invalid(context.language, (("first",), "PAGE_SIZE"))
    try:
        page = await consent_changes(context.ports.consents, context.bearer.asker(), since, first)
    except InputError as error:
        return invalid(context.language, (("since",), error.code))
    except RefusedError as refusal:
        return not_allowed(context, refusal)
    return ConsentChanges(
        changes=[
            ConsentChange(
                delivery_id=id_of(told["deliveryId"]),
                topic=told["topic"],
                request_id=told["facts"].get("requestId"),
                consent_id=told["facts"].get("consentId"),
                purpose=told["facts"].get("purpose"),
                state=told["facts"].get("state"),
                at=DateTime(told["facts"]["at"]),
            )
            for told in page.changes
        ],
        cursor=page.cursor,
        has_more=page.has_more,
    )
