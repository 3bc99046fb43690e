"""Grants of a client's own, queried and given up (OAuth 2.0 Grant Management, query and revoke).

A grant is a consent. It is asked about with a token of the system itself; another client's grant looks like none.
"""

from typing import Any
from uuid import UUID

from starlette.requests import Request

from hub.auth.dpop import InvalidProofError, NonceNeededError, Nonces
from hub.auth.grant_store import GrantStore
from hub.auth.resource import ResourceGuard
from hub.auth.store import AuthStore
from hub.auth.tokens import InvalidTokenError
from hub.consent.states import RevocationCause
from hub.core.clock import iso
from hub.core.disclosure import Asker
from hub.core.errors import RefusedError
from hub.flows.consent.consent_change import ConsentDesk, Operation
from hub.flows.consent.revoke_consent import ConsentRevocation, revoke_consent

Answer = tuple[int, dict[str, Any], dict[str, str]]
_NO_STORE = {"cache-control": "no-store"}


class GrantEndpoint:
    """Answers ``GET`` and ``DELETE`` of one grant."""

    def __init__(
        self, guard: ResourceGuard, store: AuthStore, grants: GrantStore, desk: ConsentDesk, nonces: Nonces
    ) -> None:
        self._guard = guard
        self._store = store
        self._grants = grants
        self._desk = desk
        self._nonces = nonces

    async def answer(self, request: Request, grant_id: UUID | None) -> Answer:
        """200 with the grant, 204 when it is given up, 404 for what is not the client's, 401 without a good token."""
        try:
            asker = await self._asker(request)
        except (InvalidTokenError, InvalidProofError, NonceNeededError) as error:
            challenge = f'DPoP error="{error.code.lower()}"'
            return 401, {"error": error.code.lower()}, _NO_STORE | {
                "www-authenticate": challenge, "dpop-nonce": self._nonces.current()
            }  # fmt: skip
        found = None if grant_id is None else await self._grants.grant_of(asker.client_id, grant_id)
        if found is None or grant_id is None:
            return 404, {"error": "invalid_grant_id"}, dict(_NO_STORE)
        if request.method == "DELETE":
            act = Operation("DELETE /oauth2/grants", {"grant_id": str(grant_id)})
            change = ConsentRevocation(asker, grant_id, RevocationCause.NO_LONGER_NEEDED, act)
            try:
                await revoke_consent(self._desk, change)
            except RefusedError:
                return 404, {"error": "invalid_grant_id"}, dict(_NO_STORE)
            return 204, {}, dict(_NO_STORE)
        state = {
            "grant_id": str(grant_id),
            "status": found.status,
            "authorization_details": list(found.details),
            "effective_from": iso(found.effective_from),
            "expires_at": iso(found.expires_at),
            "max_uses": found.max_uses,
            "uses": found.uses,
        }
        return 200, state, dict(_NO_STORE)

    async def _asker(self, request: Request) -> Asker:
        presented = self._guard.presented(request)
        if presented is None or not presented.claims.is_system or presented.claims.grant is not None:
            raise InvalidTokenError("a token of a system itself is needed.", remedy="Get one by client_credentials.")
        claims = presented.claims
        if await self._store.bearer_state(claims.token_id, claims.bearer, presented.proof) is None:
            raise InvalidTokenError("the access token cannot be used.", remedy="Get a new one.")
        return Asker(claims.bearer, claims.token_id, claims.bearer)
