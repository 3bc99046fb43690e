"""The right edge of the log when a process begins to lead it: read from the database, checked against the guard.

Everything here is done before the first signature. The checks read the edge only, so they take the same time however
long the log is; the whole log is checked by ``hub audit verify``.
"""

from dataclasses import dataclass

import asyncpg

from hub.audit.merkle import Frontier, ProofError, complete_nodes, leaf_hash, root_at
from hub.audit.note import Checkpoint
from hub.audit.tiles import HEIGHT, WIDTH, TileBuilder
from hub.audit.tree import LOG_ID, read_nodes
from hub.core.errors import AuditError


@dataclass(slots=True)
class Edge:
    """Where the log stands."""

    epoch: int
    frontier: Frontier
    tiles: TileBuilder
    root: bytes
    t_last: int


def damaged(what: str) -> AuditError:
    """The stored log contradicts itself or what was signed."""
    return AuditError(
        f"the audit log in the database is damaged: {what}.",
        remedy="Answer nothing; export the log, run `hub audit verify` on it, and restore what is damaged.",
        code="AUDIT_DAMAGED",
    )


async def open_log(conn: asyncpg.Connection, origin: str, vkey: str) -> None:
    """Make the log on first use, inside the caller's transaction; else check that it is this one.

    Raises :class:`AuditError` if the stored log has another name or key.
    """
    await conn.execute(
        "INSERT INTO audit.log (log_id, origin, vkey) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", LOG_ID, origin, vkey
    )
    stored = await conn.fetchrow("SELECT origin, vkey FROM audit.log WHERE log_id = $1", LOG_ID)
    if stored is None or (stored["origin"], stored["vkey"]) != (origin, vkey):
        raise AuditError(
            "the audit log in the database has another name or another key than this installation.",
            remedy="Use the key folder and the setting of the log's name that belong to this database.",
            code="AUDIT_KEY",
        )
    await conn.execute(
        "INSERT INTO audit.head (log_id, epoch, size, root, frontier, t_last) VALUES ($1, 0, 0, $2, '{}', 0)"
        " ON CONFLICT DO NOTHING",
        LOG_ID,
        Frontier().root(),
    )


async def take_edge(conn: asyncpg.Connection) -> Edge:
    """Lock the head, raise the epoch so that any earlier leader fails, and read and check the edge.

    Runs inside the caller's transaction. Raises :class:`AuditError` if the stored parts do not fit together.
    """
    head = await conn.fetchrow(
        "UPDATE audit.head SET epoch = epoch + 1 WHERE log_id = $1 RETURNING epoch, size, root, frontier, t_last",
        LOG_ID,
    )
    size = head["size"]
    try:
        frontier = Frontier(size, head["frontier"])
    except ValueError:
        raise damaged("the frontier does not fit the size") from None
    if frontier.root() != head["root"]:
        raise damaged(f"the head of size {size} has another root than its frontier")
    beyond = await conn.fetchrow(
        "SELECT EXISTS (SELECT FROM audit.entry WHERE log_id = $1 AND seq >= $2) AS entries,"
        " (SELECT max(size) FROM audit.checkpoint WHERE log_id = $1) AS signed",
        LOG_ID,
        size,
    )
    if beyond["entries"] or (beyond["signed"] or 0) > size:
        raise damaged(f"there are entries or signed heads beyond the head of size {size}")
    parts = await read_nodes(conn, size, complete_nodes(0, size))
    for (height, index), value in frontier.named_nodes():
        try:
            stored = parts.node(height, index)
        except KeyError:
            raise damaged(f"hashes of the head of size {size} are missing") from None
        if stored != value:
            raise damaged(f"the stored tiles do not lead to the head of size {size}")
    tiles = await _open_tiles(conn, size)
    return Edge(head["epoch"], frontier, tiles, head["root"], head["t_last"])


async def _open_tiles(conn: asyncpg.Connection, size: int) -> TileBuilder:
    """The incomplete tile of every level; the leaves are hashed anew from the stored entries."""
    start = size // WIDTH * WIDTH
    rows = await conn.fetch(
        "SELECT seq, leaf_hash, entry FROM audit.entry WHERE log_id = $1 AND seq >= $2 ORDER BY seq", LOG_ID, start
    )
    for expected, (seq, stored, entry) in enumerate(rows, start):
        if seq != expected:
            raise damaged(f"entry {expected} is missing")
        if leaf_hash(entry) != stored:
            raise damaged(f"entry {seq} was altered")
    if len(rows) != size - start:
        raise damaged(f"entry {start + len(rows)} is missing")
    open_tiles: list[tuple[int, list[bytes]]] = [(0, [row["leaf_hash"] for row in rows])]
    level = 1
    while size >> (HEIGHT * level):
        hashes = size >> (HEIGHT * level)
        first = hashes // WIDTH * WIDTH
        roots = await conn.fetch(
            "SELECT root FROM audit.tile WHERE log_id = $1 AND level = $2 AND idx >= $3 AND idx < $4 ORDER BY idx",
            LOG_ID,
            level - 1,
            first,
            hashes,
        )
        open_tiles.append((level, [row["root"] for row in roots]))
        level += 1
    return TileBuilder(open_tiles)


async def check_extends(conn: asyncpg.Connection, edge: Edge, signed: Checkpoint | None) -> None:
    """Raise :class:`AuditError` unless the log in the database extends the head in the guard file."""
    size = edge.frontier.size
    if signed is None:
        if size:
            raise AuditError(
                f"the audit guard file is missing, but the log in the database has {size} entries.",
                remedy="Restore the guard file from the log's own machine, or seed it from a witness or a receipt;"
                " never from the database.",
                code="AUDIT_GUARD",
            )
        return
    if signed.size > size:
        raise AuditError(
            f"the audit log in the database ends at {size} entries, but {signed.size} were already signed:"
            " the database was rolled back.",
            remedy="Restore the newest database; the entries that are gone are named by the receipts of their askers.",
            code="AUDIT_ROLLED_BACK",
        )
    if signed.size == 0:
        return
    try:
        parts = await read_nodes(conn, size, complete_nodes(0, signed.size))
        root = root_at(signed.size, parts.node)
    except (KeyError, ProofError):
        root = b""
    if root != signed.root:
        raise AuditError(
            f"the first {signed.size} entries of the audit log in the database are not those that were signed.",
            remedy="Restore the database as it was; `hub audit verify` on an export names the first altered entry.",
            code="AUDIT_FORKED",
        )
