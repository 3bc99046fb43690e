"""Publication of the compiled rules: one signed row and one table row per cell that some rule speaks of.

The database function reads only this table. Older versions stay, so that a past answer can be explained.
"""

import asyncpg
from cryptography.exceptions import InvalidSignature

from hub.access.compile import Cell, Need, compile_rules, compiled
from hub.access.legal_mode import LegalMode, bases_of
from hub.access.parts import part_key
from hub.access.rules import RuleSet
from hub.core.errors import SettingsError
from hub.core.names import WithheldReason
from hub.store.keys import KeyService

SIGNING_KEY = "rules"
_CONTEXT = b"hub/access-rules/v1\0"
_COLUMNS = (
    "digest",
    "role",
    "purpose",
    "part",
    "closed",
    "needs_basis",
    "needs_heightened_notice",
    "needs_area",
    "needs_second_factor",
    "needs_adult",
)


async def publish(conn: asyncpg.Connection, keys: KeyService, mode: LegalMode = LegalMode.LICENSED_BUREAU) -> bytes:
    """Put the repository's rules in force and return their digest; compiles only what is not published yet.

    ``conn`` is a connection as owner. All in one transaction: a reader sees the old rules or the new ones.
    """
    rules = RuleSet.load(mode=mode)
    digest = rules.digest
    async with conn.transaction():
        await conn.execute("SELECT pg_advisory_xact_lock(hashtext('access.policy_set'))")
        if await conn.fetchval("SELECT true FROM access.policy_set WHERE digest = $1 AND retired_at IS NULL", digest):
            return digest
        await conn.execute("UPDATE access.policy_set SET retired_at = clock_timestamp() WHERE retired_at IS NULL")
        if await conn.fetchval("SELECT true FROM access.policy_set WHERE digest = $1", digest):
            await conn.execute(
                "UPDATE access.policy_set SET retired_at = NULL, effective_from = clock_timestamp() WHERE digest = $1",
                digest,
            )
            return digest
        await _insert(conn, keys, rules, mode)
    return digest


async def _insert(conn: asyncpg.Connection, keys: KeyService, rules: RuleSet, mode: LegalMode) -> None:
    decisions = compiled(mode)
    signature = keys.signing_key(SIGNING_KEY).sign(_CONTEXT + decisions.digest)
    await conn.execute(
        "INSERT INTO access.policy_set (digest, signature, source, legal_mode) VALUES ($1, $2, $3, $4)",
        decisions.digest,
        signature,
        rules.source,
        mode.value,
    )
    await conn.copy_records_to_table(
        "decision",
        schema_name="access",
        columns=_COLUMNS,
        records=[_row(decisions.digest, cell) for cell in decisions.cells if _is_stored(cell)],
    )
    await conn.executemany(
        "INSERT INTO access.mode_basis (digest, kind) VALUES ($1, $2)",
        [(decisions.digest, kind) for kind in rules.bases or ()],
    )


def _is_stored(cell: Cell) -> bool:
    """Cells that no rule opens anywhere for the role have no row: that is what NEVER_DISCLOSED means there."""
    return cell.closed is not WithheldReason.NEVER_DISCLOSED


def _row(digest: bytes, cell: Cell) -> tuple[object, ...]:
    return (
        digest,
        cell.role.value,
        cell.purpose.value,
        part_key(cell.part),
        cell.closed.value if cell.closed else None,
        Need.BASIS in cell.needs,
        Need.HEIGHTENED_NOTICE in cell.needs,
        Need.AREA in cell.needs,
        Need.SECOND_FACTOR in cell.needs,
        Need.ADULT in cell.needs,
    )


async def check_published(
    conn: asyncpg.Connection, keys: KeyService, mode: LegalMode = LegalMode.LICENSED_BUREAU
) -> bytes:
    """Compare what the database applies with the words of the rules it names, row by row, and check the signature;
    the digest in force is returned. It may be older than the repository's while newer rules wait for their day.

    Raises :class:`SettingsError` naming the first difference. ``conn`` is a connection as owner.
    """
    row = await conn.fetchrow("SELECT digest, signature, source FROM access.policy_set WHERE retired_at IS NULL")
    if row is None:
        raise _unequal("no rules are in force")
    digest: bytes = row["digest"]
    try:
        keys.signing_key(SIGNING_KEY).public_key().verify(row["signature"], _CONTEXT + digest)
    except InvalidSignature:
        raise _unequal("the rules in force are not signed by this hub") from None
    decisions = compiled(mode)
    bases: tuple[str, ...] | None = bases_of(mode)
    if decisions.digest != digest:
        rules = RuleSet.of_source(row["source"] or "{}")
        decisions, bases = compile_rules(rules), rules.bases
    if decisions.digest != digest:
        raise _unequal("the words kept of them are not those of their digest")
    expected = {_row(digest, cell) for cell in decisions.cells if _is_stored(cell)}
    held = {
        tuple(found)
        for found in await conn.fetch(f"SELECT {', '.join(_COLUMNS)} FROM access.decision WHERE digest = $1", digest)
    }
    if expected != held:
        other = sorted(" ".join(str(value) for value in line[1:4]) for line in expected ^ held)
        raise _unequal(f"the database differs from the repository at {other[0]}")
    kinds = {row["kind"] for row in await conn.fetch("SELECT kind FROM access.mode_basis WHERE digest = $1", digest)}
    if bases is not None and kinds != set(bases):
        raise _unequal(f"the database differs from the repository at basis {min(kinds ^ set(bases))}")
    return digest


def _unequal(what: str) -> SettingsError:
    return SettingsError(
        f"The access rules of the database are not those of this program: {what}.",
        remedy="Run the command that prepares the database again; nothing is disclosed by rules that do not fit.",
        code="RULES_DIFFER",
    )
