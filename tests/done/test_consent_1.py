"""Issue 4, line 1: clients that nobody here wrote drive the authorization server from discovery to revocation.

``openid-client`` (npm) is certified for FAPI 2.0 as a relying party; ``requests-oauth2client`` (PyPI) is not its kin.
The person's page is driven by plain form posts in a session of the hub's own sign-in desk.
"""

import asyncio
import hashlib
import json
import re
import secrets
import shutil
import uuid
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

import jwskate
import pytest
import pytest_asyncio
import requests
from requests_oauth2client import BearerToken, DPoPKey, OAuth2Client, PrivateKeyJwt

from hub.store.database import Database
from tests.auth.clients import jwks, new_key
from tests.done.served import HEAD, Served, served_hub

FOREIGN = Path(__file__).parent / "foreign_oauth"
REDIRECT = "http://127.0.0.1/callback"
PARTS = [
    {"category": "identity", "form": "VALUE"}, {"category": "tax.grade", "form": "VALUE"},
    {"category": "tax.band", "form": "BAND"},
]  # fmt: skip
DETAILS = [
    {
        "type": "credit_data_consent",
        "purpose": "LOAN_APPLICATION",
        "parts": PARTS,
        "officer": "officer.li",
        "subject": {"id_number": HEAD.number, "name": HEAD.name},
    }
]
QUERY = """query($i: BorrowerProfileInput!) { borrowerProfile(input: $i) {
  ... on BorrowerProfile { borrowerId identity { name } } } }"""


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with served_hub(module_database, tmp_path_factory.mktemp("hub") / "home") as hub:
        yield hub


async def register(served: Served, algorithm: str) -> dict[str, Any]:
    """Give ``risk-a`` a new key that the client proves with; its private JWK."""
    key = new_key(algorithm)
    await served.owner.execute(
        "UPDATE access.client SET jwks = $1, redirect_uris = $2, is_dpop_required = true WHERE client_id = 'risk-a'",
        json.dumps(jwks(key)), [REDIRECT],
    )  # fmt: skip
    return dict(key.as_dict(private=True))


async def sign_in(served: Served) -> str:
    """A session of the person asked, as the desk would have begun it; gives the cookie."""
    secret = secrets.token_urlsafe(32)
    await served.owner.execute(
        "INSERT INTO auth.session (session_id, digest, account_id, method, factors, ends_at)"
        " VALUES ($1, $2, $3, 'CODE', 1, now() + interval '1 hour')",
        uuid.uuid4(), hashlib.sha256(secret.encode()).digest(), HEAD.account,
    )  # fmt: skip
    return f"hub-session={secret}"


@pytest.mark.parametrize("algorithm", ["PS256", "ES256", "EdDSA"])
async def test_openid_client_drives_the_whole_flow(served: Served, algorithm: str) -> None:
    node = shutil.which("node")
    if node is None or not (FOREIGN / "node_modules" / "openid-client").exists():
        pytest.skip("NOT TESTED with openid-client: install Node 20 and run `npm ci` in tests/done/foreign_oauth")
    task = {
        "issuer": served.settings.public_url, "clientId": "risk-a", "algorithm": algorithm, "redirectUri": REDIRECT,
        "key": await register(served, algorithm), "cookie": await sign_in(served), "details": DETAILS,
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        node, "--no-warnings", str(FOREIGN / "flow.mjs"),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, errors = await process.communicate(json.dumps(task).encode())
    assert process.returncode == 0, errors.decode()[-2000:]
    seen = json.loads(out)
    assert seen["notice"] is True
    assert seen["tokenType"].lower() == seen["renewed"]["type"].lower() == "dpop"
    assert seen["details"] == seen["claims"]["authorization_details"]
    assert seen["details"][0]["parts"] == PARTS
    for profile in (seen["profile"], seen["again"]):
        assert profile["data"]["borrowerProfile"]["borrowerId"] == seen["claims"]["sub"]
        assert served.marks.found(json.dumps(profile)) != set()
    assert (seen["before"]["active"], seen["before"]["cnf"]) == (True, seen["claims"]["cnf"])
    assert seen["renewed"]["rotated"] is False
    assert seen["after"] == {"active": False}


@pytest.mark.parametrize("algorithm", ["PS256", "ES256", "EdDSA"])
async def test_requests_oauth2client_drives_the_whole_flow(served: Served, algorithm: str) -> None:
    key, cookie = await register(served, algorithm), await sign_in(served)
    seen = await asyncio.to_thread(drive, served.settings.public_url, key, algorithm, cookie)
    assert seen["token"].token_type == "DPoP"
    assert seen["profile"]["data"]["borrowerProfile"]["borrowerId"] is not None
    assert served.marks.found(json.dumps(seen["profile"])) != set()
    assert seen["before"]["active"] is True
    assert seen["renewed"].access_token != seen["token"].access_token
    assert seen["after"] == {"active": False}


def drive(hub: str, key: dict[str, Any], algorithm: str, cookie: str) -> dict[str, Any]:
    """The flow as a program that uses the library; it is not asynchronous."""
    own = jwskate.Jwk(key | {"alg": algorithm, "kid": "key-1"})
    bank = OAuth2Client.from_discovery_endpoint(
        f"{hub}/.well-known/oauth-authorization-server", issuer=hub, testing=True, redirect_uri=REDIRECT,
        auth=PrivateKeyJwt("risk-a", own, aud=hub), dpop_bound_access_tokens=True,
    )  # fmt: skip
    asked = bank.authorization_request(
        scope=None, nonce=None, dpop=True, dpop_key=DPoPKey(own), authorization_details=json.dumps(DETAILS)
    )
    page = requests.get(str(bank.pushed_authorization_request(asked)), headers={"cookie": cookie}, timeout=10)
    form = [
        (name, unescape(value)) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text)
    ]
    form += [("part", value) for value in re.findall(r'name="part" value="([^"]*)"', page.text)]
    form += [("heightened", "yes"), ("decision", "yes")]
    answered = requests.post(
        f"{hub}/oauth2/authorize", data=form, headers={"cookie": cookie}, allow_redirects=False, timeout=10
    )
    token = bank.authorization_code(asked.validate_callback(answered.headers["location"]))
    assert isinstance(token, BearerToken)
    subject = bank.introspect_token(token)["sub"]
    i = {"borrower": {"borrowerId": subject}, "purpose": "LOAN_APPLICATION", "officer": "officer.li"}
    profile = requests.post(
        f"{hub}/graphql", json={"query": QUERY, "variables": {"i": i}}, auth=token, timeout=10
    ).json()
    before = bank.introspect_token(token)
    renewed = bank.refresh_token(token)
    assert token.refresh_token is not None
    bank.revoke_token(token.refresh_token)
    after = bank.introspect_token(renewed)
    return {"token": token, "profile": profile, "before": before, "renewed": renewed, "after": after}
