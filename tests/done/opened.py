"""Everything that stands in a hub's database, its log included, opened with every key there is."""

import asyncpg

from hub.audit.data_keys import DataKeys
from hub.audit.detail import detail_context, unseal
from hub.audit.leaf import Leaf
from hub.store.keys import KeyService

_TABLES = """
SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1
"""


async def tables(owner: asyncpg.Connection, *, leave_out: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Every row of every table as text, in the order of the text."""
    names = [row["name"] for row in await owner.fetch(_TABLES)]
    return {
        name: [row[0] for row in await owner.fetch(f"SELECT t::text FROM {name} AS t ORDER BY 1")]
        for name in names
        if name not in leave_out
    }


async def audit_details(owner: asyncpg.Connection, keys: KeyService) -> list[str]:
    """Every field of every entry's encrypted detail, as JSON."""
    origin = await owner.fetchval("SELECT origin FROM audit.log")
    data_keys = DataKeys(keys)
    texts = []
    for row in await owner.fetch(
        "SELECT d.*, k.wrapped, e.entry FROM audit.detail d JOIN audit.entry e USING (log_id, seq)"
        " JOIN audit.data_key k USING (key_id) ORDER BY d.seq, d.part"
    ):
        leaf = Leaf.parse(row["entry"])
        cipher = data_keys.cipher(row["key_id"], row["wrapped"])
        blob = unseal(cipher, row["sealed"], detail_context(origin, row["seq"], leaf.ev, row["part"]))
        texts += [f"{name}: {value.decode()}" for name, value in blob.fields.items()]
    return texts
