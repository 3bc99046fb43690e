"""A steward writes down that the competent body repaired an adverse item (信用修复管理办法), or takes that back.

A repaired item is in no answer from then on; its row stays, and so does the history of the repair, until the item's
time is over. Items of credit reporting know no repair: they end five years after the behaviour, and a wrong one is
corrected by the bank (征信业管理条例 art. 16, 25).
"""

from dataclasses import dataclass, replace
from datetime import date, datetime

import asyncpg

from hub.audit.outbox import append
from hub.audit.proof import Receipt
from hub.core.clock import day_of
from hub.core.errors import InputError, RefusedError
from hub.core.ids import uuid7
from hub.core.names import AdverseRegime, Category
from hub.flows.intake.challenge_sources import challenging
from hub.flows.stewards.steward_desk import StewardAct, StewardDesk, require_settled
from hub.flows.stewards.steward_record import steward_record
from hub.records.adverse_items.adverse import item_id, regime_of
from hub.records.adverse_items.adverse_notes import NewRepair, write_repair
from hub.records.folding.sections import refresh_at_once
from hub.records.linkage.link_review import households_of

DOCUMENT_MAX = 100
"""Characters of a document's number."""


@dataclass(frozen=True, slots=True)
class Repair:
    """What the competent body decided about one item; ``repaired`` false takes an earlier record back."""

    source: str
    source_key: str
    repaired: bool
    document: str
    decided_on: date

    def check(self, today: date) -> None:
        """Raise :class:`InputError` unless document and day can be those of a decision."""
        if not self.document.strip() or len(self.document) > DOCUMENT_MAX:
            raise InputError(
                f"the decision needs a number of 1 to {DOCUMENT_MAX} characters.", remedy="Give it with --document."
            )
        if self.decided_on > today:
            raise InputError("the decision's day has not come yet.", remedy="Give the day on the document.")


@dataclass(frozen=True, slots=True)
class RepairMade:
    """The record that was made."""

    repaired: bool
    regime: AdverseRegime
    recorded_at: datetime


async def repair_adverse(desk: StewardDesk, act: StewardAct, repair: Repair) -> tuple[RepairMade, Receipt]:
    """Record it; the sections concerned are folded in the same transaction.

    Raises :class:`RefusedError`: ADVERSE_UNKNOWN (no current adverse item under this key), REPAIR_NOT_KNOWN (its regime
    knows none), REPAIR_STANDS (it is recorded so already).
    """
    act.check()
    repair.check(day_of(desk.clock()))
    event = uuid7()
    async with desk.deciding() as connection:
        await require_settled(connection)
        now = desk.clock()  # in its turn, after whatever was folded before
        record = await _item(connection, repair)
        regime = regime_of(Category(record["category"]))
        if not regime.repaired_by:
            raise RefusedError(
                f"an adverse item of regime {regime.name} cannot be repaired; it is kept {regime.years} years after "
                f"its end ({regime.law}).",
                remedy="If it is wrong, the source has to correct it.",
                code="REPAIR_NOT_KNOWN",
            )
        item = (repair.source, repair.source_key)
        await write_repair(
            connection,
            desk.keys,
            NewRepair(
                item, record["county"], repair.repaired, repair.decided_on, repair.document, act.reason, act.steward,
                event, now,
            ),
        )  # fmt: skip
        person = record["person_id"]
        # Not the key: it would outlive the item in the log.
        told = replace(act, variables={"item": item_id(desk.keys, *item)})
        await append(
            connection, steward_record(desk.keys, told, event, "record:steward:amended", {}, persons={person: {}})
        )
        if person is not None:
            homes = (await households_of(connection, {person})).get(person, set())
            await refresh_at_once(connection, desk.keys, now, homes, challenging(desk.keys))
    return RepairMade(repair.repaired, regime.name, now), await desk.signed(event)


async def _item(connection: asyncpg.Connection, repair: Repair) -> asyncpg.Record:
    """The current adverse observation under the key."""
    record = await connection.fetchrow(
        """SELECT o.county, o.category, o.person_id, coalesce((
                   SELECT r.repaired FROM record.adverse_repair r
                   WHERE r.source = o.source AND r.source_key = o.source_key ORDER BY r.number DESC LIMIT 1), false)
               AS repaired
           FROM ingest.held_row h JOIN record.observation o ON o.row_id = h.row_id
           WHERE h.source = $1 AND h.source_key = $2 AND h.is_current AND o.recorded_to = 'infinity' AND o.adverse""",
        repair.source,
        repair.source_key,
    )
    if record is None:
        raise RefusedError(
            "there is no current adverse item under this key.", remedy="Check source and key.", code="ADVERSE_UNKNOWN"
        )
    if record["repaired"] == repair.repaired:
        raise RefusedError(
            "that is recorded already." if repair.repaired else "no repair of this item is recorded.",
            remedy="Nothing needs to be done.",
            code="REPAIR_STANDS",
        )
    return record
