"""What the authorization server asks the database: a few functions, the application role's only way in."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from hub.auth.dpop import InvalidProofError, Proof
from hub.core.names import Role
from hub.store.keys import KeyService


class Connections(Protocol):
    """A pool of connections of the application role."""

    async def fetchrow(self, query: str, *args: Any) -> Any:
        """The first row or ``None``."""

    async def fetch(self, query: str, *args: Any) -> Any:
        """All rows."""

    async def fetchval(self, query: str, *args: Any) -> Any:
        """The first column of the first row."""

    async def execute(self, query: str, *args: Any) -> Any:
        """No rows."""


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """A system or an app as registered; ``jwks`` is its public key set. An app has no organisation."""

    client_id: str
    jwks: dict[str, Any]
    is_active: bool
    organisation_id: str | None
    redirect_uris: tuple[str, ...]
    is_dpop_required: bool
    name_zh: str
    name_en: str


@dataclass(frozen=True, slots=True)
class BearerState:
    """What the database says of a bearer at this moment."""

    role: Role
    person_id: UUID | None
    organisation_id: str | None


class AuthStore:
    """The statements of the authorization server."""

    def __init__(self, connections: Connections, keys: KeyService) -> None:
        self._connections = connections
        self._keys = keys

    async def find_client(self, client_id: str) -> RegisteredClient | None:
        """The registered system of this id."""
        row = await self._connections.fetchrow("SELECT * FROM auth.find_client($1)", client_id)
        if row is None:
            return None
        return RegisteredClient(
            row["client_id"],
            json.loads(row["jwks"]),
            row["status"] == "ACTIVE",
            row["organisation_id"],
            tuple(row["redirect_uris"]),
            row["is_dpop_required"],
            row["name_zh"],
            row["name_en"],
        )

    async def use_credentials(
        self, client_id: str, assertion: bytes, until: datetime, proof: Proof | None
    ) -> tuple[bool, bool]:
        """Mark a client's assertion and its proof (if any) as used; each is ``True`` for one caller in any process."""
        row = await self._connections.fetchrow(
            "SELECT * FROM auth.use_credentials($1, $2, $3, $4, $5)",
            client_id,
            assertion,
            until,
            None if proof is None else proof.digest,
            None if proof is None else proof.until,
        )
        return row["is_assertion_fresh"], row["is_proof_fresh"]

    async def revoke_token(self, token_id: str, expires_at: datetime) -> None:
        """Take a token back; from the next statement on it is worth nothing."""
        await self._connections.execute("SELECT auth.revoke_token($1, $2)", token_id, expires_at)

    async def claim(self, bearer: str, token_id: str, key: str, fingerprint: str) -> tuple[str, str | None]:
        """Claim a caller's key for one change: CLAIMED, BUSY, OTHER, ANSWERED with the answer, or REFUSED where there
        is an answer and the caller may not act any more.

        ``fingerprint`` is a digest of the change; it is kept under a key, since a change may name a person.
        """
        mark = self._keys.index("idempotency", fingerprint)[1:]
        row = await self._connections.fetchrow(
            "SELECT * FROM auth.claim_key($1, $2, $3, $4)", bearer, token_id, key, mark
        )
        return row["state"], row["held"]

    async def settle(self, bearer: str, key: str, answer: str | None) -> None:
        """Keep the answer of a claimed key; without one the key is free again."""
        await self._connections.execute("SELECT auth.settle_key($1, $2, $3)", bearer, key, answer)

    async def bearer_state(self, token_id: str, bearer: str, proof: Proof | None = None) -> BearerState | None:
        """Role and person of an active bearer whose token stands; ``None`` where he may not act.

        With ``proof`` it is used up in the same statement. Raises :class:`~hub.auth.dpop.InvalidProofError` if it had
        been used before.
        """
        if proof is None:
            rows = await self._connections.fetch(
                "SELECT true AS is_fresh, * FROM auth.bearer_state($1, $2)", token_id, bearer
            )
        else:
            rows = await self._connections.fetch(
                "SELECT auth.use_proof($3, $4) AS is_fresh, * FROM auth.bearer_state($1, $2)",
                token_id,
                bearer,
                proof.digest,
                proof.until,
            )
        if len(rows) != 1:
            return None
        if not rows[0]["is_fresh"]:
            raise InvalidProofError("the DPoP proof was used before.", remedy="Make a new proof for each request.")
        return BearerState(Role(rows[0]["found_role"]), rows[0]["person_id"], rows[0]["organisation_id"])
