"""A data steward reviews links: looks at a row beside the members who may be meant, and decides.

Each look and each decision is an audited entry. A decision, its entry and the refreshed sections of the households
concerned are one transaction, so what recipients see changes with the decision or not at all.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import asyncpg

from hub.audit.events import Decision
from hub.audit.outbox import PendingEntry, append
from hub.audit.proof import Receipt
from hub.core.clock import day_of, iso
from hub.core.disclosure import Asker
from hub.core.errors import InputError, RefusedError
from hub.core.identifiers import is_adult
from hub.core.ids import uuid7
from hub.core.names import Category, Form, LinkState, LinkVerdict
from hub.core.text import is_plain_text
from hub.flows.intake.challenge_sources import challenging
from hub.flows.stewards.steward_desk import StewardAct, StewardDesk, require_settled
from hub.flows.stewards.steward_record import steward_record
from hub.records.folding.sections import refresh_at_once
from hub.records.held_back.quarantine import require_source
from hub.records.intake.settle import release_rows
from hub.records.linkage.link_decisions import STATE_AFTER, DecidedRow, LinkDecision, write_decision
from hub.records.linkage.link_review import (
    QueuedReview,
    ReviewCandidate,
    ReviewedRow,
    ReviewFilter,
    ReviewPlace,
    find_member,
    households_of,
    list_reviews,
    open_review,
    people_of_counties,
)

_SHOWN = [[category.value, Form.VALUE.value] for category in (Category.IDENTITY, Category.ROSTER, Category.CONTACT)]


@dataclass(frozen=True, slots=True)
class LinkChoice:
    """What a reviewer decides about the version of a row that he was shown.

    ``decisions_seen``: how many decisions on its key he was shown; if there are more, somebody else was faster.
    ``member_no`` names the person of a ``LINK``.
    """

    row_id: UUID
    verdict: LinkVerdict
    decisions_seen: int
    member_no: str | None = None

    def check(self) -> None:
        """Raise :class:`InputError` unless exactly a ``LINK`` names a member."""
        if (self.verdict is LinkVerdict.LINK) != (self.member_no is not None):
            raise InputError(
                "a member is named if, and only if, the row is linked to him.",
                remedy="Give the member's number with LINK, and none with UNLINK or NONE.",
                code="LINK_MEMBER",
            )


@dataclass(frozen=True, slots=True)
class LinkDecided:
    """A decision that stands. ``number`` counts the decisions on the key of the row."""

    row_id: UUID
    number: int
    verdict: LinkVerdict
    state: LinkState
    member_no: str | None
    decided_at: datetime


async def list_open_reviews(
    desk: StewardDesk, wanted: ReviewFilter, first: int, after: ReviewPlace | None = None
) -> list[QueuedReview]:
    """The queue as the command lists it on the server itself: row keys, states and bands, so without an entry.

    Raises :class:`~hub.records.held_back.quarantine.NoSuchSourceError`.
    """
    async with desk.reading() as connection:
        if wanted.source is not None:
            await require_source(connection, wanted.source)
        return await list_reviews(connection, wanted, first, after)


async def read_reviews(
    desk: StewardDesk, asker: Asker, act: StewardAct, wanted: ReviewFilter, first: int, after: ReviewPlace | None
) -> tuple[list[QueuedReview], Receipt]:
    """One page of the steward's own rows in the queue, through the API; one more than ``first`` if more follow.

    Raises :class:`InputError`, :class:`RefusedError` for everybody but an active data steward, and :class:`AuditError`
    without a receipt.
    """
    wanted.check()
    await desk.check_role(asker)
    await desk.receipts.ready()
    event = uuid7()
    async with desk.reading() as connection:
        found = await list_reviews(connection, replace(wanted, counties=act.counties), first + 1, after)
        # Source, key and band stand in the sealed request only: they are any text that was typed.
        facts = {"states": sorted({state.value for state in wanted.states}), "rows": min(len(found), first)}
        await append(connection, steward_record(desk.keys, act, event, "link:steward:listed", facts))
    return found, await desk.signed(event)


async def show_review(desk: StewardDesk, act: StewardAct, row_id: UUID) -> tuple[ReviewedRow, Receipt]:
    """Open one row beside its candidates; the reading is recorded for every person who is shown.

    It stands in the list of the person to whom the row is linked, too, whoever is shown. Raises :class:`RefusedError`
    (REVIEW_UNKNOWN) where no such version is current or held back, and where it concerns other counties only
    (hub/records/intake/row_county.py); that is recorded too.
    """
    act.check()
    await desk.receipts.ready()
    now, event = desk.clock(), uuid7()
    async with desk.reading() as connection:
        found = await open_review(connection, desk.keys, row_id)
        linked = None if found is None else found.linked_to
        row = None if found is None or not act.may_judge(found.counties) else await _own_part(connection, act, found)
        await append(connection, _shown_entry(desk, act, event, row, linked, iso(now)))
    receipt = await desk.signed(event)
    if row is None:
        raise _unknown()
    return row, receipt


async def _own_part(connection: asyncpg.Connection, act: StewardAct, row: ReviewedRow) -> ReviewedRow:
    """What of the row is the steward's to see: people of other counties are another's affair; nothing tells of them."""
    if act.counties is None:
        return row
    decided = {decision.person_id for decision in row.decisions if decision.person_id is not None}
    own = await people_of_counties(connection, decided, act.counties)
    return replace(
        row,
        candidates=tuple(candidate for candidate in row.candidates if act.may_see(candidate.county)),
        decisions=tuple(
            decision if decision.person_id in own else replace(decision, member_no=None) for decision in row.decisions
        ),
    )


async def decide_link(desk: StewardDesk, act: StewardAct, choice: LinkChoice) -> tuple[LinkDecided, Receipt]:
    """Make a decision; the same one made again by the same steward is answered as the first time.

    Raises :class:`RefusedError`: REVIEW_UNKNOWN (no such version is current, or it concerns other counties only),
    REVIEW_DECIDED (somebody was faster), ROW_HELD_BACK (a damaged number has to be repaired, not linked), NOT_LINKED,
    MEMBER_UNKNOWN (no adult member of the steward's counties), PULL_UNSETTLED (a pull broke off).
    :class:`PullRunningError` while a pull is under way, or a worker has read rows that are not settled yet.
    """
    act.check()
    choice.check()
    event = uuid7()
    async with desk.deciding() as connection:
        await require_settled(connection)
        now = desk.clock()  # in its turn: whatever was folded before this decision was folded before this instant
        row = await open_review(connection, desk.keys, choice.row_id)
        if row is None or not act.may_judge(row.counties):
            raise _unknown()
        made = row.decisions[-1] if row.decisions else None
        if made is not None and len(row.decisions) == choice.decisions_seen + 1 and _is_same(made, act, choice):
            event, answer = made.event, _answer(choice, made.number, made.decided_at)
        else:
            person = await _judge(connection, act, row, choice, now)
            answer = await _decide(connection, desk, act, choice, row, person, event, now)
    return answer, await desk.signed(event)


async def _judge(
    connection: asyncpg.Connection, act: StewardAct, row: ReviewedRow, choice: LinkChoice, now: datetime
) -> asyncpg.Record | None:
    """The person of a ``LINK``; everything that speaks against the decision is refused here."""
    if len(row.decisions) != choice.decisions_seen:
        raise RefusedError(
            f"the row has {len(row.decisions)} decisions, not {choice.decisions_seen}.",
            remedy="Show it again: somebody may have decided it meanwhile.",
            code="REVIEW_DECIDED",
        )
    if not row.is_linkable:
        entry = row.quarantine[0] if row.quarantine is not None else ""
        raise RefusedError(
            f"the row is held back for its damaged ID number ({entry}) and cannot be linked.",
            remedy="Repair it in quarantine, or hand it back to its agency.",
            code="ROW_HELD_BACK",
        )
    if choice.verdict is LinkVerdict.UNLINK and row.linked_to is None:
        raise RefusedError(
            "the row is linked to nobody.", remedy="Choose none (`--none`) to close the review.", code="NOT_LINKED"
        )
    if choice.member_no is None:
        return None
    person = await find_member(connection, choice.member_no) if is_plain_text(choice.member_no) else None
    is_own = person is not None and act.may_see(person["county"])
    if person is None or not is_own or not is_adult(person["birth_date"], day_of(now)):
        raise RefusedError("there is no adult member with this number.", remedy="Check it.", code="MEMBER_UNKNOWN")
    return person


async def _decide(
    connection: asyncpg.Connection,
    desk: StewardDesk,
    act: StewardAct,
    choice: LinkChoice,
    row: ReviewedRow,
    person: asyncpg.Record | None,
    event: UUID,
    now: datetime,
) -> LinkDecided:
    before = row.linked_to
    subject = person["person_id"] if person is not None else None
    if choice.verdict is LinkVerdict.UNLINK and before is not None:
        subject = before.person_id
    concerned = await _linked_under_key(connection, row)
    number = await write_decision(
        connection,
        desk.keys,
        DecidedRow(row.row_id, row.source, row.source_key, row.hint_index),
        number=len(row.decisions) + 1,
        verdict=choice.verdict,
        person_id=subject,
        member_no=choice.member_no if choice.verdict is LinkVerdict.LINK else before.member_no if before else None,
        steward=act.steward,
        reason=act.reason,
        event=event,
        now=now,
    )
    if row.quarantine is not None and choice.verdict is LinkVerdict.LINK:
        await release_rows(connection, [row.row_id], event, now)
    concerned |= await _linked_under_key(connection, row)
    households = {one for all_of in (await households_of(connection, concerned)).values() for one in all_of}
    await append(connection, _decided_entry(desk, act, event, row, choice, [subject, *sorted(concerned)]))
    await refresh_at_once(connection, desk.keys, now, households, challenging(desk.keys))
    return _answer(choice, number, now)


async def _linked_under_key(connection: asyncpg.Connection, row: ReviewedRow) -> set[UUID]:
    """Whom the current version of the key is linked to; releasing a row may end an earlier version's being current."""
    return {
        record["person_id"]
        for record in await connection.fetch(
            """SELECT DISTINCT o.person_id FROM ingest.held_row h JOIN record.observation o ON o.row_id = h.row_id
               WHERE h.source = $1 AND h.source_key = $2 AND o.recorded_to = 'infinity' AND o.person_id IS NOT NULL""",
            row.source,
            row.source_key,
        )
    }


def _is_same(made: LinkDecision, act: StewardAct, choice: LinkChoice) -> bool:
    same_member = choice.verdict is not LinkVerdict.LINK or made.member_no == choice.member_no
    return (
        made.steward == act.steward and made.verdict is choice.verdict and made.row_id == choice.row_id and same_member
    )


def _answer(choice: LinkChoice, number: int, decided_at: datetime) -> LinkDecided:
    return LinkDecided(choice.row_id, number, choice.verdict, STATE_AFTER[choice.verdict], choice.member_no, decided_at)


def _unknown() -> RefusedError:
    return RefusedError(
        "no such version of a row is current or held back.",
        remedy="It may have got a new version; list the reviews again.",
        code="REVIEW_UNKNOWN",
    )


def _shown_entry(
    desk: StewardDesk,
    act: StewardAct,
    event: UUID,
    row: ReviewedRow | None,
    linked: ReviewCandidate | None,
    as_of: str,
) -> PendingEntry:
    """``row``: what is shown; ``linked``: whom the row is tied to, whether or not he is shown."""
    candidates = () if row is None else row.candidates
    persons: dict[UUID | None, dict[str, object]] = {} if linked is None else {linked.person_id: {}}
    for candidate in candidates:
        persons[candidate.person_id] = {"granted": _SHOWN} | _own(candidate.household_id)
    fact = [] if row is None or row.category is None else [[row.category, Form.VALUE.value]]
    facts = {"asOf": as_of, "asked": _SHOWN + fact} | ({} if row is None else {"source": row.source})
    return steward_record(
        desk.keys,
        act,
        event,
        "link:steward:shown",
        facts,
        decision=Decision.DENY if row is None else Decision.ALLOW,
        persons=persons,
    )


def _own(household_id: UUID | None) -> dict[str, object]:
    return {} if household_id is None else {"household": str(household_id)}


def _decided_entry(
    desk: StewardDesk, act: StewardAct, event: UUID, row: ReviewedRow, choice: LinkChoice, people: list[UUID | None]
) -> PendingEntry:
    """Names the person decided about first; the row's key and what was decided stand in the persons' sealed parts."""
    state = STATE_AFTER[choice.verdict].value
    facts = {"source": row.source, "state": state, "verdict": choice.verdict.value}
    persons = {person: {"sourceKey": row.source_key, "state": state} for person in people}
    return steward_record(desk.keys, act, event, "link:steward:decided", facts, persons=persons)
