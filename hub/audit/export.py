"""Writes the log as a bundle: a folder that anybody can verify without the database (layout: docs/AUDIT.md).

The bundle is what the database holds, damage included: nothing is repaired or recomputed that the verifier compares.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg

from hub.audit.history import person_lines
from hub.audit.tiles import HEIGHT, WIDTH, pack_entries, tile_path
from hub.audit.tree import LOG_ID
from hub.core.canonical import canonical_bytes
from hub.core.errors import AuditError, InputError
from hub.store.keys import KeyService

CHECKPOINT_FILE = "checkpoint"
"""The newest signed head."""

CHECKPOINTS_FILE = "checkpoints.jsonl"
"""Every older signed head, one JSON object per line: ``{"note": ..., "size": ...}``."""

POLICY_FILE = "policy"
"""Which key signs the log (C2SP tlog-policy)."""

OPENINGS_FILE = "openings.jsonl"
"""Fields that were opened, for :mod:`hub.audit.verify`; only if asked for."""

CHAINS_FILE = "chains.jsonl"
"""Links of persons' chains; only if asked for."""

_ROWS = 4096


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What a bundle holds."""

    origin: str
    size: int
    checkpoints: int
    openings: int = 0
    links: int = 0


async def export_bundle(
    conn: asyncpg.Connection,
    out: Path,
    *,
    keys: KeyService | None = None,
    persons: Sequence[UUID] = (),
    progress: Callable[[int, int], None] | None = None,
) -> ExportReport:
    """Write the log up to its newest signed head into the new folder ``out``.

    ``conn`` is of role ``hub_auditor``. For ``persons`` the fields that their keys open, and the links of their chains,
    are added in clear: give such a bundle only to who may read them. ``progress`` gets entries done and in all.
    Raises :class:`InputError` if the folder has anything in it, :class:`AuditError` if there is no signed head.
    """
    _empty_folder(out)
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        log = await conn.fetchrow("SELECT origin, vkey FROM audit.log WHERE log_id = $1", LOG_ID)
        newest = await conn.fetchrow(
            "SELECT size, note FROM audit.checkpoint WHERE log_id = $1 ORDER BY size DESC LIMIT 1", LOG_ID
        )
        if log is None or newest is None:
            raise AuditError(
                "there is no signed head of the audit log yet.", remedy="Run `hub audit sequence`.", code="AUDIT_EMPTY"
            )
        size = newest["size"]
        _write(out / CHECKPOINT_FILE, newest["note"].encode())
        _write(out / POLICY_FILE, f"log {log['vkey']}\nquorum none\n".encode())
        checkpoints = await _checkpoints(conn, out, size)
        await _entries(conn, out, size, progress)
        await _tiles(conn, out, size)
        openings = links = 0
        if persons and keys is not None:
            openings, links = await _persons(conn, out, keys, persons, size)
    return ExportReport(log["origin"], size, checkpoints, openings, links)


def _empty_folder(out: Path) -> None:
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f"`{out}` exists and is not an empty folder.", remedy="Name a new folder for the export.")
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"the folder `{out}` cannot be made: {error.strerror}.", remedy="Name a folder that can be written to."
        ) from None


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


async def _checkpoints(conn: asyncpg.Connection, out: Path, size: int) -> int:
    number = 0
    with (out / CHECKPOINTS_FILE).open("wb") as file:
        async for row in conn.cursor(
            "SELECT size, note FROM audit.checkpoint WHERE log_id = $1 AND size < $2 ORDER BY size", LOG_ID, size
        ):
            file.write(canonical_bytes({"note": row["note"], "size": row["size"]}) + b"\n")
            number += 1
    return number


async def _entries(conn: asyncpg.Connection, out: Path, size: int, progress: Callable[[int, int], None] | None) -> None:
    """The entry bundles, and the incomplete tile of level 0 from the leaf hashes as they are stored."""
    for start in range(0, size, _ROWS):
        rows = await conn.fetch(
            "SELECT seq, leaf_hash, entry FROM audit.entry WHERE log_id = $1 AND seq >= $2 AND seq < $3 ORDER BY seq",
            LOG_ID,
            start,
            min(start + _ROWS, size),
        )
        for first in range(start, min(start + _ROWS, size), WIDTH):
            width = min(WIDTH, size - first)
            here = [row for row in rows if first <= row["seq"] < first + width]
            _write(out / tile_path("entries", first // WIDTH, width), pack_entries(row["entry"] for row in here))
            if width < WIDTH:
                _write(out / tile_path(0, first // WIDTH, width), b"".join(row["leaf_hash"] for row in here))
        if progress is not None:
            progress(min(start + _ROWS, size), size)


async def _tiles(conn: asyncpg.Connection, out: Path, size: int) -> None:
    level = 0
    while size >> (HEIGHT * level):
        hashes = size >> (HEIGHT * level)
        full, rest = divmod(hashes, WIDTH)
        async for row in conn.cursor(
            "SELECT idx, hashes FROM audit.tile WHERE log_id = $1 AND level = $2 AND idx < $3 ORDER BY idx",
            LOG_ID,
            level,
            full,
        ):
            _write(out / tile_path(level, row["idx"]), row["hashes"])
        if level and rest:
            roots = await conn.fetch(
                "SELECT root FROM audit.tile WHERE log_id = $1 AND level = $2 AND idx >= $3 AND idx < $4 ORDER BY idx",
                LOG_ID,
                level - 1,
                full * WIDTH,
                hashes,
            )
            _write(out / tile_path(level, full, rest), b"".join(row["root"] for row in roots))
        level += 1


async def _persons(
    conn: asyncpg.Connection, out: Path, keys: KeyService, persons: Sequence[UUID], size: int
) -> tuple[int, int]:
    openings = links = 0
    with (out / OPENINGS_FILE).open("wb") as opened, (out / CHAINS_FILE).open("wb") as chains:
        for person in persons:
            fields, steps = await person_lines(conn, keys, person, size)
            for lines, file in ((fields, opened), (steps, chains)):
                file.writelines(
                    json.dumps(line, sort_keys=True, separators=(",", ":")).encode() + b"\n" for line in lines
                )
            openings, links = openings + len(fields), links + len(steps)
    return openings, links
