"""Rotation of the keys: a new version, everything brought over to it, the old one destroyed (docs/KEYS.md).

The hub answers meanwhile: it opens and finds by every version held. Only what compares ID numbers with each other
(pulls, stewards' acts) waits until the bringing over has ended. Each step may be broken off anywhere and run again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from hub.audit.data_keys import AUDIT_PLACES
from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.receipts import Receipts
from hub.consent.key_places import CONSENT_PLACES, extend_requests, stranded_requests
from hub.core.errors import InputError, RefusedError
from hub.core.ids import uuid7
from hub.core.version import VERSION
from hub.flows.intake.pull import only_pull
from hub.flows.people.change_account import HOLDER_PURPOSE
from hub.records.key_places import RECORD_PLACES
from hub.store.database import Database, DbRole
from hub.store.keyring import KnownVersion, check_key_folder, known_versions
from hub.store.keys import FileKeys
from hub.store.rekey import INDEX, PASSES, SEAL, Place, Rekeying, Sealed, Watcher, old_rows
from hub.store.suites import Algorithm

ACCOUNT_PLACES = (
    Place(
        "auth.account",
        (("account_id", "text"),),
        (Sealed("sealed_holder", HOLDER_PURPOSE, "convert_to(t.account_id, 'UTF8')"),),
        ("holder",),
    ),
    Place(
        "access.officer",
        (("organisation_id", "text"), ("officer_id", "text")),
        (Sealed("sealed_holder", HOLDER_PURPOSE, "convert_to(t.organisation_id || '|' || t.officer_id, 'UTF8')"),),
        ("holder",),
    ),
)
"""Who holds an account, and who an organisation's officers are."""

PLACES: tuple[Place, ...] = (*AUDIT_PLACES, *ACCOUNT_PLACES, *CONSENT_PLACES, *RECORD_PLACES)
"""Everything that carries a key version."""

ROWS_AT_ONCE = 500
"""Rows brought over in one transaction."""

_RECEIPT_SECONDS = 60.0
_ROUNDS = 5
"""After so many rounds without an end something goes on writing under an old version."""


@dataclass(frozen=True, slots=True)
class KeyDesk:
    """What the commands about keys work with. ``operator``: who runs them."""

    database: Database
    keys: FileKeys
    receipts: Receipts
    operator: str


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """One key version: its suite (``None`` once retired), its state, and how many rows still need it."""

    known: KnownVersion
    suite: Algorithm | None
    rows: int


@dataclass(frozen=True, slots=True)
class Reindexed:
    """What a run of the job did."""

    version: int
    rows: int
    set_aside: int


async def rotate_keys(desk: KeyDesk, algorithm: Algorithm | None = None) -> int:
    """Make a new key version; what is sealed from now on is sealed under it. Returns its number.

    Raises :class:`RefusedError` (KEYS_UNFINISHED) while the rotation before is not finished, ``PullRunningError`` while
    a pull is under way, :class:`AuditError` if the log cannot record; then no key was made.
    """
    async with only_pull(desk.database):
        connection = await desk.database.connect(DbRole.OWNER)
        try:
            if not await check_key_folder(connection, desk.keys):
                raise RefusedError(
                    "the rotation before this one is not finished.",
                    remedy="Run `hub keys reindex` first.",
                    code="KEYS_UNFINISHED",
                )
            await desk.receipts.ready()
            version = desk.keys.newest + 1
            suite = algorithm or desk.keys.algorithm(desk.keys.newest)
            event = uuid7()
            await append(connection, key_entry(desk, event, "rotated", {"version": version, "suite": suite.value}))
            # The key comes only after it is recorded for good: once it is there, other processes seal with it.
            await desk.receipts.wait(event, _RECEIPT_SECONDS)
            desk.keys.rotate(suite)
            await check_key_folder(connection, desk.keys)
        finally:
            await connection.close()
    return version


async def reindex(
    desk: KeyDesk, *, rows_at_once: int = ROWS_AT_ONCE, watch: Watcher = lambda place, rows: None
) -> Reindexed:
    """Bring everything over to the newest version; goes on where it was broken off.

    Rows that cannot be brought over are set aside and tried again by the next run. Raises as :func:`rotate_keys`.
    """
    async with only_pull(desk.database):
        connection = await desk.database.connect(DbRole.OWNER)
        try:
            await check_key_folder(connection, desk.keys)
            await desk.receipts.ready()
            run = Rekeying(connection, desk.keys, desk.keys.newest, rows_at_once, watch)
            for _ in range(_ROUNDS):
                await _bring_over(run)
                if not await _left_over(run):
                    break
                # Rows that came in under an old version behind the place where the job stood.
                await connection.execute("DELETE FROM keyring.progress WHERE target = $1", run.target)
            else:
                raise RefusedError(
                    "rows go on being written under an older key version.",
                    remedy="Restart every process of the hub with the present key folder, then run it again.",
                    code="KEYS_UNFINISHED",
                )
            done, event = await _finish(desk, run)
        finally:
            await connection.close()
        await desk.receipts.wait(event, _RECEIPT_SECONDS)
    return done


async def _bring_over(run: Rekeying) -> None:
    for place in PLACES:
        await run.bring_over(place, SEAL)
    await extend_requests(run.connection)
    for place in PLACES:
        await run.bring_over(place, INDEX)


async def _left_over(run: Rekeying) -> bool:
    """Whether rows of an older version are left that nobody has set aside."""
    for place in PLACES:
        older = [v for v in range(1, run.target) if v != run.target]
        rows = sum([await _count(run.connection, place, version) for version in older])
        aside: int = await run.connection.fetchval(
            "SELECT count(*) FROM keyring.set_aside WHERE starts_with(place, $1)", f"{place.table}."
        )
        if rows > aside:
            return True
    return False


async def _count(connection: asyncpg.Connection, place: Place, version: int) -> int:
    columns = sorted({column for name in PASSES for column in place.in_pass(name)})
    found: int = await connection.fetchval(
        f"SELECT count(*) FROM {place.table} t WHERE {old_rows(columns, '= $1')}",
        version,
    )
    return found


async def _finish(desk: KeyDesk, run: Rekeying) -> tuple[Reindexed, UUID]:
    connection, event = run.connection, uuid7()
    async with connection.transaction():
        rows: int = await connection.fetchval(
            "SELECT coalesce(sum(rows), 0)::bigint FROM keyring.progress WHERE target = $1", run.target
        )
        aside: int = await connection.fetchval("SELECT count(*) FROM keyring.set_aside")
        await connection.execute("UPDATE keyring.version SET state = 'IN_USE' WHERE version = $1", run.target)
        await connection.execute("DELETE FROM keyring.progress")
        await connection.execute("DELETE FROM keyring.index_map")
        facts = {"version": run.target, "rows": rows, "setAside": aside}
        await append(connection, key_entry(desk, event, "reindexed", facts))
    return Reindexed(run.target, rows, aside), event


async def retire_key(desk: KeyDesk, version: int, *, abandon: int = 0) -> None:
    """Destroy a key version that nothing needs any more; the database is searched for it first.

    ``abandon``: how many rows that were set aside are given up with it; it must be exactly their number. Raises
    :class:`RefusedError` (KEY_IN_USE) otherwise, :class:`InputError` for a version that is not there or is the newest.
    """
    async with only_pull(desk.database):
        connection = await desk.database.connect(DbRole.OWNER)
        try:
            is_fit = await check_key_folder(connection, desk.keys)
            known = {each.version: each for each in await known_versions(connection)}
            if version not in known or version == desk.keys.newest:
                raise InputError(
                    f"there is no older key version {version}.",
                    remedy="`hub keys status` lists them.",
                    code="KEY_UNKNOWN",
                )
            if not is_fit:
                raise _in_use(version, "the rotation is not finished", "Run `hub keys reindex` first.")
            if known[version].state != "RETIRED":
                await _retire(desk, connection, version, abandon)
            desk.keys.retire(version)
        finally:
            await connection.close()


async def _retire(desk: KeyDesk, connection: asyncpg.Connection, version: int, abandon: int) -> None:
    await desk.receipts.ready()
    event = uuid7()
    async with connection.transaction():
        rows = sum([await _count(connection, place, version) for place in PLACES])
        if rows != abandon:
            raise _in_use(
                version,
                f"{rows} rows need it that could not be brought over",
                f"Mend them and run `hub keys reindex`, or give them up for good with `--abandon {rows}`.",
            )
        if waiting := await stranded_requests(connection, version):
            raise _in_use(version, f"{waiting} open requests for consent rest on it", "Wait until they have run out.")
        if await connection.fetchval(
            "SELECT EXISTS (SELECT FROM audit.pending WHERE get_byte(sealed, 0) = $1)", version
        ):
            raise _in_use(version, "entries on their way into the log need it", "Try again in a moment.")
        await connection.execute("DELETE FROM keyring.set_aside WHERE version = $1", version)
        await connection.execute(
            "UPDATE keyring.version SET state = 'RETIRED', retired_at = clock_timestamp() WHERE version = $1", version
        )
        await append(connection, key_entry(desk, event, "retired", {"version": version, "abandoned": abandon}))
    # The key goes only after its end is recorded for good.
    await desk.receipts.wait(event, _RECEIPT_SECONDS)


async def key_status(connection: asyncpg.Connection, keys: FileKeys) -> Sequence[VersionStatus]:
    """Every version with the rows that need it; ``connection`` is one as owner."""
    await check_key_folder(connection, keys)
    held = keys.versions
    return [
        VersionStatus(
            known,
            keys.algorithm(known.version) if known.version in held else None,
            sum([await _count(connection, place, known.version) for place in PLACES]),
        )
        for known in await known_versions(connection)
    ]


def _in_use(version: int, why: str, remedy: str) -> RefusedError:
    return RefusedError(f"key version {version} is still needed: {why}.", remedy=remedy, code="KEY_IN_USE")


def key_entry(desk: KeyDesk, event: UUID, verb: str, facts: Mapping[str, Any]) -> PendingEntry:
    """The entry of one act on the keys."""
    return PendingEntry(
        ev=event,
        kind=Kind.ADMIN,
        event=f"key:operator:{verb}",
        organisation="hub",
        actor=desk.operator,
        decision=Decision.ALLOW,
        policy=f"hub-{VERSION}",
        facts=facts,
    )
