"""A basis other than consent: declared with its reference, decided on by a second person, ended with its case."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from hub.access.parts import part_key
from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append, operation_hash, seal_request
from hub.audit.proof import Receipt
from hub.audit.receipts import Receipts
from hub.consent import bases
from hub.consent.bases import BasisKind
from hub.core.clock import Clock, iso
from hub.core.disclosure import Asker, Part, SubjectByNumber
from hub.core.ids import uuid7
from hub.core.names import Role
from hub.core.text import normalise_name
from hub.flows.consent.consent_change import RECEIPT_SECONDS, ConsentDesk, Operation, client_facts

POLICY = "bases-1"
"""Version of the kinds of bases, recorded with every change."""

_SYSTEMS = frozenset({Role.LOAN_OFFICER.value, Role.BANK_RISK.value})


@dataclass(frozen=True, slots=True)
class Declaration:
    """A basis that somebody says he has, about one person, for some parts of his record."""

    asker: Asker
    kind: BasisKind
    reference: str
    subject: SubjectByNumber
    parts: tuple[Part, ...]
    operation: Operation


@dataclass(frozen=True, slots=True)
class BasisDeclared:
    """``state``: IN_FORCE, or PROPOSED until a second person approves; the same whether or not the person exists."""

    basis_id: UUID
    state: str
    expires_at: datetime


async def declare_basis(desk: ConsentDesk, declaration: Declaration) -> tuple[BasisDeclared, Receipt]:
    """Store and record it. Raises the refusals of :func:`hub.consent.bases.declare`."""
    now, basis_id, ev = desk.clock(), uuid7(), uuid7()
    parts = tuple(part_key(part) for part in dict.fromkeys(declaration.parts))
    async with desk.change() as conn:
        made = await bases.declare(
            conn,
            declaration.asker,
            basis_id=basis_id,
            kind=declaration.kind,
            reference=declaration.reference,
            identity_indexes=desk.keys.indexes("identity", declaration.subject.id_number),
            name_indexes=desk.keys.indexes("name", normalise_name(declaration.subject.name)),
            parts=parts,
            now=now,
        )
        subjects = () if made.person_id is None else (made.person_id,)
        by_system = made.role in _SYSTEMS
        await append(
            conn,
            PendingEntry(
                ev=ev,
                kind=Kind.CONSENT,
                event="basis:client:declared" if by_system else "basis:official:declared",
                organisation=made.organisation_id,
                actor=declaration.asker.actor,
                decision=Decision.ALLOW,
                policy=POLICY,
                purpose=made.purpose,
                operation=operation_hash(declaration.operation.document),
                subjects=subjects,
                facts={
                    "basis": str(basis_id),
                    "basisKind": declaration.kind.value,
                    "state": made.status,
                    "expiresAt": iso(made.expires_at),
                    **client_facts(declaration.asker, made.role),
                    "persons": {str(person): {"categories": list(parts)} for person in subjects},
                },
                sealed=seal_request(desk.keys, ev, declaration.operation.document, declaration.operation.variables),
            ),
        )
    return BasisDeclared(basis_id, made.status, made.expires_at), await desk.receipts.wait(ev, RECEIPT_SECONDS)


async def decide_basis(
    desk: ConsentDesk, asker: Asker, basis_id: UUID, *, yes: bool, operation: Operation
) -> tuple[bases.DecidedBasis, Receipt]:
    """A second person approves, declines, or reviews one that began without. Raises BASIS_UNKNOWN."""
    now, ev = desk.clock(), uuid7()
    async with desk.change() as conn:
        decided = await bases.decide(conn, asker, basis_id, yes, now)
        decision = Decision.ALLOW if yes else Decision.DENY
        await _record(conn, ev, "basis:official:decided", decision, asker, basis_id, decided, operation, desk)
    return decided, await desk.receipts.wait(ev, RECEIPT_SECONDS)


async def end_basis(
    desk: ConsentDesk, asker: Asker, basis_id: UUID, operation: Operation
) -> tuple[bases.DecidedBasis, Receipt]:
    """The case of a basis is over. Raises BASIS_UNKNOWN."""
    now, ev = desk.clock(), uuid7()
    async with desk.change() as conn:
        ended = await bases.end(conn, asker, basis_id, now)
        await _record(conn, ev, "basis:official:ended", Decision.ALLOW, asker, basis_id, ended, operation, desk)
    return ended, await desk.receipts.wait(ev, RECEIPT_SECONDS)


async def _record(
    conn: asyncpg.Connection,
    ev: UUID,
    event: str,
    decision: Decision,
    asker: Asker,
    basis_id: UUID,
    decided: bases.DecidedBasis,
    operation: Operation,
    desk: ConsentDesk,
) -> None:
    await append(
        conn,
        PendingEntry(
            ev=ev,
            kind=Kind.CONSENT,
            event=event,
            organisation="hub",
            actor=asker.actor,
            decision=decision,
            policy=POLICY,
            purpose=decided.purpose,
            operation=operation_hash(operation.document),
            county=decided.county,
            subjects=(decided.person_id,),
            facts={
                "basis": str(basis_id),
                "basisKind": decided.kind,
                "state": decided.status,
                **client_facts(asker, decided.role),
            },
            sealed=seal_request(desk.keys, ev, operation.document, operation.variables),
        ),
    )


async def watch_bases(connection: asyncpg.Connection, receipts: Receipts, clock: Clock) -> int:
    """Tell people of bases about them, and raise the alarm for emergencies that nobody reviewed in time.

    Returns how many of both there were. ``connection`` is as hub_ingest. Raises :class:`AuditError`.
    """
    await receipts.ready()
    async with connection.transaction():
        found = await bases.due(connection, clock())
        for one in found:
            facts: dict[str, Any] = {"basis": str(one.basis_id), "basisKind": one.kind, "reference": one.reference}
            await append(
                connection,
                PendingEntry(
                    ev=one.ev,
                    kind=Kind.CONSENT,
                    event=f"basis:hub:{one.what}",
                    organisation="hub",
                    actor="hub worker",
                    decision=Decision.ALLOW,
                    policy=POLICY,
                    purpose=one.purpose,
                    county=one.county,
                    subjects=(one.person_id,),
                    facts=facts,
                ),
            )
    return len(found)
