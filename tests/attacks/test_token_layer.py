"""Attacks 1 to 20: the token layer. Each is refused, leaks nothing, and leaves nothing but a security event.

A refusal of a client that had proved itself is an entry of the audit log (``recorded``) and counted; one of somebody
unknown is counted only. Where the gate itself refuses, its own record is the event.
"""

import asyncio
import hashlib
import json
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from hub.audit.proof import Receipt
from hub.auth.jwks import read_jwks
from hub.auth.store import AuthStore
from hub.core.errors import InputError
from hub.store.database import DbRole
from tests.api.test_code_flow import PROFILE, by_id, details
from tests.api.world import HEAD, Api, borrower, canary
from tests.auth.clients import ASSERTION_TYPE, FORM, assertion, claims, jwks, new_key, proof
from tests.auth.partner import CALLBACK, Browser, Partner

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENDPOINTS = {
    "/oauth2/token": {"grant_type": "client_credentials"},
    "/oauth2/par": {"response_type": "code", "redirect_uri": CALLBACK},
    "/oauth2/introspect": {"token": "x"},
    "/oauth2/revoke": {"token": "x"},
}


async def code_of(bank: Partner, head: Browser, **changes: Any) -> str:
    answer = await head.consent(bank.client_id, await bank.push(details(), **changes))
    return answer["code"]


async def tokens_of(bank: Partner, head: Browser) -> dict[str, Any]:
    reply = await bank.exchange(await code_of(bank, head))
    assert reply.status_code == 200, reply.text
    tokens: dict[str, Any] = reply.json()
    return tokens


def is_refused(reply: httpx.Response, error: str, status: int = 400) -> None:
    assert (reply.status_code, reply.json()["error"]) == (status, error), reply.text
    assert "access_token" not in reply.text
    assert "location" not in reply.headers


def is_unauthorised(reply: httpx.Response, error: str) -> None:
    assert reply.status_code == 401, reply.text
    assert f'error="{error}"' in reply.headers["www-authenticate"]
    assert set(reply.json()) == {"errors"}
    assert "CANARY" not in reply.text


async def test_attack_01_a_code_that_comes_again_takes_its_tokens_back(
    api: Api, bank: Partner, head: Browser, unharmed: Any
) -> None:
    code = await code_of(bank, head)
    tokens = (await bank.exchange(code)).json()
    taken_back = ("auth.revoked_token", "auth.refresh_token", "auth.authorization_code")
    async with unharmed(counted=1, recorded=1, but=taken_back):
        is_refused(await bank.exchange(code), "invalid_grant")
    for token in (tokens["access_token"], tokens["refresh_token"]):
        assert await bank.introspect(token) == {"active": False}
    async with unharmed(counted=1, recorded=1):
        is_refused(
            await bank.post("/oauth2/token", {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}),
            "invalid_grant",
        )
    sub = api.hub.verifier.read(tokens["access_token"]).subject
    reply = await bank.ask(tokens["access_token"], PROFILE, by_id(sub))
    assert "CANARY" not in reply.text


async def test_attack_02_of_parallel_exchanges_one_wins(bank: Partner, head: Browser) -> None:
    code = await code_of(bank, head)
    await bank.system_token()  # the nonce is known now
    replies = await asyncio.gather(*(bank.exchange(code) for _ in range(4)))
    assert sorted(reply.status_code for reply in replies) == [200, 400, 400, 400]
    (winner,) = [reply.json() for reply in replies if reply.status_code == 200]
    assert await bank.introspect(winner["access_token"]) == {"active": False}, "somebody else had the code"


async def test_attack_03_a_pushed_request_is_one_clients_once_and_for_a_minute(
    api: Api, bank: Partner, head: Browser, unharmed: Any
) -> None:
    done, late, fresh = [await bank.push(details()) for _ in range(3)]
    await head.consent("risk-a", done)
    await api.owner.execute(
        "UPDATE auth.pushed_request SET visit_by = now() - interval '1 second' WHERE uri_digest = $1",
        hashlib.sha256(late.rpartition(":")[2].encode()).digest(),
    )
    async with unharmed():
        for client, uri in (("risk-a", done), ("risk-a", late), ("risk-b", fresh), ("risk-a", fresh + "x")):
            reply = await head.open(client, uri)
            assert reply.status_code == 400
            assert "location" not in reply.headers
    assert (await head.open("risk-a", fresh)).status_code == 200, "nobody else's try has used it up"


async def test_attack_04_without_a_pushed_request_there_is_no_page(bank: Partner, head: Browser, unharmed: Any) -> None:
    async with unharmed():
        for query in (
            {}, {"client_id": "risk-a"}, bank.push_form(details()) | {"client_id": "risk-a"},
            {"client_id": "risk-a", "request": "a.b.c"}, {"client_id": "risk-a", "request_uri": "https://evil.example/r"},
            {"client_id": "risk-a", "request_uri": "urn:ietf:params:oauth:request_uri:x", "scope": "x"},
        ):  # fmt: skip
            reply = await head.http.get("/oauth2/authorize", params=query, headers=head.cookies)
            assert reply.status_code == 400
            assert "location" not in reply.headers


async def test_attack_05_pkce_cannot_be_left_out_or_weakened(
    api: Api, bank: Partner, head: Browser, unharmed: Any
) -> None:
    weak = (
        {"code_challenge": None, "code_challenge_method": None}, {"code_challenge_method": None},
        {"code_challenge_method": "plain"}, {"code_challenge": "short"}, {"code_challenge": None},
    )  # fmt: skip
    async with unharmed(counted=len(weak), recorded=len(weak)):
        for changes in weak:
            form = bank.push_form(details(), **changes)
            is_refused(await bank.post("/oauth2/par", form, bound=False), "invalid_request")
    for verifier, error in (
        (None, "invalid_request"),
        ("x" * 43, "invalid_grant"),
        (bank.challenge(), "invalid_grant"),
    ):
        code = await code_of(bank, head)
        used = ("auth.authorization_code", "auth.issued_token", "auth.refresh_token")
        async with unharmed(counted=1, recorded=1, but=used):
            is_refused(await bank.exchange(code, code_verifier=verifier), error)
        again = await bank.exchange(code)
        is_refused(again, "invalid_grant")


async def test_attack_06_a_redirect_address_is_compared_to_the_letter(bank: Partner, unharmed: Any) -> None:
    tricks = (
        CALLBACK + "/", CALLBACK + "/../evil", CALLBACK + "?x=1", CALLBACK + "#x", CALLBACK.upper(), CALLBACK + "%2f",
        "https://bank.example.evil.example/callback", "https://bank.example@evil.example/callback",
        "https://evil.example/callback", "http://bank.example/callback",
    )  # fmt: skip
    async with unharmed(counted=len(tricks) + 1, recorded=10):
        for uri in (*tricks, None):
            form = bank.push_form(details(), redirect_uri=uri)
            is_refused(await bank.post("/oauth2/par", form, bound=False), "invalid_request")


async def test_attack_07_other_response_types_are_refused_in_json(other: Partner, unharmed: Any) -> None:
    kinds = ("token", "code token", "id_token", "none", "", None)
    async with unharmed(counted=len(kinds) + 1, recorded=len(kinds) + 1):
        for kind in kinds:
            form = other.push_form(details(), response_type=kind)
            is_refused(await other.post("/oauth2/par", form, bound=False), "unsupported_response_type")
        form = other.push_form(details(), response_mode="fragment")
        is_refused(await other.post("/oauth2/par", form, bound=False), "unsupported_response_type")


def forged_assertions(api: Api) -> dict[str, str]:
    key, issuer = api.client_keys["risk-a"], api.hub.issuer.issuer
    rsa, stranger = new_key("RS256"), new_key("ES256")

    def with_claims(**changes: Any) -> str:
        return assertion(key, claims("risk-a", **({"aud": issuer} | changes)))

    public = OctKey.import_key(str(jwks(key)))
    far = claims("risk-a", aud=issuer)["iat"] + 10 * 365 * 86400
    good = claims("risk-a", aud=issuer)
    return {
        "audience is an endpoint": with_claims(aud=f"{issuer}/oauth2/token"),
        "audience is a list": with_claims(aud=[issuer]),
        "run out": with_claims(exp=good["iat"] - 60),
        "runs out in ten years": with_claims(exp=far),
        "issuer is another": with_claims(iss="risk-b"),
        "no id": with_claims(jti=None),
        "unknown client": assertion(key, claims("nobody", aud=issuer)),
        "another client": assertion(key, claims("risk-b", aud=issuer)),
        "RS256": assertion(rsa, good, "RS256"),
        "HS256 with the public key": assertion(public, good, "HS256"),
        "none": with_claims().rpartition(".")[0] + ".",
        "key inside": assertion(stranger, good, jwk=stranger.as_dict(private=False)),
        "kid is a path": assertion(stranger, good, kid="../../../dev/null"),
    }


async def test_attack_08_forged_assertions_are_told_in_one_text(api: Api, unharmed: Any) -> None:
    signed = assertion(api.client_keys["risk-a"], claims("risk-a", aud=api.hub.issuer.issuer))
    used = {"client_assertion": signed, "client_assertion_type": ASSERTION_TYPE, "token": "x"}
    assert (await api.http.post("/oauth2/introspect", data=used)).status_code == 200
    forged = forged_assertions(api) | {"used before": signed}
    texts = set()
    async with unharmed(counted=len(forged) * len(ENDPOINTS)):
        for name, text in forged.items():
            for path, form in ENDPOINTS.items():
                data = form | {"client_assertion": text, "client_assertion_type": ASSERTION_TYPE}
                reply = await api.http.post(path, data=data, headers=FORM)
                assert reply.status_code == 401, (name, path)
                texts.add(reply.text)
    assert texts == {'{"error":"invalid_client","error_description":"Client authentication failed."}'}


async def test_attack_09_a_proof_is_for_one_request(api: Api, bank: Partner, other: Partner, unharmed: Any) -> None:
    token, foreign = await bank.system_token(), await other.system_token()
    used = bank.proof("/graphql", token=token)
    assert (await bank.ask(token, "{ __typename }", proof_text=used)).status_code == 200
    stale = -3600 + int(claims("x")["iat"])
    bad = {
        "used before": used,
        "another method": bank.proof("/graphql", token=token, htm="GET"),
        "another address": bank.proof("/oauth2/token", token=token),
        "stale": bank.proof("/graphql", token=token, iat=stale),
        "from the future": bank.proof("/graphql", token=token, iat=stale + 7200),
        "of another token": bank.proof("/graphql", token=foreign),
        "of another type": bank.proof("/graphql", token=token, header={"typ": "JWT"}),
        "with the private key": bank.proof(
            "/graphql", token=token, header={"jwk": bank.proof_key.as_dict(private=True)}
        ),
    }
    async with unharmed(counted=len(bad) + 2):
        for name, text in bad.items():
            reply = await bank.ask(token, "{ __typename }", proof_text=text)
            assert reply.status_code == 401, name
            is_unauthorised(reply, "invalid_dpop_proof")
        two = [("authorization", f"DPoP {token}"), *(("dpop", bank.proof("/graphql", token=token)) for _ in range(2))]
        is_unauthorised(
            await api.http.post("/graphql", json={"query": "{ __typename }"}, headers=two), "invalid_dpop_proof"
        )
        thief = bank.proof("/graphql", token=token, key=new_key("ES256"))
        is_unauthorised(await bank.ask(token, "{ __typename }", proof_text=thief), "invalid_token")
    async with unharmed():
        for nonce in (None, "guessed"):
            text = proof(bank.proof_key, bank.issuer + "/graphql", nonce, token=token)
            reply = await bank.ask(token, "{ __typename }", proof_text=text)
            is_unauthorised(reply, "use_dpop_nonce")
            assert reply.headers["dpop-nonce"]


async def test_attack_09_a_proof_is_used_up_by_the_gate_itself(api: Api, bank: Partner, unharmed: Any) -> None:
    await api.basis(HEAD)
    token = await bank.system_token()
    used = bank.proof("/graphql", token=token)
    first = await bank.ask(token, PROFILE, borrower(HEAD), proof_text=used)
    assert "CANARY" in first.text
    async with unharmed(recorded=1):
        is_unauthorised(await bank.ask(token, PROFILE, borrower(HEAD), proof_text=used), "invalid_dpop_proof")
    twice = bank.proof("/graphql", token=token)
    replies = await asyncio.gather(*(bank.ask(token, PROFILE, borrower(HEAD), proof_text=twice) for _ in range(4)))
    assert sorted(reply.status_code for reply in replies) == [200, 401, 401, 401]
    form = {"grant_type": "client_credentials"}
    spent = bank.proof("/oauth2/token")
    assert (await bank.post("/oauth2/token", form, proof_text=spent)).status_code == 200
    async with unharmed(counted=1):
        is_refused(await bank.post("/oauth2/token", form, proof_text=spent), "invalid_dpop_proof")


async def test_attack_10_a_bound_token_is_no_bearer_token(api: Api, bank: Partner, unharmed: Any) -> None:
    token = await bank.system_token()
    plain = api.account_token("head")
    async with unharmed(counted=2):
        is_unauthorised(await api.ask(token, "{ __typename }"), "invalid_token")
        is_unauthorised(await bank.ask(plain, "{ __typename }"), "invalid_token")
    async with unharmed(counted=1, recorded=1):
        is_refused(
            await bank.post("/oauth2/token", {"grant_type": "client_credentials"}, bound=False), "invalid_dpop_proof"
        )


async def test_attack_11_only_an_access_token_is_one(api: Api, bank: Partner, unharmed: Any) -> None:
    issuer = api.hub.issuer
    at = int(claims("x")["iat"])
    body = {
        "iss": issuer.issuer, "aud": issuer.audience, "sub": "head", "client_id": "head", "iat": at, "exp": at + 300,
        "jti": "x",
    }  # fmt: skip
    own = issuer._key

    def signed(typ: str | None, **changes: Any) -> str:
        header = {"alg": "Ed25519"} | ({} if typ is None else {"typ": typ})
        return jwt.encode(header, body | changes, own, algorithms=["Ed25519"], default_type=None)

    assert (await api.ask(signed("at+jwt"), "{ __typename }")).status_code == 200
    bad = (
        bank.assertion(), signed(None), signed("JWT"), signed("id_token", nonce="n"), signed("dpop+jwt"),
        signed("at+jwt", aud="risk-a"), signed("at+jwt", cnf={}), signed("at+jwt", cnf={"jkt": ""}),
        signed("at+jwt", gid="x"),
    )  # fmt: skip
    async with unharmed(counted=len(bad)):
        for text in bad:
            is_unauthorised(await api.ask(text, "{ __typename }"), "invalid_token")


async def test_attack_12_a_token_for_elsewhere_is_no_token_here(api: Api, unharmed: Any) -> None:
    issuer = api.hub.issuer
    at = int(claims("x")["iat"])
    body = {"iss": issuer.issuer, "sub": "head", "client_id": "hub-accounts", "iat": at, "exp": at + 300, "jti": "y"}

    async def ask(aud: Any) -> httpx.Response:
        header = {"alg": "Ed25519", "typ": "at+jwt"}
        return await api.ask(
            jwt.encode(header, body | {"aud": aud}, issuer._key, algorithms=["Ed25519"]), "{ __typename }"
        )

    assert (await ask(issuer.audience)).status_code == 200
    async with unharmed(counted=4):
        for aud in ("https://other.example/graphql", [issuer.audience], issuer.issuer, None):
            is_unauthorised(await ask(aud), "invalid_token")


async def test_attack_13_codes_and_refresh_tokens_are_their_clients(
    bank: Partner, other: Partner, head: Browser, unharmed: Any
) -> None:
    tokens = await tokens_of(bank, head)
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    code = await code_of(bank, head)
    async with unharmed(counted=2, recorded=2):
        is_refused(await other.post("/oauth2/token", refresh), "invalid_grant")
        is_refused(await other.exchange(code, code_verifier=bank.verifier), "invalid_grant")
    late = await bank.exchange(code)
    assert late.status_code == 200, "the thief's try has not used it up"
    refresh["refresh_token"] = late.json()["refresh_token"]
    async with unharmed(counted=1):
        is_refused(await bank.http.post("/oauth2/token", data=refresh), "invalid_client", 401)
    is_refused(await bank.post("/oauth2/token", refresh | {"scope": "all"}), "invalid_scope")
    thief = Partner(bank.http, bank.issuer, "risk-a", bank.key, verifier=bank.verifier)
    assert (await thief.post("/oauth2/token", refresh)).status_code == 200, "a bank may change the key of its proofs"
    bound = await code_of(bank, head, dpop_jkt=bank.proof_key.thumbprint())
    is_refused(await thief.exchange(bound), "invalid_grant")


async def test_attack_23_a_token_can_be_made_for_less_than_was_granted_and_never_for_more(
    api: Api, bank: Partner, head: Browser, unharmed: Any
) -> None:
    """RFC 9396, section 6.1: the gate itself keeps a narrowed token to its parts, and the log says why."""
    identity, grade = ({"category": name, "form": "VALUE"} for name in ("identity", "tax.grade"))

    def narrowed(*parts: dict[str, str], **changes: Any) -> dict[str, str]:
        one = {"type": "credit_data_consent", "purpose": "LOAN_APPLICATION", "parts": parts} | changes
        return {"authorization_details": json.dumps([one])}

    first = await bank.exchange(await code_of(bank, head), **narrowed(identity))
    tokens = first.json()
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert [one["parts"] for one in tokens["authorization_details"]] == [[identity]]
    state = await bank.introspect(tokens["access_token"])
    assert (state["active"], state["authorization_details"]) == (True, tokens["authorization_details"])
    claims = api.hub.verifier.read(tokens["access_token"])
    assert list(claims.details) == tokens["authorization_details"]

    reply = await bank.ask(tokens["access_token"], PROFILE, by_id(claims.subject))
    assert canary(HEAD.person_id, "identity/VALUE", "name") in reply.text
    assert canary(HEAD.person_id, "tax.grade/VALUE", "grade") not in reply.text
    kept_back = {(item["field"], item["reason"]) for item in reply.json()["data"]["borrowerProfile"]["withheld"]}
    assert ("tax.grades", "CATEGORY_NOT_IN_BASIS") in kept_back
    event = Receipt.parse(reply.json()["extensions"]["receipt"]["proof"]).leaf().ev
    explained = await api.ask(
        api.account_token("head"),
        "query($id: ID!) { explainAccess(accessId: $id) { ... on AccessExplanation { followsRules } } }",
        {"id": str(event)},
    )
    assert explained.json()["data"]["explainAccess"] == {"followsRules": True}, explained.text

    whole = (await bank.post("/oauth2/token", refresh)).json()
    assert grade in whole["authorization_details"][0]["parts"], "the refresh token stands for all that was granted"
    assert (
        canary(HEAD.person_id, "tax.grade/VALUE", "grade")
        in (await bank.ask(whole["access_token"], PROFILE, by_id(claims.subject))).text
    )
    wider = [
        narrowed(identity, {"category": "clinic.arrears", "form": "VALUE"}), narrowed(), narrowed(identity, days=1),
        narrowed(identity, purpose="CARD_APPLICATION"), narrowed(identity, application_ref="B-1"),
        narrowed(identity, subject={"id_number": HEAD.number, "name": HEAD.name}), narrowed(identity, more=1),
        {"authorization_details": "[]"}, {"authorization_details": "x"},
    ]  # fmt: skip
    async with unharmed(counted=len(wider), recorded=len(wider), but=("auth.issued_token",)):
        for asked in wider:
            reply = await bank.post("/oauth2/token", refresh | asked)
            is_refused(reply, "invalid_authorization_details")
            assert HEAD.number not in reply.text
    nothing = {"grant_type": "client_credentials"} | narrowed(identity)
    is_refused(await bank.post("/oauth2/token", nothing), "invalid_authorization_details")


async def test_attack_14_nobody_learns_of_anothers_token(
    bank: Partner, other: Partner, head: Browser, unharmed: Any
) -> None:
    tokens = await tokens_of(bank, head)
    async with unharmed():
        for token in (tokens["access_token"], tokens["refresh_token"], "unknown", "a.b.c"):
            reply = await other.post("/oauth2/introspect", {"token": token}, bound=False)
            assert (reply.status_code, reply.content) == (200, b'{"active":false}')
            assert (await other.post("/oauth2/revoke", {"token": token}, bound=False)).status_code == 200
    assert (await bank.introspect(tokens["access_token"]))["active"] is True


async def test_attack_15_every_answer_through_the_browser_names_the_issuer(bank: Partner, head: Browser) -> None:
    yes = await head.consent("risk-a", await bank.push(details()))
    no = await head.consent("risk-a", await bank.push(details()), "no")
    assert yes["iss"] == no["iss"] == bank.issuer
    document = (await bank.http.get("/.well-known/oauth-authorization-server")).json()
    assert document["issuer"] == bank.issuer
    assert document["authorization_response_iss_parameter_supported"] is True


async def test_attack_16_places_of_keys_inside_a_text_are_ignored(api: Api, bank: Partner, unharmed: Any) -> None:
    stranger = new_key("ES256")
    lures = (
        {"jku": "http://127.0.0.1:9/keys"}, {"x5u": "http://127.0.0.1:9/cert"}, {"kid": "../../etc/passwd"},
        {"kid": "' OR 1=1 --"},
    )  # fmt: skip
    body = {"client_assertion_type": ASSERTION_TYPE, "token": "x"}
    for header in lures:
        good = assertion(bank.key, claims("risk-a", aud=bank.issuer), **header)
        assert (await api.http.post("/oauth2/introspect", data=body | {"client_assertion": good})).status_code == 200
    async with unharmed(counted=len(lures)):
        for header in lures:
            forged = assertion(stranger, claims("risk-a", aud=bank.issuer), **header)
            reply = await api.http.post("/oauth2/introspect", data=body | {"client_assertion": forged})
            is_refused(reply, "invalid_client", 401)


async def test_attack_17_nothing_is_said_twice(api: Api, bank: Partner, head: Browser, unharmed: Any) -> None:
    uri = await bank.push(details())
    async with unharmed(counted=len(ENDPOINTS)):
        for path, form in ENDPOINTS.items():
            pairs = [*form.items(), ("client_assertion", bank.assertion()), ("client_assertion_type", ASSERTION_TYPE)]
            repeated = urlencode([*pairs, next(iter(form.items()))])
            is_refused(await api.http.post(path, content=repeated, headers=FORM), "invalid_request")
        for query in (
            [("client_id", "risk-a"), ("client_id", "risk-b"), ("request_uri", uri)],
            [("client_id", "risk-a"), ("request_uri", uri), ("request_uri", uri)],
        ):
            reply = await api.http.get("/oauth2/authorize?" + urlencode(query), headers=head.cookies)
            assert (reply.status_code, "location" in reply.headers) == (400, False)


async def test_attack_18_what_a_proxy_would_say_is_not_believed(api: Api, bank: Partner, unharmed: Any) -> None:
    spoofed = {
        "x-forwarded-host": "evil.example", "x-forwarded-proto": "https", "forwarded": "host=evil.example;proto=https",
        "x-forwarded-prefix": "/evil", "x-original-url": "/evil", "client-cert": ":MIIB:", "x-client-cert": "MIIB",
        "x-ssl-client-verify": "SUCCESS", "x-forwarded-for": "127.0.0.1",
    }  # fmt: skip
    form = {"grant_type": "client_credentials"}
    assert (await bank.post("/oauth2/token", form, **spoofed)).status_code == 200
    elsewhere = proof(bank.proof_key, "https://evil.example/oauth2/token", bank.nonce)
    async with unharmed(counted=2):
        is_refused(await bank.post("/oauth2/token", form, proof_text=elsewhere, **spoofed), "invalid_dpop_proof")
        alone = await api.http.post("/oauth2/token", data=form | {"client_id": "risk-a"}, headers=FORM | spoofed)
        is_refused(alone, "invalid_client", 401)
    document = (await api.http.get("/.well-known/oauth-authorization-server", headers=spoofed)).text
    assert "evil" not in document


async def test_attack_19_of_many_processes_one_takes_a_credential(api: Api) -> None:
    pools = [await api.hub.database.pool(DbRole.APP, size=2) for _ in range(3)]
    try:
        stores = [AuthStore(pool, api.keys) for pool in pools]
        issued = api.hub.issuer.issue_for_client("risk-a")
        for _ in range(5):
            digest = hashlib.sha256(new_key("ES256").thumbprint().encode()).digest()
            tries = [store.use_credentials("risk-a", digest, issued.expires_at, None) for store in stores * 4]
            won = await asyncio.gather(*tries)
            assert sorted(fresh for fresh, _ in won) == [False] * 11 + [True]
    finally:
        for pool in pools:
            await pool.close()


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
async def test_attack_20_a_weak_key_is_not_registered(unharmed: Any) -> None:
    from joserfc.jwk import RSAKey

    async with unharmed():
        with pytest.raises(InputError) as refusal:
            read_jwks(jwks(RSAKey.generate_key(1024)))
        assert refusal.value.code == "CLIENT_KEYS"
