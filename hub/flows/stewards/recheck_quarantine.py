"""Try the present contract on every open row of a source: which of them would pass now. Nothing is changed or shown."""

from collections import Counter
from dataclasses import dataclass, field

import asyncpg

from hub.audit.outbox import append
from hub.audit.proof import Receipt
from hub.connectors.kept_rows import recheck
from hub.core.clock import day_of
from hub.core.contracts import contract_of
from hub.core.ids import uuid7
from hub.core.names import RETRIED_REASONS, QuarantineReason
from hub.flows.stewards.readmit_quarantined import kept_row
from hub.flows.stewards.steward_desk import StewardAct, StewardDesk
from hub.flows.stewards.steward_record import steward_record
from hub.records.held_back.quarantine import entry_id, require_source
from hub.records.held_back.quarantine_acts import judge_again
from hub.records.held_back.quarantine_entries import QuarantinedRow, open_entries

JUDGED_AT_THE_END = frozenset({*RETRIED_REASONS, QuarantineReason.DUP_CONFLICT})
"""Reasons that need the whole roster: a release tries them, a recheck does not."""


@dataclass(frozen=True, slots=True)
class Rechecked:
    """One open entry under the present rules: the reasons that remain; none of them, and it could be released."""

    number: int
    reason: QuarantineReason
    refused_by: str | None
    remaining: tuple[QuarantineReason, ...]

    @property
    def entry(self) -> str:
        """The entry's name."""
        return entry_id(self.number)


@dataclass(frozen=True, slots=True)
class Recheck:
    """All open entries of one source. ``contract``: the version they were tried on."""

    source: str
    contract: str
    rows: list[Rechecked] = field(default_factory=list)

    @property
    def passing(self) -> list[Rechecked]:
        """Those that break no rule any more."""
        return [row for row in self.rows if not row.remaining]

    def counts(self) -> dict[str, dict[str, int]]:
        """Reason -> how many are open, and how many of them would pass."""
        total = Counter(row.reason.name for row in self.rows)
        passing = Counter(row.reason.name for row in self.passing)
        return {name: {"open": number, "passing": passing[name]} for name, number in sorted(total.items())}


async def recheck_source(desk: StewardDesk, act: StewardAct, source: str) -> tuple[Recheck, Receipt]:
    """Recheck a source. Raises :class:`~hub.core.errors.InputError` if there is no such source."""
    event = uuid7()
    async with desk.reading() as connection:
        kind = await require_source(connection, source)
        found = Recheck(source, contract_of(kind))
        async for entry in open_entries(connection, desk.keys, source):
            found.rows.append(
                Rechecked(entry.number, entry.reason, entry.contract, await _remaining(connection, desk, entry))
            )
        facts = {
            "source": source,
            "rows": len(found.rows),
            "passing": len(found.passing),
            "contract": found.contract,
        }
        await append(connection, steward_record(desk.keys, act, event, "quarantine:steward:rechecked", facts))
    return found, await desk.signed(event)


async def _remaining(
    connection: asyncpg.Connection, desk: StewardDesk, entry: QuarantinedRow
) -> tuple[QuarantineReason, ...]:
    if entry.wire is None:
        return entry.reasons
    checked = recheck(await kept_row(connection, entry), day_of(desk.clock()))
    if checked.reasons:
        return checked.reasons
    judged = await judge_again(connection, desk.keys, entry, checked, entry.row_id, book=False)
    if judged is None or entry.reason in JUDGED_AT_THE_END:
        return (entry.reason,)
    return judged.reasons
