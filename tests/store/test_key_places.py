"""Every column that carries a key version is on one of the lists; otherwise a rotation would forget it."""

import re
from collections.abc import AsyncIterator

import asyncpg
import pytest

from hub.flows.keys.rotate_keys import PLACES
from hub.records.key_places import NOT_CARRIED_OVER
from hub.store.database import Database, DbRole

_NAMES = re.compile(r"^(sealed.*|payload|hint|wrapped|.*_index|.*_indexes|mark|stated|fingerprint|content_hash)$")
"""How columns are called that hold something sealed or hashed under a key of the service."""

ELSEWHERE = {
    "audit.detail.sealed": "under the wrapped keys of audit.data_key",
    "audit.pending.sealed": "on its way into the log, for seconds",
    "auth.idempotency.fingerprint": "for a day",
    "consent.request.identity_indexes": "hub/consent/key_places.py",
    "consent.request.name_indexes": "hub/consent/key_places.py",
    "consent.use.fingerprint": "SHA-256 without a key",
    "keyring.index_map.new_index": "the job's own",
    "keyring.index_map.old_index": "the job's own",
    "keyring.lasting.mark": "of a file that is never changed, or a public key",
    "keyring.version.mark": "of the version itself",
}


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await database.connect(DbRole.OWNER)
    yield connection
    await connection.close()


async def test_no_column_is_forgotten(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch(
        "SELECT n.nspname || '.' || c.relname AS place, a.attname AS name FROM pg_attribute a"
        " JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped"
        " AND a.atttypid IN ('bytea'::regtype, 'bytea[]'::regtype) AND n.nspname !~ '^(pg_|information_schema)'"
    )
    found = {f"{row['place']}.{row['name']}" for row in rows if _NAMES.match(row["name"])}
    carried = {f"{place.table}.{column}" for place in PLACES for column in place.columns}
    assert carried <= {f"{row['place']}.{row['name']}" for row in rows}
    assert found - carried - NOT_CARRIED_OVER.keys() - ELSEWHERE.keys() == set()
