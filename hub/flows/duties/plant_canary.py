"""Canary persons: people who do not exist, about whom nobody has reason to ask; a query for one is an alarm."""

import secrets
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID, uuid4

import asyncpg

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.receipts import Receipts
from hub.core.areas import COUNTIES
from hub.core.clock import Clock, day_of
from hub.core.errors import InputError
from hub.core.identifiers import id_check_character
from hub.core.ids import uuid7
from hub.core.text import normalise_name
from hub.core.version import VERSION
from hub.records.intake.payloads import seal_identity
from hub.store.keys import KeyService

_RECEIPT_SECONDS = 60.0
_YOUNGEST, _OLDEST = 22 * 365, 70 * 365
_TRIES = 50


@dataclass(frozen=True, slots=True)
class Canary:
    """A canary as the operator is told of it, once: number and name are what a list that leaks would hold."""

    id_number: str
    name: str


async def plant_canary(
    connection: asyncpg.Connection,
    keys: KeyService,
    receipts: Receipts,
    clock: Clock,
    *,
    county: str,
    name: str,
    operator: str,
) -> Canary:
    """Make a person with a fresh number of this county who is on no roster. ``connection`` is one as owner.

    Number and name are shown this once; the log is told the county alone. Raises :class:`InputError`.
    """
    if county not in COUNTIES:
        raise InputError("the county is none of the prefecture's.", code="CANARY_COUNTY")
    if not normalise_name(name):
        raise InputError("a canary needs a name like anybody's.", code="CANARY_NAME")
    await receipts.ready()
    event, person = uuid7(), uuid4()
    async with connection.transaction():
        number, born = await _fresh_number(connection, keys, county, day_of(clock()))
        await _settle(connection, keys, person, county, number, name, born)
        await connection.execute(
            "INSERT INTO access.canary (county, person_id, planted_at, planted_by) VALUES ($1, $2, $3, $4)",
            county, person, clock(), operator,
        )  # fmt: skip
        await append(
            connection,
            PendingEntry(
                ev=event,
                kind=Kind.ADMIN,
                event="canary:operator:planted",
                organisation="hub",
                actor=operator,
                decision=Decision.ALLOW,
                policy=f"hub-{VERSION}",
                facts={"county": county},
            ),
        )
    await receipts.wait(event, _RECEIPT_SECONDS)
    return Canary(number, name)


async def _fresh_number(connection: asyncpg.Connection, keys: KeyService, county: str, today: date) -> tuple[str, date]:
    for _ in range(_TRIES):
        born = today - timedelta(days=_YOUNGEST + secrets.randbelow(_OLDEST - _YOUNGEST))
        first17 = f"{county}{born:%Y%m%d}{1 + secrets.randbelow(995):03d}"
        number = first17 + id_check_character(first17)
        if not await connection.fetchval(
            "SELECT EXISTS (SELECT FROM record.directory WHERE blind_index = ANY ($1))",
            keys.indexes("identity", number),
        ):
            return number, born
    raise InputError("no number is free in this county.", code="CANARY_COUNTY")


async def _settle(
    connection: asyncpg.Connection, keys: KeyService, person: UUID, county: str, number: str, name: str, born: date
) -> None:
    index = keys.index("identity", number)
    await connection.execute(
        "INSERT INTO record.directory (blind_index, person_id, county) VALUES ($1, $2, $3)", index, person, county
    )
    await connection.execute(
        """INSERT INTO record.person (county, person_id, identity_index, first_index, name_index, birth_date,
               sealed_identity) VALUES ($1, $2, $3, $3, $4, $5, $6)""",
        county,
        person,
        index,
        keys.index("name", normalise_name(name)),
        born,
        seal_identity(keys, name, number, person.bytes),
    )
