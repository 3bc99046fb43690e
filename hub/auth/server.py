"""The back-channel endpoints of the authorization server, apart from HTTP: token, push, introspection, revocation.

Every request is authenticated by a signed assertion, and every credential is used once. The order is the same
everywhere: what can be checked without the database first, then one statement that uses the credentials up, then what
was asked for. What Authlib's defaults would let through is closed here and pinned by tests/auth/test_canaries.py.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from authlib.oauth2.rfc6749.errors import (
    InvalidGrantError,
    InvalidRequestError,
    InvalidScopeError,
    OAuth2Error,
    UnauthorizedClientError,
)

from hub.auth.client_assertion import METHOD, ONE_TEXT, Client, ClientAssertion, FormRequest, RefusedClientError
from hub.auth.dpop import InvalidProofError, NonceNeededError, Nonces, Proof, ProofChecker
from hub.auth.forms import fields_of, single_fields
from hub.auth.grant_store import REQUEST_SECONDS, Grant, GrantStore, Pushed, new_secret
from hub.auth.grants import TokenServer
from hub.auth.par import URI_PREFIX, check_push
from hub.auth.rar import ConsentWanted, InvalidDetailsError, keys_of, narrowed_details
from hub.auth.refusals import Refusals
from hub.auth.store import AuthStore
from hub.auth.tokens import LIFETIME, Claims, Holder, InvalidTokenError, TokenIssuer, TokenVerifier, new_token_id
from hub.consent.store import OFFICER_UNKNOWN
from hub.core.clock import SHANGHAI, day_of
from hub.core.disclosure import Asker
from hub.core.errors import InputError, RefusedError
from hub.flows.consent.consent_change import ConsentDesk, Operation
from hub.flows.consent.request_consent import ConsentRequest, request_consent
from hub.flows.disclosure.gate_wire import pseudonym_space

ANSWER_WITHIN = timedelta(minutes=15)
"""How long the person who is asked through a browser may take; nobody is asked again later."""

_SECRET_MAX = 512
_FIELDS_MAX = 20
_NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}

Answer = tuple[int, dict[str, Any], dict[str, str]]
"""Status, JSON body, headers."""


@dataclass(frozen=True, slots=True)
class Posted:
    """One POST: its path below the public address, its body, and all its ``DPoP`` headers."""

    path: str
    body: bytes
    content_type: str
    proofs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parts:
    """What the endpoints work with."""

    issuer: TokenIssuer
    store: AuthStore
    grants: GrantStore
    desk: ConsentDesk
    nonces: Nonces
    refusals: Refusals = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "refusals", Refusals(self.desk))


class _ProofError(OAuth2Error):  # type: ignore[misc]
    """``invalid_dpop_proof`` or ``use_dpop_nonce`` (RFC 9449 section 5)."""


Work = Callable[[FormRequest, Client], Coroutine[Any, Any, Answer]]


class AuthorizationEndpoints:
    """The endpoints that clients call themselves."""

    def __init__(self, parts: Parts) -> None:
        self.issuer = parts.issuer
        self.refusals = parts.refusals
        self.grants = parts.grants
        self._parts = parts
        self._verifier = TokenVerifier.of(parts.issuer)
        self._proofs = ProofChecker(parts.issuer.issuer, parts.nonces, parts.issuer.clock)
        self._assertion = ClientAssertion(parts.issuer.issuer, parts.issuer.clock, parts.store)
        self._server = TokenServer(parts.issuer)
        self._server.register_client_auth_method(METHOD, self._assertion)

    async def token(self, posted: Posted) -> Answer:
        """Answer a token request (RFC 6749 section 3.2) of one of the three grants."""

        async def work(request: FormRequest, client: Client) -> Answer:
            if client.registered.is_dpop_required and request.proof is None:
                raise _ProofError("A DPoP proof is needed.", error="invalid_dpop_proof")
            if request.form.get("scope"):
                raise InvalidScopeError
            reason = await self._prepare(request, client)
            status, answer, _ = self._server.create_token_response(request)
            if status != 200:
                return await self._refused(posted, status, answer, client, reason)
            return 200, dict(answer), dict(_NO_STORE)

        return await self._answer(posted, work, self._server.get_token_grant)

    async def push(self, posted: Posted) -> Answer:
        """Take a pushed authorization request (RFC 9126); where it asks for consent, the request for it is made."""

        async def work(request: FormRequest, client: Client) -> Answer:
            if not client.check_grant_type("authorization_code"):
                raise UnauthorizedClientError("This client has no redirect URI.")
            asked = check_push(request.form, client, day_of(self.issuer.clock()))
            key = asked.proof_key
            if request.proof is not None:
                if key not in (None, request.proof.key):
                    raise _ProofError("dpop_jkt and the proof name different keys.", error="invalid_dpop_proof")
                key = request.proof.key
            secret = new_secret()
            consent = None if asked.wanted is None else await self._ask(request, client, asked.wanted)
            pushed = Pushed(
                client.client_id,
                asked.redirect_uri,
                asked.state,
                asked.code_challenge,
                key,
                consent,
                asked.wanted is not None and asked.wanted.subject is None,
            )
            await self._parts.grants.push(secret, pushed)
            return 201, {"request_uri": URI_PREFIX + secret, "expires_in": REQUEST_SECONDS}, dict(_NO_STORE)

        return await self._answer(posted, work)

    async def introspect(self, posted: Posted) -> Answer:
        """Tell a client how a token of its own stands (RFC 7662); of all others nothing but ``active: false``."""

        async def work(request: FormRequest, client: Client) -> Answer:
            state = await self._state_of(_needed(request.form, "token"), client)
            return 200, state, dict(_NO_STORE)

        return await self._answer(posted, work)

    async def revoke(self, posted: Posted) -> Answer:
        """Take back a token of the client's own (RFC 7009); an unknown token is answered the same way."""

        async def work(request: FormRequest, client: Client) -> Answer:
            token = _needed(request.form, "token")
            claims = self._own_claims(token, client)
            if claims is not None:
                await self._parts.store.revoke_token(claims.token_id, claims.expires_at)
            elif len(token) <= _SECRET_MAX:
                await self._parts.grants.revoke_refresh_token(token, client.client_id)
            return 200, {}, dict(_NO_STORE)

        return await self._answer(posted, work)

    # What all have in common --------------------------------------------------------------------------------------

    async def _answer(self, posted: Posted, work: Work, first: Callable[[FormRequest], object] | None = None) -> Answer:
        client: Client | None = None
        headers: dict[str, str] = {"dpop-nonce": self._parts.nonces.current()} if posted.proofs else {}
        try:
            request = await self._read(posted)
            if first is not None:
                first(request)
            known = self._server.authenticate_client(request, (METHOD,), posted.path)
            request.proof = self._proof(posted)
            await self._use_credentials(request)
            client = known
            status, body, more = await work(request, known)
            return status, body, headers | more
        except OAuth2Error as error:
            status, body, _ = error()
            status, body, more = await self._refused(posted, status, body, client)
            if body["error"] == "use_dpop_nonce":
                headers = {"dpop-nonce": self._parts.nonces.current()}
            return status, body, headers | more

    async def _refused(
        self, posted: Posted, status: int, answer: Any, client: Client | None, reason: str | None = None
    ) -> Answer:
        body = dict(answer)
        if body.get("error") == "invalid_client":
            status, body = 401, {"error": "invalid_client", "error_description": ONE_TEXT}
        endpoint, why = posted.path.rsplit("/", 1)[-1], reason or body["error"]
        if client is not None:
            await self._parts.refusals.record(endpoint, why, client.registered)
        elif why != "use_dpop_nonce":
            self._parts.refusals.count(endpoint, why)
        return status, body, dict(_NO_STORE)

    async def _read(self, posted: Posted) -> FormRequest:
        try:
            form = single_fields(fields_of(posted.body, posted.content_type, fields_max=_FIELDS_MAX))
        except ValueError:
            raise InvalidRequestError("The body must be a form, with each parameter once.") from None
        return FormRequest(form, await self._assertion.get_known(form.get("client_assertion", "")))

    def _proof(self, posted: Posted) -> Proof | None:
        if not posted.proofs:
            return None
        try:
            return self._proofs.check(posted.proofs, method="POST", path=posted.path)
        except NonceNeededError:
            raise _ProofError("The proof needs the nonce of this answer.", error="use_dpop_nonce") from None
        except InvalidProofError:
            raise _ProofError("The DPoP proof cannot be used.", error="invalid_dpop_proof") from None

    async def _use_credentials(self, request: FormRequest) -> None:
        digest, until = self._assertion.mark_of(request)
        assertion, proof = await self._parts.store.use_credentials(
            request.client.client_id, digest, until, request.proof
        )
        if not assertion:
            raise RefusedClientError
        if not proof:
            raise _ProofError("The DPoP proof was used before.", error="invalid_dpop_proof")

    # The grants ---------------------------------------------------------------------------------------------------

    async def _prepare(self, request: FormRequest, client: Client) -> str | None:
        """Use up what the request names and find out whom the token is for; gives a reason for the log if refused."""
        form, key = request.form, None if request.proof is None else request.proof.key
        grant_type = form["grant_type"]
        if grant_type == "client_credentials":
            _refuse_details(form)
            request.holder = Holder(client.client_id, client.client_id, key)
            return None
        name = "code" if grant_type == "authorization_code" else "refresh_token"
        secret = form.get(name, "")
        if not client.check_grant_type(grant_type) or not 0 < len(secret) <= _SECRET_MAX:
            return None  # Authlib says what is wrong
        request.token_id = new_token_id()
        until = datetime.fromtimestamp(int(self.issuer.clock().timestamp()), SHANGHAI) + LIFETIME
        grants = self._parts.grants
        if name == "code":
            request.new_refresh_token = new_secret()
            request.held = await grants.use_code(
                secret, client.client_id, request.token_id, until, request.new_refresh_token
            )
            if request.held.proof_key not in (None, key):
                raise InvalidGrantError("The code is bound to another key.")
        else:
            request.held = await grants.use_refresh_token(secret, client.client_id, request.token_id, until)
        if request.held.state != "GOOD":
            return f"{name}_{request.held.state.lower()}"
        request.holder = await self._holder(request, client, key)
        return None

    async def _holder(self, request: FormRequest, client: Client, key: str | None) -> Holder | None:
        held = request.held
        assert held is not None, "prepared before"
        if held.grant_id is None:
            assert held.account_id is not None, "a code without a consent is an account's"
            _refuse_details(request.form)
            return Holder(held.account_id, client.client_id, key, factors=held.factors, signed_in_at=held.signed_in_at)
        grant = await self._parts.grants.grant_of(client.client_id, held.grant_id)
        if grant is None or not grant.is_in_force:
            return None
        details = await self._narrowed(request, grant.details)
        return Holder(self.pseudonym(client.client_id, grant), client.client_id, key, held.grant_id, details)

    async def _narrowed(self, request: FormRequest, granted: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        """What the token stands for: all that was granted, or the part of it that the client asks for."""
        text = request.form.get("authorization_details")
        if text is None:
            return granted
        (whole,) = granted
        narrowed = narrowed_details(text, whole, day_of(self.issuer.clock()))
        if narrowed != whole:
            assert request.token_id is not None, "noted with the code or refresh token"
            await self._parts.grants.narrow_token(request.token_id, keys_of(narrowed))
        return (narrowed,)

    def pseudonym(self, client_id: str, grant: Grant) -> str:
        """The person's id for the client's organisation; ``borrowerId`` of the API."""
        return self._parts.desk.keys.pseudonym(pseudonym_space(grant.organisation_id, client_id), grant.person_id)

    async def _ask(self, request: FormRequest, client: Client, wanted: ConsentWanted) -> UUID:
        asker = Asker(client.client_id, f"par:{new_token_id()}", wanted.officer or client.client_id)
        asked = ConsentRequest(
            asker=asker,
            purpose=wanted.purpose,
            subject=wanted.subject_or_nobody,
            parts=wanted.parts,
            operation=Operation("POST /oauth2/par", {"authorization_details": request.form["authorization_details"]}),
            application_ref=wanted.application_ref,
            days=wanted.days,
            uses=wanted.uses,
            answer_within=ANSWER_WITHIN,
            programme=wanted.programme,
        )
        try:
            made, _ = await request_consent(self._parts.desk, asked)
        except (InputError, RefusedError) as error:
            if isinstance(error, RefusedError) and error.code != OFFICER_UNKNOWN.code:
                raise UnauthorizedClientError("This client may not ask for consent.") from None
            raise InvalidDetailsError(f"authorization_details cannot be used: {error.code}.") from None
        return made.request_id

    # Tokens of its own --------------------------------------------------------------------------------------------

    def _own_claims(self, token: str, client: Client) -> Claims | None:
        try:
            claims = self._verifier.read(token)
        except InvalidTokenError:
            return None
        return claims if claims.client_id == client.client_id else None

    async def _state_of(self, token: str, client: Client) -> dict[str, Any]:
        """The state of a token; unknown ones and those of others cost the same look-up."""
        claims = self._own_claims(token, client)
        if claims is None:
            return await self._refresh_state(token, client)
        grant = None
        if claims.grant is not None:
            grant = await self._parts.grants.grant_of(client.client_id, claims.grant)
        bearer = await self._parts.store.bearer_state(claims.token_id, claims.bearer)
        if bearer is None or (claims.grant is not None and (grant is None or not grant.is_in_force)):
            return {"active": False}
        state: dict[str, Any] = {
            "active": True,
            "iss": self.issuer.issuer,
            "aud": self.issuer.audience,
            "sub": claims.subject,
            "client_id": claims.client_id,
            "iat": claims.issued,
            "exp": claims.expires,
            "jti": claims.token_id,
            "token_type": "Bearer" if claims.key is None else "DPoP",
        }
        if claims.key is not None:
            state["cnf"] = {"jkt": claims.key}
        if grant is not None:
            state |= {"grant_id": str(claims.grant), "authorization_details": list(claims.details)}
        return state

    async def _refresh_state(self, token: str, client: Client) -> dict[str, Any]:
        found = await self._parts.grants.refresh_token_of(token[:_SECRET_MAX], client.client_id)
        if found is None:
            return {"active": False}
        state: dict[str, Any] = {
            "active": True,
            "iss": self.issuer.issuer,
            "client_id": client.client_id,
            "iat": int(found.issued_at.timestamp()),
            "exp": int(found.expires_at.timestamp()),
        }
        if found.grant_id is not None:
            state["grant_id"] = str(found.grant_id)
        return state


def _refuse_details(form: dict[str, str]) -> None:
    if "authorization_details" in form:
        raise InvalidDetailsError("There is no consent that could be narrowed.")


def _needed(form: dict[str, str], name: str) -> str:
    if not form.get(name):
        raise InvalidRequestError(f"Missing '{name}'.")
    return form[name]
