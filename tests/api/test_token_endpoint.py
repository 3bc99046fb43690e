"""The token endpoint on a real database: who gets a token, and everything that does not."""

import json
import time
from typing import Any

import httpx
import pytest

from tests.auth.clients import ASSERTION_TYPE, FORM, assertion, claims, form, jwks, new_key, raw_assertion

from .world import Api


async def ask(api: Api, body: bytes, **headers: str) -> httpx.Response:
    return await api.http.post("/oauth2/token", content=body, headers=FORM | headers)


def good(api: Api, **changes: Any) -> str:
    body = claims("risk-a", aud=api.hub.issuer.issuer, **changes)
    return assertion(api.client_keys["risk-a"], body)


async def test_a_registered_system_gets_a_token(api: Api) -> None:
    reply = await ask(api, form(good(api)))
    assert reply.status_code == 200
    assert reply.headers["cache-control"] == "no-store"
    body = reply.json()
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 300)
    assert set(body) == {"token_type", "expires_in", "access_token"}
    assert api.hub.verifier.verify(body["access_token"]).subject == "risk-a"


async def test_accepted_algorithms(api: Api) -> None:
    for algorithm in ("ES256", "PS256", "Ed25519", "EdDSA"):
        key = new_key(algorithm)
        await api.owner.execute("UPDATE access.client SET jwks = $1 WHERE client_id = 'risk-a'", json.dumps(jwks(key)))
        signed = assertion(key, claims("risk-a", aud=api.hub.issuer.issuer), algorithm)
        assert (await ask(api, form(signed))).status_code == 200, algorithm


async def test_of_two_keys_either_signs(api: Api) -> None:
    """A bank rotates its key: for a time both are registered."""
    old, new = new_key("ES256"), new_key("ES256")
    await api.owner.execute("UPDATE access.client SET jwks = $1 WHERE client_id = 'risk-a'", json.dumps(jwks(old, new)))
    for key in (old, new):
        signed = assertion(key, claims("risk-a", aud=api.hub.issuer.issuer))
        assert (await ask(api, form(signed))).status_code == 200


def refused_assertions(api: Api) -> dict[str, str]:
    key, issuer, now = api.client_keys["risk-a"], api.hub.issuer.issuer, int(time.time())
    rsa = new_key("RS256")

    def with_claims(**changes: Any) -> str:
        return assertion(key, claims("risk-a", **({"aud": issuer} | changes)))

    return {
        "audience is the endpoint": with_claims(aud=f"{issuer}/oauth2/token"),
        "audience is a list": with_claims(aud=[issuer]),
        "no audience": with_claims(aud=None),
        "run out": with_claims(exp=now - 60),
        "runs far ahead": with_claims(exp=now + 3600),
        "no expiry": with_claims(exp=None),
        "expiry is text": with_claims(exp=str(now + 60)),
        "issued in the future": with_claims(iat=now + 120, exp=now + 180),
        "not yet": with_claims(nbf=now + 120),
        "issuer differs": with_claims(iss="risk-b"),
        "subject differs": with_claims(sub="risk-b"),
        "no subject": with_claims(sub=None),
        "no jti": with_claims(jti=None),
        "jti is a number": with_claims(jti=7),
        "jti is half a character": raw_assertion(key, claims("risk-a", aud=issuer, jti="\ud800")),
        "subject is half a character": raw_assertion(key, claims("\ud800", aud=issuer)),
        "unknown client": assertion(key, claims("nobody", aud=issuer)),
        "subject is a list": with_claims(sub=["risk-a"]),
        "other key": assertion(new_key("ES256"), claims("risk-a", aud=issuer)),
        "RS256": assertion(rsa, claims("risk-a", aud=issuer), "RS256"),
        "key inside": assertion(
            (own := new_key("ES256")), claims("risk-a", aud=issuer), jwk=own.as_dict(private=False)
        ),
        "key elsewhere": assertion(new_key("ES256"), claims("risk-a", aud=issuer), kid="../../../dev/null"),
        "suspended client": assertion(api.client_keys["suspended"], claims("suspended", aud=issuer)),
        "not a token": "a.b.c",
        "no token": "",
        "huge": "x" * 9000,
    }


async def test_bad_assertions_get_one_and_the_same_answer(api: Api) -> None:
    answers = set()
    for name, signed in refused_assertions(api).items():
        reply = await ask(api, form(signed))
        assert reply.status_code == 401, name
        answers.add(reply.text)
    assert answers == {'{"error":"invalid_client","error_description":"Client authentication failed."}'}
    assert await api.owner.fetchval("SELECT count(*) FROM auth.used_assertion") == 0


async def test_an_assertion_is_used_once(api: Api) -> None:
    body = form(good(api))
    replies = [await ask(api, body) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 401, 401]


async def test_of_many_at_once_one_wins(api: Api) -> None:
    import asyncio

    body = form(good(api))
    replies = await asyncio.gather(*(ask(api, body) for _ in range(6)))
    assert sorted(reply.status_code for reply in replies) == [200, 401, 401, 401, 401, 401]


async def test_a_jti_of_another_client_is_another(api: Api) -> None:
    issuer = api.hub.issuer.issuer
    for client in ("risk-a", "risk-b"):
        signed = assertion(api.client_keys[client], claims(client, aud=issuer, jti="the-same"))
        assert (await ask(api, form(signed))).status_code == 200


OTHER_REQUESTS: list[tuple[dict[str, Any], str]] = [
    ({"grant_type": "password"}, "unsupported_grant_type"),
    ({"grant_type": "refresh_token"}, "unauthorized_client"),
    ({"grant_type": "authorization_code"}, "unauthorized_client"),
    ({"grant_type": None}, "unsupported_grant_type"),
    ({"client_assertion_type": "other"}, "invalid_client"),
    ({"client_assertion": None}, "invalid_client"),
    ({"client_id": "risk-b"}, "invalid_client"),
    ({"client_assertion": None, "client_id": "risk-a", "client_secret": "x"}, "invalid_client"),
]


async def test_other_requests(api: Api) -> None:
    for change, error in OTHER_REQUESTS:
        reply = await ask(api, form(good(api), **change))
        assert reply.json()["error"] == error, change
        assert reply.status_code in (400, 401)
        assert "access_token" not in reply.text


async def test_malformed_requests(api: Api) -> None:
    body = form(good(api))
    for broken in (body + b"&grant_type=client_credentials", b"\xff", b"a" * 100, b"&" * 50, b"=&=&="):
        reply = await ask(api, broken)
        assert reply.status_code == 400, broken[:20]
        assert reply.json()["error"] in ("invalid_request", "unsupported_grant_type")
    as_json = await api.http.post("/oauth2/token", json={"grant_type": "client_credentials"})
    assert as_json.json()["error"] == "invalid_request"
    in_url = await api.http.post(f"/oauth2/token?client_assertion_type={ASSERTION_TYPE}", content=b"", headers=FORM)
    assert in_url.status_code == 400
    assert (await api.http.get("/oauth2/token")).status_code == 405


async def test_a_system_takes_its_own_token_back_and_nobody_elses(api: Api) -> None:
    mine, other = await api.system_token("risk-a"), await api.system_token("risk-b")
    for token in (mine, other, "unknown"):
        reply = await api.http.post("/oauth2/revoke", content=form(good(api), token=token), headers=FORM)
        assert (reply.status_code, reply.json()) == (200, {})
    revoked = {row["jti"] for row in await api.owner.fetch("SELECT jti FROM auth.revoked_token")}
    assert revoked == {api.hub.verifier.verify(mine).token_id}
    anonymous = await api.http.post("/oauth2/revoke", content=b"token=x", headers=FORM)
    assert anonymous.status_code == 401


async def test_metadata_names_what_is_served(api: Api) -> None:
    document = (await api.http.get("/.well-known/oauth-authorization-server")).json()
    issuer = api.hub.issuer.issuer
    assert document["issuer"] == issuer
    assert document["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert "RS256" not in document["token_endpoint_auth_signing_alg_values_supported"]
    keys = (await api.http.get(document["jwks_uri"].removeprefix(issuer))).json()["keys"]
    assert all("d" not in key for key in keys)
    assert document["token_endpoint"].removeprefix(issuer) == "/oauth2/token"


async def test_the_application_cannot_read_the_tables_of_the_token_endpoint(api: Api) -> None:
    import asyncpg

    for table in ("auth.account", "auth.revoked_token", "auth.used_assertion", "auth.idempotency", "access.client"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await api.hub.pool.fetch(f"SELECT * FROM {table}")
