"""A data steward answers for a source: lists challenges, closes one with an outcome, hands them over in a file."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import orjson

from hub.audit.outbox import PendingEntry, append
from hub.audit.proof import Receipt
from hub.core.clock import iso
from hub.core.disclosure import Asker
from hub.core.errors import InputError, RefusedError
from hub.core.ids import uuid7
from hub.core.names import ChallengeOutcome
from hub.flows.stewards.steward_desk import StewardAct, StewardDesk
from hub.flows.stewards.steward_record import steward_record
from hub.records.folding.challenge_store import Challenge, ChallengeFilter, close_challenge, list_challenges

OUTCOMES = (ChallengeOutcome.CORRECTED, ChallengeOutcome.UPHELD, ChallengeOutcome.INCONCLUSIVE)
"""What a steward can find (征信业管理条例 art. 25): corrected, right as it is, or undecidable."""

SCHEMA = "hub.challenge/1"
"""Name and version of a line of the file for the source."""


async def close(
    desk: StewardDesk, act: StewardAct, challenge_id: UUID, outcome: ChallengeOutcome
) -> tuple[Challenge, Receipt]:
    """Close one challenge; the person concerned has it in his list of accesses.

    Raises :class:`RefusedError`: CHALLENGE_UNKNOWN, CHALLENGE_CLOSED (with another outcome, or by somebody else).
    """
    act.check()
    if outcome not in OUTCOMES:
        raise InputError(f"a steward closes with one of {', '.join(OUTCOMES)}.", code="OUTCOME")
    now, event = desk.clock(), uuid7()
    async with desk.deciding() as connection:
        found = await close_challenge(connection, challenge_id, outcome, act.steward, now)
        if found is None:
            raise RefusedError(
                "There is no such challenge.", remedy="See `hub challenge list`.", code="CHALLENGE_UNKNOWN"
            )
        challenge, was_open = found
        if not was_open and (challenge.outcome, challenge.closed_by) != (outcome, act.steward):
            raise RefusedError(
                "The challenge is closed already.", remedy="See `hub challenge list --status closed`.",
                code="CHALLENGE_CLOSED",
            )  # fmt: skip
        await append(connection, _closed_entry(desk, act, event, challenge))
    return challenge, await desk.signed(event)


async def list_for_operators(desk: StewardDesk, wanted: ChallengeFilter) -> list[Challenge]:
    """The challenges as the command lists them: row keys and attributes, nothing personal, so without an entry.

    Raises :class:`InputError` for a source that never delivered anything.
    """
    async with desk.reading() as connection:
        await _check_source(connection, wanted.source)
        return await list_challenges(connection, wanted)


async def export(desk: StewardDesk, act: StewardAct, source: str, write: Callable[[list[str]], None]) -> int:
    """Write the open challenges of a source for its own people; returns how many.

    A line holds the source's own key and what to look at; no other source is named, and no value, its own neither.
    ``write`` is called after the audit log has signed. Raises :class:`InputError` for an unknown source.
    """
    act.check()
    await desk.receipts.ready()
    event = uuid7()
    async with desk.reading() as connection:
        await _check_source(connection, source)
        found = await list_challenges(connection, ChallengeFilter(source=source, status="OPEN"))
        facts = {"source": source, "challenges": len(found)}
        await append(connection, steward_record(desk.keys, act, event, "challenge:steward:exported", facts))
    await desk.signed(event)
    write([orjson.dumps(for_source(challenge)).decode() for challenge in found])
    return len(found)


async def read(
    desk: StewardDesk, asker: Asker, act: StewardAct, wanted: ChallengeFilter, first: int, after: UUID | None
) -> tuple[list[Challenge], Receipt]:
    """One page through the API, of the counties assigned to the steward; one more than ``first`` if more follow.

    Raises :class:`RefusedError` for everybody but an active data steward.
    """
    await desk.check_role(asker)
    await desk.receipts.ready()
    event = uuid7()
    async with desk.reading() as connection:
        counties = await connection.fetchval(
            "SELECT county_codes FROM auth.account WHERE account_id = $1", asker.client_id
        )
        own = ChallengeFilter(wanted.source, wanted.status, wanted.attribute, tuple(counties or ()))
        found = await list_challenges(connection, own, first + 1, after)
        facts = {"asOf": iso(desk.clock()), "asked": [["challenge", "VALUE"]]}
        await append(connection, steward_record(desk.keys, act, event, "challenge:steward:listed", facts))
    return found, await desk.signed(event)


def for_source(challenge: Challenge) -> dict[str, Any]:
    """A challenge as its source gets it."""
    return {
        "schema": SCHEMA,
        "challenge": str(challenge.challenge_id),
        "source": challenge.source,
        "source_key": challenge.source_key,
        "source_version": challenge.version,
        "attribute": challenge.attribute.value,
        "cause": challenge.cause.value,
        "opened_at": iso(challenge.opened_at),
        "due_on": challenge.due_on.isoformat(),
    }


async def _check_source(connection: Any, source: str | None) -> None:
    if source is not None and not await connection.fetchval(
        "SELECT true FROM ingest.source_state WHERE source = $1", source
    ):
        raise InputError(
            f"no source named `{source}` was ever pulled.", remedy="Use the name that it has in sources.toml."
        )


def _closed_entry(desk: StewardDesk, act: StewardAct, event: UUID, challenge: Challenge) -> PendingEntry:
    facts = {
        "source": challenge.source,
        "attribute": challenge.attribute.value,
        "outcome": str(challenge.outcome),
    }
    return steward_record(
        desk.keys,
        act,
        event,
        "challenge:steward:closed",
        facts,
        persons={challenge.person_id: {"sourceKey": challenge.source_key}},
        county=challenge.county,
    )
