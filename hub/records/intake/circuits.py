"""The stored circuit of each source (hub/core/circuit.py), moved with what a pull came to."""

import random
from datetime import datetime

import asyncpg

from hub.core.circuit import Circuit, CircuitState
from hub.core.errors import HubError, RetryableError

_STORE = """
INSERT INTO ingest.circuit (source, state, failures, since, retry_at, error_code) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (source) DO UPDATE SET state = EXCLUDED.state, failures = EXCLUDED.failures, since = EXCLUDED.since,
    retry_at = EXCLUDED.retry_at, error_code = EXCLUDED.error_code
"""


async def circuit_of(connection: asyncpg.Connection, source: str, now: datetime) -> Circuit:
    """The circuit of a source; closed since now if nothing was ever stored."""
    record = await connection.fetchrow(
        "SELECT state, failures, since, retry_at, error_code FROM ingest.circuit WHERE source = $1", source
    )
    if record is None:
        return Circuit(now)
    return Circuit(
        record["since"], CircuitState(record["state"]), record["failures"], record["retry_at"], record["error_code"]
    )


async def put_on_trial(connection: asyncpg.Connection, source: str, now: datetime) -> None:
    """Half open the circuit of a source that is about to be pulled; a closed one stays closed."""
    await _store(connection, source, (await circuit_of(connection, source, now)).on_trial(now))


async def move_circuit(connection: asyncpg.Connection, source: str, error: HubError | None, now: datetime) -> None:
    """Move the circuit by how a pull ended (``None``: well), in the caller's transaction."""
    circuit = await circuit_of(connection, source, now)
    if error is None:
        circuit = circuit.succeeded(now)
    else:
        chance = random.Random()  # noqa: S311 - spreads load, keeps no secret
        circuit = circuit.failed(now, error.code, may_pass=isinstance(error, RetryableError), chance=chance)
    await _store(connection, source, circuit)


async def _store(connection: asyncpg.Connection, source: str, circuit: Circuit) -> None:
    await connection.execute(
        _STORE, source, circuit.state, circuit.failures, circuit.since, circuit.retry_at, circuit.error_code
    )
