"""A person has a programme's no explained, and looked at again by somebody else (个人信息保护法 art. 24).

What came of each comparison is kept with the decision; the values are read from the own record at the moment of the
explanation, through the gate like every own reading. A review ends with a ground of a closed list; one that overturns
the no turns it into a yes for the period, and its provider is told that the decision changed if it may ask now.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from hub.access.parts import part_of
from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append, operation_hash, seal_request
from hub.audit.proof import Receipt
from hub.benefits import decisions
from hub.benefits.condition import COUNT, leaf_holds, leaves_of
from hub.benefits.decisions import Decided, OpenReview, OwnDecision, Requested, ReviewGround
from hub.core.clock import iso
from hub.core.disclosure import Asker, Disclosure, DisclosureRequest, SubjectSelf
from hub.core.errors import RefusedError
from hub.core.ids import uuid7
from hub.core.names import Category, Form, Purpose, Role
from hub.core.version import VERSION
from hub.flows.capture.capture_desk import own_indexes
from hub.flows.consent.consent_change import RECEIPT_SECONDS, ConsentDesk, Operation, client_facts
from hub.flows.readings.own_reading import helped_by

POLICY = f"hub-{VERSION}"


class Discloses(Protocol):
    """The one gate through which values about a person leave."""

    async def disclose(self, request: DisclosureRequest) -> tuple[Disclosure, Any]:
        """Judge, record, read and wait for the signed entry."""


@dataclass(frozen=True, slots=True)
class ExplainedCondition:
    """One comparison. ``outcome`` then and ``today``: met, not met, or not shown by the record (``None``).

    ``values``: the own values that are compared, as they are today; none where the record has none.
    """

    code: str
    part: str
    zh: str
    en: str
    outcome: bool | None
    today: bool | None
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExplainedDecision:
    """A decision with every comparison that its programme makes."""

    decision: OwnDecision
    conditions: tuple[ExplainedCondition, ...]


async def list_own_decisions(
    desk: ConsentDesk, asker: Asker, operation: Operation
) -> tuple[list[OwnDecision], Receipt]:
    """What was decided about the resident who asks; the reading is an entry of his list. Raises NOT_ALLOWED."""
    ev = uuid7()
    async with desk.recording() as conn:
        found = await decisions.own_decisions(conn, asker, desk.clock())
        state = await conn.fetchrow("SELECT * FROM auth.bearer_state($1, $2)", asker.token_id, asker.client_id)
        facts = {
            "asOf": iso(desk.clock()),
            "asked": [[Category.ELIGIBILITY.value, Form.YES_NO.value]],
            **client_facts(asker, Role.RESIDENT.value),
            **await helped_by(conn, asker.token_id),
        }
        await append(
            conn,
            _entry(
                desk, ev, Kind.QUERY, "eligibility:resident:listed", asker, operation, state["person_id"], None, facts
            ),
        )
    return found, await desk.receipts.wait(ev, RECEIPT_SECONDS)


async def explain_eligibility(
    discloser: Discloses, desk: ConsentDesk, asker: Asker, operation: Operation, decision_id: UUID
) -> tuple[ExplainedDecision, Receipt]:
    """One own decision explained, with the own values of today. Raises NOT_ALLOWED, DECISION_UNKNOWN."""
    async with desk.reading() as conn:
        found = await decisions.own_decisions(conn, asker, desk.clock(), decision_id)
    if not found:
        raise RefusedError("There is no such decision about you.", code="DECISION_UNKNOWN")
    decision = found[0]
    request = DisclosureRequest(
        asker=asker,
        purpose=Purpose.SELF_ACCESS,
        subject=SubjectSelf(decision.person_id),
        parts=tuple(part_of(key) for key in decision.terms["reads"]),
        operation=operation.document,
        variables=operation.variables,
    )
    disclosure, receipt = await discloser.disclose(request)
    bodies = {f"{one.part.category}/{one.part.form}": json.loads(one.body) for one in disclosure.sections}
    conditions = tuple(
        ExplainedCondition(
            leaf["code"],
            leaf["part"],
            leaf["zh"],
            leaf["en"],
            decision.outcomes.get(leaf["code"]),
            leaf_holds(leaf, bodies.get(leaf["part"])),
            _values(leaf, bodies.get(leaf["part"])),
        )
        for leaf in leaves_of(decision.terms["condition"])
    )
    return ExplainedDecision(decision, conditions), receipt


async def request_eligibility_review(
    desk: ConsentDesk, asker: Asker, operation: Operation, decision_id: UUID
) -> tuple[UUID, Requested, Receipt]:
    """The resident asks that somebody looks at a no again. Raises NOT_ALLOWED, DECISION_UNKNOWN, REVIEW_STANDS."""
    ev, review_id = uuid7(), uuid7()
    async with desk.change() as conn:
        made = await decisions.request_review(conn, asker, decision_id, review_id, desk.clock())
        facts = {
            "review": str(review_id),
            "programme": made.programme_id,
            **client_facts(asker, Role.RESIDENT.value),
            **await helped_by(conn, asker.token_id),
        }
        await append(
            conn,
            _entry(
                desk, ev, Kind.WRITE, "eligibility:resident:contested", asker, operation, made.person_id, made.county,
                facts,
            ),
        )  # fmt: skip
    return review_id, made, await desk.receipts.wait(ev, RECEIPT_SECONDS)


async def list_open_reviews(
    desk: ConsentDesk, asker: Asker, operation: Operation, after: UUID | None, first: int
) -> tuple[list[OpenReview], Receipt]:
    """Reviews that wait in the steward's counties and do not concern him, one more than asked for.

    Raises NOT_ALLOWED.
    """
    ev = uuid7()
    async with desk.recording() as conn:
        own = (await own_indexes(conn, desk.keys, asker)).identity
        found = await decisions.open_reviews(conn, asker, own, after, first + 1)
        facts = {"reviews": len(found), **client_facts(asker, Role.STEWARD.value)}
        await append(
            conn, _entry(desk, ev, Kind.QUERY, "eligibility:steward:listed", asker, operation, None, None, facts)
        )
    return found, await desk.receipts.wait(ev, RECEIPT_SECONDS)


async def decide_eligibility_review(
    desk: ConsentDesk, asker: Asker, operation: Operation, review_id: UUID, ground: ReviewGround
) -> tuple[Decided, Receipt]:
    """A steward, who is not of the person's household, decides. Raises NOT_ALLOWED, ELIGIBILITY_REVIEW_UNKNOWN."""
    ev = uuid7()
    async with desk.change() as conn:
        own = (await own_indexes(conn, desk.keys, asker)).identity
        made = await decisions.decide_review(conn, asker, review_id, ground, own, desk.clock())
        facts = {
            "review": str(review_id),
            "programme": made.programme_id,
            "outcome": made.state,
            "ground": ground.value,
            **client_facts(asker, Role.STEWARD.value),
        }
        await append(
            conn,
            _entry(
                desk,
                ev,
                Kind.WRITE,
                "eligibility:steward:decided",
                asker,
                operation,
                made.person_id,
                made.county,
                facts,
            ),
        )
    return made, await desk.receipts.wait(ev, RECEIPT_SECONDS)


def _values(leaf: Mapping[str, Any], body: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The values that a comparison looks at, as text."""
    items = (body or {}).get("items") or []
    if leaf["field"] == COUNT:
        return (str(len(items)),)
    found = [(body or {}).get(leaf["field"])] if leaf["over"] is None else [item.get(leaf["field"]) for item in items]
    return tuple(json.dumps(one) if isinstance(one, bool) else str(one) for one in found if one is not None)


def _entry(
    desk: ConsentDesk,
    ev: UUID,
    kind: Kind,
    event: str,
    asker: Asker,
    operation: Operation,
    person: UUID | None,
    county: str | None,
    facts: dict[str, Any],
) -> PendingEntry:
    by_steward = ":steward:" in event
    return PendingEntry(
        ev=ev,
        kind=kind,
        event=event,
        organisation="hub" if by_steward else "",
        actor=asker.actor,
        decision=Decision.ALLOW,
        policy=POLICY,
        purpose=(Purpose.OBJECTION if kind is Kind.WRITE or by_steward else Purpose.SELF_ACCESS).value,
        operation=operation_hash(operation.document),
        county=county,
        subjects=() if person is None else (person,),
        facts=facts,
        sealed=seal_request(desk.keys, ev, operation.document, operation.variables),
    )
