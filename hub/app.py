"""The composition root: the only place that knows every part. It builds the API from the settings.

Connections and background work live as long as the application: the pool of the application role, the sequencer of the
audit log, the lanes of the disclosure. Nothing is answered before the log can record.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import asyncpg
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.access.approvals import check_approved
from hub.access.publish import check_published
from hub.audit.receipts import Receipts
from hub.audit.sequencer import SIGNING_KEY as LOG_KEY
from hub.audit.sequencer import Sequencer
from hub.auth.authorize import AuthorizePages, Visitors
from hub.auth.dpop import Nonces, Proof
from hub.auth.enrol_pages import people_routes
from hub.auth.forms import Cookies
from hub.auth.grant_endpoint import GrantEndpoint
from hub.auth.grant_store import GrantStore
from hub.auth.refusals import Refusals
from hub.auth.resource import Presented, ResourceGuard
from hub.auth.routes import auth_routes
from hub.auth.server import AuthorizationEndpoints, Parts
from hub.auth.sign_in import SignInDesk
from hub.auth.store import AuthStore, BearerState
from hub.auth.tokens import InvalidTokenError, TokenIssuer, TokenVerifier
from hub.consent.record import SIGNING_KEY as CONSENT_KEY
from hub.core.clock import Clock, system_clock
from hub.core.disclosure import UnspentProof
from hub.core.errors import RefusedError, SettingsError, StoreError
from hub.flows.capture.hold_evidence import store_evidence
from hub.flows.consent.consent_change import ConsentDesk
from hub.flows.disclosure.disclose import Discloser
from hub.flows.people.account_desk import AccountDesk
from hub.flows.people.assist_resident import AssistanceDesk
from hub.flows.people.sandbox_accounts import refuse_sandbox_accounts
from hub.flows.readiness import Readiness
from hub.flows.receipts import guard_file
from hub.flows.rules.load_precedence import load_precedence
from hub.flows.rules.load_rules import RuleTerms, load_rules
from hub.flows.rules.rules_in_time import RulesInTime
from hub.flows.rules.shadow import Shadow
from hub.flows.stewards.steward_desk import StewardDesk
from hub.portal.evidence import EvidenceUpload
from hub.portal.metrics import metrics_app
from hub.portal.middleware import BodyLimit, RequestFrame
from hub.portal.routes import portal_routes
from hub.records.folding.precedence_store import check_precedence
from hub.schema.context import Bearer, OperationContext, Ports
from hub.schema.endpoint import Guarded
from hub.schema.messages import language_of
from hub.schema.schema import build_schema
from hub.schema.selection import Selections
from hub.schema.view import HubView
from hub.settings import Settings
from hub.store.database import DATABASE_ERRORS, Database, DbRole
from hub.store.keyring import check_key_folder
from hub.store.keys import FileKeys, KeyService

TOKEN_KEY = "tokens"  # noqa: S105 - the name of a key, not a key
"""Name of the key that signs access tokens."""

LASTING_KEYS = (LOG_KEY, CONSENT_KEY)
"""Signing keys that are made before the key folder is looked at, so that the database knows them; that of the rules was
made when these were published.
"""

AUDITOR_CONNECTIONS = 2
"""Connections that may read the log; used by regulators' requests only."""

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def token_issuer(settings: Settings, keys: KeyService, clock: Clock = system_clock) -> TokenIssuer:
    """The issuer of access tokens. Raises :class:`SettingsError` where tokens would travel unprotected."""
    address = urlsplit(settings.public_url)
    if address.scheme != "https" and address.hostname not in _LOOPBACK:
        raise SettingsError(
            "HUB_PUBLIC_URL is neither https nor this machine itself, so tokens could be read on the way.",
            remedy="Put a TLS proxy in front and give its https address.",
        )
    return TokenIssuer(settings.public_url, keys.signing_key(TOKEN_KEY), clock)


def rule_terms(settings: Settings) -> RuleTerms:
    """Under which terms access rules come into force."""
    return RuleTerms(settings.legal_mode, settings.is_production)


async def publish_rules(settings: Settings, database: Database) -> None:
    """Put this program's access rules and rules of precedence in force, with an entry in the log for each; does nothing
    if they are.
    """
    keys = FileKeys(settings.keys_folder)
    owner = await database.connect(DbRole.OWNER)
    try:
        await check_key_folder(owner, keys)
    finally:
        await owner.close()
    await load_rules(database, keys, settings.home, rule_terms(settings))
    await load_precedence(database, keys, settings.home)


@dataclass(slots=True)
class Hub:
    """The opened parts of a running hub."""

    database: Database
    pool: asyncpg.Pool
    sequencer: Sequencer
    ports: Ports
    auth: AuthStore
    issuer: TokenIssuer
    verifier: TokenVerifier
    accounts: AccountDesk
    sign_in: SignInDesk
    endpoints: AuthorizationEndpoints
    pages: AuthorizePages
    guard: ResourceGuard
    nonces: Nonces
    readiness: Readiness


@asynccontextmanager
async def open_hub(
    settings: Settings, database: Database, clock: Clock = system_clock, visitors: Visitors | None = None
) -> AsyncIterator[Hub]:
    """Open everything that answers requests, and close it in the opposite order.

    ``visitors`` knows who has signed in with a browser; if not given, the hub's own desk.

    Raises :class:`~hub.core.errors.HubError` if the database, the rules or the audit log are not fit for answering.
    """
    keys = FileKeys(settings.keys_folder)
    issuer = token_issuer(settings, keys, clock)
    owner = await database.connect(DbRole.OWNER)
    try:
        digest = await check_published(owner, keys, settings.legal_mode)
        if settings.is_production:
            await check_approved(owner, digest, production=True)
            await refuse_sandbox_accounts(owner)
        await check_precedence(owner, keys)
        for name in LASTING_KEYS:
            keys.signing_key(name)
        await check_key_folder(owner, keys)
    finally:
        await owner.close()
    async with AsyncExitStack() as stack:
        pool = await database.pool(DbRole.APP, size=settings.pool_size)
        stack.push_async_callback(pool.close)
        sequencer = Sequencer(database, keys, guard_file(settings.home), clock=clock)
        await stack.enter_async_context(sequencer.running())
        receipts = await stack.enter_async_context(Receipts(database, sequencer))
        even_step = settings.even_step / 1000
        discloser = await stack.enter_async_context(Discloser(pool, keys, receipts, even_step=even_step))
        auditor = await database.pool(DbRole.AUDITOR, size=AUDITOR_CONNECTIONS)
        stack.push_async_callback(auditor.close)
        store, grants, nonces = AuthStore(pool, keys), GrantStore(pool), Nonces(keys, clock)
        consents = ConsentDesk(pool, keys, receipts, clock, even_step, settings.call_back_per_mille)
        verifier = TokenVerifier.of(issuer)
        parts = Parts(issuer, store, grants, consents, nonces)
        accounts = AccountDesk(pool, keys, receipts, clock)
        sign_in = SignInDesk(accounts, Cookies(settings.public_url))
        shadow = Shadow(database, auditor, keys, receipts, share=settings.shadow_share / 1000)
        await stack.enter_async_context(shadow.running())
        readiness = Readiness(pool, receipts, digest, shadow)
        later = RulesInTime(database, keys, settings.home, rule_terms(settings), readiness.follow, clock)
        await stack.enter_async_context(later.running(digest))
        yield Hub(
            database=database,
            pool=pool,
            sequencer=sequencer,
            ports=Ports(
                disclosing=discloser,
                consents=consents,
                stewards=StewardDesk(database, keys, receipts, clock),
                auditor=auditor,
                keys=store,
                proofs=_Proofs(store, parts.refusals),
                selections=Selections(build_schema().graphql),
                clock=clock,
            ),
            auth=store,
            issuer=issuer,
            verifier=verifier,
            accounts=accounts,
            sign_in=sign_in,
            endpoints=AuthorizationEndpoints(parts),
            pages=AuthorizePages(issuer.issuer, store, grants, consents, visitors or sign_in, clock),
            guard=ResourceGuard(verifier, settings.public_url, nonces, clock),
            nonces=nonces,
            readiness=readiness,
        )


def build_app(hub: Hub) -> Starlette:
    """The ASGI application over an opened hub."""

    async def authenticate(request: Request) -> Bearer | None:
        presented = hub.guard.presented(request)
        return None if presented is None else await _bearer(hub.auth, presented)

    async def context(request: Request) -> OperationContext:
        return OperationContext(
            bearer=request.state.bearer,
            language=language_of(request.headers.get("accept-language", "")),
            method=request.method,
            ports=hub.ports,
        )

    async def alive(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        problems = list(await hub.readiness.problems())
        told = {"status": "not ready" if problems else "ready", "problems": problems}
        if warnings := hub.readiness.warnings:
            told["warnings"] = list(warnings)
        return JSONResponse(told, 503 if problems else 200)

    return Starlette(
        routes=[
            Route(
                "/evidence/{digest}",
                Guarded(
                    EvidenceUpload(partial(store_evidence, hub.ports.consents)),
                    authenticate,
                    hub.nonces.current,
                    lambda error: hub.endpoints.refusals.count("evidence", error),
                ),
            ),
            Route(
                "/graphql",
                Guarded(
                    HubView(build_schema(), context),
                    authenticate,
                    hub.nonces.current,
                    lambda error: hub.endpoints.refusals.count("graphql", error),
                ),
            ),
            *auth_routes(
                hub.endpoints,
                hub.pages,
                GrantEndpoint(hub.guard, hub.auth, hub.endpoints.grants, hub.ports.consents, hub.nonces),
            ),
            *people_routes(
                hub.accounts,
                hub.sign_in,
                hub.issuer.issuer,
                AssistanceDesk(hub.accounts, hub.ports.consents, hub.ports.disclosing),
            ),
            *portal_routes(),
            Route("/livez", alive),
            Route("/readyz", ready),
        ],
        middleware=[Middleware(RequestFrame), Middleware(BodyLimit)],
    )


async def _bearer(store: AuthStore, presented: Presented) -> Bearer:
    """Whom a good token and proof speak for. Raises an error of the token or the proof, or :class:`StoreError`."""
    claims, proof = presented.claims, presented.proof
    if claims.is_system:
        # The statement that answers a system reads its registration and the revocations, and uses the proof up, itself.
        unspent = None if proof is None else UnspentProof(proof.digest, proof.until)
        return Bearer(claims.bearer, claims.token_id, True, grant=claims.grant, proof=unspent)
    state = await _state(store, claims.token_id, claims.bearer, proof)
    if state is None:
        raise InvalidTokenError("the access token cannot be used.", remedy="Get a new one.")
    return Bearer(claims.bearer, claims.token_id, False, state.person_id)


async def _state(store: AuthStore, token_id: str, bearer: str, proof: Proof | None) -> BearerState | None:
    try:
        return await store.bearer_state(token_id, bearer, proof)
    except DATABASE_ERRORS as error:
        raise StoreError("the database does not answer.", remedy="Try again.") from error


class _Proofs:
    """Uses up the proofs of systems' operations that are no disclosures."""

    def __init__(self, store: AuthStore, refusals: Refusals) -> None:
        self._store = store
        self._refusals = refusals

    async def spend(self, token_id: str, bearer: str, proof: UnspentProof) -> bool:
        try:
            state = await _state(self._store, token_id, bearer, Proof("", proof.digest, proof.until))
        except RefusedError as error:
            self._refusals.count("graphql", error.code.lower())
            return False
        return state is not None


def build_metrics(hub: Hub) -> Starlette:
    """The application of the metrics listener."""
    return metrics_app(hub.ports.auditor, hub.readiness.problems, (hub.endpoints.refusals.counter,))
