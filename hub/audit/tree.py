"""Reads hashes of the tree from the database, as many as a proof or a check needs, in one round trip."""

from collections.abc import Iterable

import asyncpg

from hub.audit.merkle import Node
from hub.audit.tiles import TreeNeeds, TreeParts

LOG_ID = 1
"""The number of the log this release writes; a continuation (next year, next shard) gets the next number."""


async def read_nodes(conn: asyncpg.Connection, size: int, nodes: Iterable[Node]) -> TreeParts:
    """What is needed to know ``nodes``, all of them complete in the tree of ``size`` leaves.

    Works under every role of the hub. A hash that the database has lost shows as :class:`KeyError` when asked for.
    """
    needs = TreeNeeds(size)
    for node in nodes:
        needs.add(node)
    tiles = sorted(needs.tiles)
    roots = sorted(needs.roots.items())
    rows = await conn.fetch(
        "SELECT what, level, idx, hash FROM audit.tree_parts($1, $2, $3, $4, $5, $6, $7, $8)",
        LOG_ID,
        [level for level, _ in tiles],
        [index for _, index in tiles],
        [level for level, _ in roots],
        [span[0] for _, span in roots],
        [span[1] for _, span in roots],
        needs.leaves[0],
        needs.leaves[1],
    )
    parts = TreeParts()
    for what, level, index, value in rows:
        if what == "tile":
            parts.put_tile(level, index, value)
        elif what == "root":
            parts.put_hash(level + 1, index, value)
        else:
            parts.put_hash(0, index, value)
    return parts
