"""GraphQL over HTTP: media types, status codes, methods; and hostile requests."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from hub.portal.middleware import BODY_MAX
from hub.schema.view import DOCUMENT_MAX
from hub.store.database import Database

from .world import COUNTY, HEAD, Api, borrower, running_api

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEW = "application/graphql-response+json"
OLD = "application/json"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """One hub for the file: its tests leave everybody's rights as they were."""
    async with running_api(module_database, tmp_path_factory.mktemp("http") / "home") as api:
        yield api


@pytest.fixture
def token(api: Api) -> str:
    return api.account_token("regulator")


async def post(api: Api, token: str, body: Any, accept: str = NEW, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    full = {"authorization": f"Bearer {token}", "accept": accept, "content-type": OLD} | headers
    return await api.http.post("/graphql", content=content, headers=full)


MEDIA_TYPES = [
    (NEW, NEW),
    (f"{NEW}, {OLD};q=0.9", NEW),
    (f"{OLD}, {NEW};q=0.9", OLD),
    (OLD, OLD),
    ("*/*", OLD),
    ("", OLD),
    ("application/*", OLD),
    ("text/event-stream, application/graphql-response+json", NEW),
]


async def test_the_reply_has_the_type_asked_for(api: Api, token: str) -> None:
    for accept, media_type in MEDIA_TYPES:
        reply = await post(api, token, {"query": "{ __typename }"}, accept)
        assert reply.status_code == 200
        assert reply.headers["content-type"] == f"{media_type}; charset=utf-8", accept
        assert reply.json() == {"data": {"__typename": "Query"}}
        assert "accept" in reply.headers["vary"]
        assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ nothing }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "query($f: Int!) { accessHistory(first: $f) { __typename } }"}, "BAD_USER_INPUT"),
    ],
)
async def test_request_errors(api: Api, token: str, body: dict[str, Any], code: str) -> None:
    for accept, status in ((NEW, 400), (OLD, 200)):
        reply = await post(api, token, body, accept)
        assert reply.status_code == status
        answer = reply.json()
        assert "data" not in answer
        assert [error["extensions"]["code"] for error in answer["errors"]] == [code]


BAD_BODIES = [
    b"", b"{", b"[]", b'"x"', b"null", b"7", b"\xff\xfe", b"{}", b'{"query": 7}', b'{"query": {"a": 1}}',
    b'{"query": []}', b'{"query": ""}', b'{"query": "{ __typename }", "variables": "x"}',
    b'{"query": "{ __typename }", "variables": 7}', b'{"query": "{ __typename }", "variables": []}',
    b'{"query": "{ __typename }", "extensions": "x"}', b'{"query": "{ __typename }", "operationName": 7}',
    b'{"query": "{ __typename }", "operationName": {}}', b'[{"query": "{ __typename }"}]',
    b'{"query": "{ a }", "variables": {"a": "\\ud800"}}',
    b'{"query": "query A { __typename } query B { __typename }"}',
    b'{"query": "{ __typename }", "operationName": "unknown"}',
]  # fmt: skip


async def test_bad_bodies(api: Api, token: str) -> None:
    for body in BAD_BODIES:
        reply = await post(api, token, body)
        assert reply.status_code == 400, (body, reply.text)
        assert reply.json()["errors"][0]["extensions"]["code"] in ("BAD_REQUEST", "OPERATION_RESOLUTION_FAILURE")
        assert reply.headers["content-type"].startswith(NEW)


async def test_null_optional_members_are_accepted(api: Api, token: str) -> None:
    body = {"query": "{ __typename }", "variables": None, "operationName": None, "extensions": None}
    assert (await post(api, token, body)).json() == {"data": {"__typename": "Query"}}


async def test_other_content_types_and_methods(api: Api, token: str) -> None:
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
    ):
        reply = await post(api, token, b"query={__typename}", **{"content-type": kind})
        assert reply.status_code in (400, 415)
    utf16 = await post(api, token, '{"query": "{ __typename }"}'.encode("utf-16"))
    assert utf16.status_code == 400
    for method in ("PUT", "DELETE", "PATCH"):
        reply = await api.http.request(method, "/graphql", headers={"authorization": f"Bearer {token}"})
        assert reply.status_code == 405
        assert "POST" in reply.headers["allow"]


async def test_get_answers_questions_about_the_schema_only(api: Api, token: str) -> None:
    async def get(**params: str) -> httpx.Response:
        return await api.http.get(
            "/graphql", params=params, headers={"authorization": f"Bearer {token}", "accept": NEW}
        )

    before = await api.entries()
    assert (await get(query="{ __typename }")).json() == {"data": {"__typename": "Query"}}
    assert (await get(query='{ __type(name: "Purpose") { kind } }')).json()["data"]["__type"] == {"kind": "ENUM"}
    query = "query($input: BorrowerProfileInput!) { borrowerProfile(input: $input) { __typename } }"
    for params in (
        {"query": query, "variables": json.dumps(borrower(HEAD))},
        {"query": "{ household { __typename } }"},
        {"query": "{ ...F } fragment F on Query { household { __typename } }"},
        {
            "query": "mutation($i: WithdrawConsentInput!) { withdrawConsent(input: $i) { __typename } }",
            "variables": "{}",
        },
        {},
        {"query": "{ __typename }", "variables": "{"},
    ):
        reply = await get(**params)
        assert reply.status_code in (400, 405), (params, reply.text)
        assert "data" not in reply.json()
        assert HEAD.number not in reply.text
    assert await api.entries() == before


async def test_without_a_good_token_there_is_no_schema(api: Api) -> None:
    good = api.account_token("head")
    closed = api.account_token("regulator-who-left")
    await api.owner.execute(
        "INSERT INTO auth.account (account_id, role, county_codes, status)"
        " VALUES ('regulator-who-left', 'REGULATOR', $1, 'CLOSED')", [COUNTY],
    )  # fmt: skip
    revoked = api.hub.issuer.issue_for_account("wife")
    await api.hub.auth.revoke_token(revoked.token_id, revoked.expires_at)
    unknown = api.account_token("nobody")
    for headers in (
        {}, {"authorization": good}, {"authorization": f"Basic {good}"}, {"authorization": "Bearer "},
        {"authorization": f"Bearer {good}x"}, {"authorization": f"Bearer {closed}"},
        {"authorization": f"Bearer {revoked.token}"}, {"authorization": f"Bearer {unknown}"},
    ):  # fmt: skip
        reply = await api.http.post("/graphql", json={"query": "{ __typename }"}, headers=headers)
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"].startswith("Bearer")
        assert "data" not in reply.json()
    in_url = await api.http.post(f"/graphql?access_token={good}", json={"query": "{ __typename }"})
    assert in_url.status_code == 401
    fine = await api.http.post(
        "/graphql", json={"query": "{ __typename }"}, headers={"authorization": f"bearer {good}"}
    )
    assert fine.status_code == 200


async def test_a_revoked_system_token_reads_nothing(api: Api) -> None:
    await api.basis(HEAD)
    token = await api.system_token()
    claims = api.hub.verifier.verify(token)
    await api.hub.auth.revoke_token(claims.token_id, claims.expires_at)
    query = (
        "query($input: BorrowerProfileInput!) { borrowerProfile(input: $input)"
        "{ ... on BorrowerProfile { identity { name } } ... on NotAllowed { code message } } }"
    )
    reply = await api.ask(token, query, borrower(HEAD), **{"accept-language": "en"})
    assert reply.json()["data"]["borrowerProfile"]["code"] == "TOKEN_REVOKED"
    assert "CANARY" not in reply.text


async def test_large_bodies_and_deep_values_are_refused(api: Api, token: str) -> None:
    large = await post(api, token, b'{"query": "' + b"x" * BODY_MAX + b'"}')
    assert large.status_code == 413
    assert large.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    for depth in (900, 50_000):
        body = b'{"query": "{ __typename }", "variables": {"a": ' + b"[" * depth + b"]" * depth + b"}}"
        assert (await post(api, token, body)).status_code == 400
    deep = "{ household { ... on OwnRecord { " + "... { " * 800 + "asOf" + " }" * 800 + " } } }"
    reply = await post(api, token, {"query": deep})
    assert reply.status_code == 400
    long = await post(api, token, {"query": "{ __typename } #" + "x" * DOCUMENT_MAX})
    assert (long.status_code, long.json()["errors"][0]["extensions"]["code"]) == (400, "BAD_REQUEST")
    many = await post(api, token, {"query": "{ " + "__typename " * 3000 + "}"})
    assert many.json()["errors"][0]["extensions"]["code"] == "GRAPHQL_PARSE_FAILED"


async def test_errors_do_not_repeat_what_was_sent(api: Api) -> None:
    token = await api.system_token()
    number, name = HEAD.number, "张三"
    query = "query($input: BorrowerProfileInput!) { borrowerProfile(input: $input) { __typename } }"
    bad: list[dict[str, Any]] = [
        {"query": query, "variables": {"input": {"borrower": {"identity": {"idNumber": [number], "name": name}}}}},
        {"query": query, "variables": {"input": number}},
        {"query": query, "variables": borrower(HEAD, purpose=name)},
        {"query": query, "variables": borrower(HEAD, **{number: name})},
        {"query": query.replace("$input)", f'{{purpose: "{name}"}})'), "variables": {}},
        {"query": f"{{ borrowerProfile(input: {{borrower: {{borrowerId: {number}}}, purpose: X}}) {{ a{number} }} }}"},
        {"query": "{ __typename }", "operationName": f"{name}{number}"},
    ]
    for body in bad:
        reply = await post(api, token, body)
        assert reply.status_code == 400, body
        assert number not in reply.text
        assert name not in reply.text


async def test_errors_suggest_no_names(api: Api, token: str) -> None:
    for query in (
        "{ householt { __typename } }",
        "{ household { ... on OwnRecor { asOf } } }",
        "{ accessHistory(firs: 1) }",
    ):
        assert "Did you mean" not in (await post(api, token, {"query": query})).text


async def test_every_reply_carries_its_headers(api: Api, token: str) -> None:
    for reply in (
        await post(api, token, {"query": "{ __typename }"}, **{"x-request-id": "bank-7-0001"}),
        await api.http.get("/livez"),
        await api.http.get("/nothing"),
        await api.http.get("/explorer"),
    ):
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
        assert len(reply.headers["x-request-id"]) >= 8
    same = await post(api, token, {"query": "{ __typename }"}, **{"x-request-id": "bank-7-0001"})
    assert same.headers["x-request-id"] == "bank-7-0001"
    odd = await post(api, token, {"query": "{ __typename }"}, **{"x-request-id": 'a b"c{}'})
    assert odd.headers["x-request-id"] != 'a b"c{}'
    number = await post(api, token, {"query": "{ __typename }"}, **{"x-request-id": f"loan-{HEAD.number}"})
    assert HEAD.number not in number.headers["x-request-id"]


async def test_health(api: Api) -> None:
    assert (await api.http.get("/livez")).json() == {"status": "ok"}
    ready = await api.http.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "problems": []})


async def test_the_explorer_needs_nothing_from_elsewhere(api: Api) -> None:
    page = await api.http.get("/explorer")
    assert page.status_code == 200
    assert "接口试验台" in page.text
    assert "http" not in page.text.replace("接口", "")
    assert "<script>" not in page.text
    assert "style=" not in page.text
    for name, kind in (("explorer.js", "text/javascript"), ("explorer.css", "text/css")):
        asset = await api.http.get(f"/explorer/{name}")
        assert asset.headers["content-type"].startswith(kind)
        assert "://" not in asset.text
    assert "localStorage" not in (await api.http.get("/explorer/explorer.js")).text


async def test_language_of_messages(api: Api, token: str) -> None:
    query = "{ household { ... on NotAllowed { code message } } }"
    chinese = await post(api, token, {"query": query})
    english = await post(api, token, {"query": query}, **{"accept-language": "en-GB, zh;q=0.5"})
    assert chinese.json()["data"]["household"] == {"code": "NOT_ALLOWED", "message": "您无权进行此操作。"}
    assert english.json()["data"]["household"]["message"] == "You may not do that."
