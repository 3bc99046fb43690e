"""Whatever is sent in the place of a credential, the answer is a refusal, never a failure of the hub."""

from base64 import urlsafe_b64encode

from tests.api.world import Api

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def part(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


NESTED = part(b"[" * 2900)
HEAD = part(b'{"alg":"ES256"}')


ASSERTIONS = (
    f"{HEAD}.{part(b'[' * 5000)}.aa", f"{NESTED}.e30.aa", f"{HEAD}.{part(b'[]')}.aa", f"{HEAD}.{part(b'1')}.aa", "a.b",
)  # fmt: skip


async def test_a_malformed_assertion_is_refused_as_any(api: Api) -> None:
    for endpoint in ("token", "par", "introspect", "revoke"):
        for assertion in ASSERTIONS:
            form = {
                "grant_type": "client_credentials",
                "client_assertion_type": ASSERTION,
                "client_assertion": assertion,
            }
            reply = await api.http.post(f"/oauth2/{endpoint}", data=form)
            assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client"), (endpoint, assertion[:40])


async def test_a_malformed_token_or_proof_is_refused_as_any(api: Api) -> None:
    body = {"query": "{ __typename }"}
    for headers in (
        {"authorization": f"Bearer {NESTED}.e30.aa"},
        {"authorization": f"Bearer {HEAD}.{NESTED}.aa"},
        {"authorization": "DPoP a.b.c", "dpop": f"{NESTED}.e30.aa"},
        {"authorization": "DPoP a.b.c", "dpop": f"{HEAD}.{NESTED}.aa"},
    ):
        assert (await api.http.post("/graphql", json=body, headers=headers)).status_code == 401


async def test_a_malformed_client_id_gets_the_page_that_every_wrong_request_gets(api: Api) -> None:
    uri = "urn:ietf:params:oauth:request_uri:x"
    for client in ("a%00b", "%ed%a0%80", "%00", "a" * 65, ""):
        reply = await api.http.get(f"/oauth2/authorize?client_id={client}&request_uri={uri}")
        assert (reply.status_code, "location" in reply.headers) == (400, False)
        assert "无法办理" in reply.text
