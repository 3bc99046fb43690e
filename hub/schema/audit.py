"""Resolvers over the audit log; pages go by the place of an entry, never by an offset."""

import base64
from datetime import datetime
from typing import Any

import strawberry

from hub.audit.event_words import event_meaning
from hub.audit.history import Access as AccessEntry
from hub.audit.leaf import Leaf
from hub.audit.merkle import leaf_hash
from hub.audit.proof import Receipt
from hub.core.clock import SHANGHAI, iso
from hub.core.errors import RefusedError
from hub.flows.consent.consent_change import Operation
from hub.flows.readings.read_history import HistoryPage, opened_categories, read_history
from hub.flows.readings.read_log import LogFilter, read_log
from hub.schema.borrower import Problem, field_ids, not_allowed
from hub.schema.changing import ward_of
from hub.schema.context import Info, OperationContext
from hub.schema.pages import Pages, number_from_1, page_info
from hub.schema.types.audit import (
    Access,
    AccessConnection,
    AccessEdge,
    AuditEvent,
    AuditEventConnection,
    AuditEventEdge,
    AuditFilter,
    InclusionProof,
)
from hub.schema.types.problems import InvalidInput, NotAllowed, invalid
from hub.schema.types.scalars import DateTime, Digest

_ACCESSES = Pages("access", number_from_1)
_LOG = Pages("log", number_from_1)


async def resolve_access_history(
    info: Info, first: int, after: str | None = None, ward: strawberry.ID | None = None
) -> AccessConnection | InvalidInput | NotAllowed:
    """Who looked at the data of the resident who asks, or of a ward, newest first."""
    context = info.context
    before, problems = _ACCESSES.arguments(first, after)
    minor, wrong = ward_of(ward)
    problems += wrong
    if problems:
        return invalid(context.language, *problems)
    try:
        page, context.receipt = await read_history(
            context.ports.consents, context.bearer.asker(), _operation(context), before=before, first=first, ward=minor
        )
    except RefusedError as refusal:
        return not_allowed(context, refusal)
    edges = [
        AccessEdge(cursor=_ACCESSES.cursor(entry.n), node=_access(entry, page, context)) for entry in page.accesses
    ]
    more = bool(page.accesses) and page.accesses[-1].n > 1
    return AccessConnection(edges=edges, page_info=page_info(edges, more, after), total=page.total)


async def resolve_audit_events(
    info: Info,
    first: int,
    after: str | None = None,
    filter: AuditFilter | None = None,  # noqa: A002 - the argument's name in the schema
) -> AuditEventConnection | InvalidInput | NotAllowed:
    """The log for the regulator, newest first."""
    context = info.context
    below, problems = _LOG.arguments(first, after)
    wanted, wrong = _filter(filter)
    if problems + wrong:
        return invalid(context.language, *problems, *wrong)
    try:
        page, context.receipt = await read_log(
            context.ports.consents,
            context.ports.auditor,
            context.bearer.asker(),
            _operation(context),
            wanted=wanted,
            below=below,
            first=first,
            with_proofs="AuditEvent.inclusionProof" in field_ids(info, "AuditEventConnection"),
        )
    except RefusedError as refusal:
        return not_allowed(context, refusal)
    edges = [
        AuditEventEdge(cursor=_LOG.cursor(leaf.seq), node=_event(leaf, entry, page.proofs.get(leaf.seq)))
        for leaf, entry in page.entries
    ]
    end = None if page.next_below is None else _LOG.cursor(page.next_below)
    found = page_info(edges, end is not None, after)
    found.end_cursor = end or found.end_cursor
    return AuditEventConnection(edges=edges, page_info=found)


def _access(entry: AccessEntry, page: HistoryPage, context: OperationContext) -> Access:
    names = page.names.get(entry.organisation)
    chinese = context.language == "zh"
    return Access(
        id=_id(entry.ev),
        number=entry.n,
        at=DateTime(iso(entry.at)),
        event=entry.event,
        meaning=event_meaning(entry.event, context.language),
        organisation=names[0 if chinese else 1] if names else (entry.organisation or None),
        organisation_id=_id(entry.organisation) if entry.organisation else None,
        purpose=entry.purpose,
        decision=entry.decision,
        categories=opened_categories(entry),
        assistant=(entry.shared or {}).get("assistant"),
        assistance_reason=(entry.shared or {}).get("assistanceReason"),
        is_intact=entry.intact,
    )


def _event(leaf: Leaf, entry: bytes, proof: Receipt | None) -> AuditEvent:
    return AuditEvent(
        id=_id(leaf.ev),
        index=str(leaf.seq),
        kind=leaf.kind,
        event=leaf.what,
        recorded_at=DateTime(iso(datetime.fromtimestamp(leaf.t / 1000, SHANGHAI))),
        organisation_id=leaf.organisation,
        purpose=leaf.purpose,
        decision=leaf.decision,
        policy=leaf.policy,
        leaf=Digest(leaf_hash(entry).hex()),
        entry=entry.decode("ascii"),
        inclusion_proof=None
        if proof is None
        else InclusionProof(
            tree_size=str(proof.size),
            path=[base64.b64encode(value).decode() for value in proof.proof],
            checkpoint=proof.note,
            receipt=proof.as_text(),
        ),
    )


def _filter(given: AuditFilter | None) -> tuple[LogFilter, list[Problem]]:
    if given is None:
        return LogFilter(), []
    problems: list[Problem] = []
    instants = {name: read_instant(getattr(given, name), name, problems) for name in ("since", "until")}
    kinds = None if given.kinds is None else frozenset(given.kinds)
    return LogFilter(kinds, given.organisation_id, instants["since"], instants["until"]), problems


def _operation(context: OperationContext) -> Operation:
    return Operation(context.operation.text, context.variables)


def _id(value: Any) -> Any:
    return str(value)


def read_instant(text: str | None, name: str, problems: list[Problem]) -> datetime | None:
    """The instant in a filter's field ``name``; what is wrong with it is added to ``problems``."""
    try:
        found = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        found = None
    if text is not None and (found is None or found.tzinfo is None):
        problems.append((("filter", name), "INSTANT_MALFORMED"))
    return found
