"""Data stewards keep guardianships: one registers a document, another approves it, either ends it.

None of them is concerned himself: not the ward, not the guardian, nobody of their households. Each act is an entry in
the lists of accesses of both people. An end takes effect at once, and with it end the consents that rested on the
guardianship alone.
"""

import json
from uuid import UUID

import asyncpg

from hub.audit.outbox import append
from hub.audit.proof import Receipt
from hub.core.ids import uuid7
from hub.core.text import normalise_name
from hub.flows.people.change_account import HOLDER_PURPOSE, Holder
from hub.flows.stewards.steward_desk import StewardAct, StewardDesk
from hub.flows.stewards.steward_record import steward_record
from hub.records.people import guardians
from hub.records.people.guardians import ActingSteward, EndCause, ListedGuardianship, Registration, Sought, Two
from hub.store.keys import KeyService


def sought(keys: KeyService, person: Holder) -> Sought:
    """The blind indexes of a person named by number and name."""
    return Sought(keys.indexes("identity", person.id_number), keys.indexes("name", normalise_name(person.name)))


async def register_guardian(desk: StewardDesk, act: StewardAct, registration: Registration) -> tuple[UUID, Receipt]:
    """Register a guardianship; it counts when a second steward approved it (:func:`decide_guardian`).

    Raises :class:`InputError`, and :class:`RefusedError` for people who are not known, not of the right age, bound to
    each other already, or the steward's own.
    """
    act.check()
    registration.check()
    now, event, made = desk.clock(), uuid7(), uuid7()
    async with desk.writing() as connection:
        steward = await _acting(connection, desk.keys, act)
        two = await guardians.propose(connection, made, registration, act.counties, steward, now)
        facts = {
            "guardianship": str(made),
            "ground": registration.ground.value,
            "source": "STEWARD",
            "from": registration.from_day.isoformat(),
            "documentHash": registration.document_hash.hex(),
        }
        if registration.to_day is not None:
            facts["to"] = registration.to_day.isoformat()
        entry = steward_record(
            desk.keys, act, event, "guardianship:steward:proposed", facts, persons=_whom(two), county=two.county
        )
        await append(connection, entry)
    return made, await desk.signed(event)


async def decide_guardian(
    desk: StewardDesk, act: StewardAct, guardianship_id: UUID, *, yes: bool
) -> tuple[str, Receipt]:
    """Approve or decline what another steward registered; gives the state. Raises GUARDIANSHIP_NOT_YOURS."""
    act.check()
    event = uuid7()
    async with desk.writing() as connection:
        steward = await _acting(connection, desk.keys, act)
        two = await guardians.decide(connection, guardianship_id, yes, act.counties, steward, desk.clock())
        facts = {"guardianship": str(guardianship_id), "state": two.state}
        entry = steward_record(
            desk.keys, act, event, "guardianship:steward:decided", facts, persons=_whom(two), county=two.county
        )
        await append(connection, entry)
    return two.state, await desk.signed(event)


async def end_guardian(
    desk: StewardDesk, act: StewardAct, cause: EndCause, which: UUID | tuple[Sought, Sought]
) -> tuple[UUID, Receipt]:
    """End a guardianship at once: a registered one by its id, one out of the roster by ward and guardian.

    One steward is enough, since it only takes away. Raises GUARDIANSHIP_UNKNOWN, GUARDIANSHIP_NOT_YOURS.
    """
    act.check()
    event = uuid7()
    ended, pair = (which, None) if isinstance(which, UUID) else (uuid7(), which)
    async with desk.writing() as connection:
        steward = await _acting(connection, desk.keys, act)
        two = await guardians.end(connection, ended, pair, act.counties, cause, steward, desk.clock())
        facts = {"guardianship": str(ended), "cause": cause.value, "source": two.source}
        entry = steward_record(
            desk.keys, act, event, "guardianship:steward:ended", facts, persons=_whom(two), county=two.county
        )
        await append(connection, entry)
    return ended, await desk.signed(event)


async def list_guardians(
    desk: StewardDesk, counties: frozenset[str] | None, *, open_only: bool
) -> list[ListedGuardianship]:
    """Guardianships with their documents and states, nobody named; so without an entry."""
    async with desk.reading() as connection:
        return await guardians.listed(connection, counties, open_only=open_only)


async def _acting(connection: asyncpg.Connection, keys: KeyService, act: StewardAct) -> ActingSteward:
    sealed = await connection.fetchval("SELECT sealed_holder FROM auth.account WHERE account_id = $1", act.steward)
    if sealed is None:
        return ActingSteward(act.steward, [])
    number = json.loads(keys.open(HOLDER_PURPOSE, sealed, act.steward.encode()))["id_number"]
    return ActingSteward(act.steward, keys.indexes("identity", number))


def _whom(two: Two) -> dict[UUID | None, dict[str, str]]:
    return {two.ward_id: {}, two.guardian_id: {}}
