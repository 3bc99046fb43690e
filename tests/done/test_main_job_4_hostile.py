"""Callers who try it another way: forged headers and tokens, statements in inputs, questions without a token."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub.store.database import Database
from tests.auth.clients import FORM, assertion, claims, form, new_key
from tests.done.opened import tables
from tests.done.queries import CONSENTS, GRANT, HISTORY, LOG, OWN_RECORD, PROFILE, REFUSE, REQUEST, WITHDRAW
from tests.done.served import (
    HEAD,
    NEIGHBOUR,
    STRANGER,
    WIFE,
    Served,
    household_of,
    profile_input,
    request_input,
    served_hub,
)

INTROSPECTION = "{ __schema { types { name fields { name } } } }"
PAGE = """
query Page($first: Int!, $after: String) { accessHistory(first: $first, after: $after) {
  __typename ... on InvalidInput { fields { path code message } } } }
"""
COUNTED = (
    "access.subject_day", "access.subject_count", "access.officer_query", "access.shadow", "auth.idempotency",
)  # fmt: skip
"""Where every query leaves a count, a line or a key, whatever it asks; the shadow goes through the log by itself."""

STATEMENTS = [
    "' OR '1'='1", "'; DROP TABLE record.section; --", "x' UNION SELECT body FROM record.section --", "$1", "%", "\\",
    "\x00", "${jndi:ldap://x}", "{{7*7}}", "岩罕'--", "a" * 5000, "\ud7ff\uffff",
]  # fmt: skip
FORGED = {
    "x-forwarded-user": "head", "x-remote-user": "regulator", "x-forwarded-for": "::1", "x-original-url": "/livez",
    "x-http-method-override": "GET", "x-organisation": "402739000022", "x-role": "STEWARD", "x-client-id": "risk-b",
    "forwarded": "for=127.0.0.1;host=evil", "x-user-id": "head", "cookie": "session=head; token=head",
}  # fmt: skip


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with served_hub(database, tmp_path / "home") as hub:
        yield hub


async def test_without_a_token_there_is_not_even_a_schema(served: Served) -> None:
    for body in (
        {"query": INTROSPECTION},
        {"query": "{ __typename }"},
        {"query": PROFILE, "variables": profile_input(HEAD)},
    ):
        for headers in ({}, FORGED, {"authorization": "Bearer x"}, {"authorization": "Basic aGVhZDpoZWFk"}):
            for reply in (
                await served.http.post("/graphql", json=body, headers=headers),
                await served.http.get("/graphql", params={"query": body["query"]}, headers=headers),
            ):
                assert reply.status_code == 401
                assert set(reply.json()) == {"errors"}
                assert "types" not in reply.text
                assert "Profile" not in reply.text
    for path in (
        "/graphql/schema",
        "/schema.graphql",
        "/sdl",
        "/metrics",
        "/docs",
        "/openapi.json",
        "/.env",
    ):
        assert (await served.http.get(path)).status_code in {401, 404}


async def test_forged_headers_change_nothing(served: Served) -> None:
    await served.grant(HEAD, "risk-b")
    plain = (await served.profile("risk-a", HEAD)).content.partition(b',"extensions"')[0]
    forged = await served.ask("risk-a", PROFILE, profile_input(HEAD), **FORGED, host="evil.example")
    assert forged.content.partition(b',"extensions"')[0] == plain
    assert served.marks.found(forged.content) == set()
    found = await served.http.get("/.well-known/oauth-authorization-server", headers={"host": "evil.example"})
    assert "evil" not in found.text
    for value in ("a\tb", "x" * 65, "bank-7-\u00e9001".encode("latin-1"), b"id\xff\xfe0000"):
        reply = await served.http.get("/livez", headers={"x-request-id": value})
        assert reply.headers["x-request-id"].isalnum()


def parts_of(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    head, body, _ = (
        json.loads(base64.urlsafe_b64decode(part + "==")) if at < 2 else {} for at, part in enumerate(token.split("."))
    )
    return head, body


def packed(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


async def test_tokens_that_were_made_elsewhere_are_refused(served: Served) -> None:
    good = await served.token("risk-a")
    head, body = parts_of(good)
    signature = good.rpartition(".")[2]
    stranger = new_key("EdDSA")
    tries = [
        f"{packed(head | {'alg': 'none'})}.{packed(body)}.",
        f"{packed(head | {'alg': 'HS256'})}.{packed(body)}.{signature}",
        f"{packed(head)}.{packed(body | {'sub': 'head'})}.{signature}",
        f"{packed(head)}.{packed(body | {'exp': body['exp'] + 10_000})}.{signature}",
        assertion(stranger, body, "EdDSA", **{name: value for name, value in head.items() if name != "alg"}),
        assertion(stranger, body, "EdDSA", jwk=stranger.as_dict(private=False), typ="at+jwt"),
        assertion(served.client_keys["risk-a"], claims("risk-a", aud=served.hub.issuer.issuer)),
        good[:-4] + "AAAA",
        good + ".x",
    ]
    for token in tries:
        reply = await served.http.post(
            "/graphql", json={"query": "{ __typename }"}, headers={"authorization": f"Bearer {token}"}
        )
        assert (reply.status_code, "data" in reply.json()) == (401, False), token
    foreign = assertion(served.client_keys["risk-b"], claims("risk-a", aud=served.hub.issuer.issuer))
    nobody = assertion(stranger, claims("nobody", aud=served.hub.issuer.issuer), "EdDSA")
    answers = {
        (await served.http.post("/oauth2/token", content=form(signed), headers=FORM)).text
        for signed in (foreign, nobody)
    }
    assert len(answers) == 1


@pytest.mark.long
async def test_statements_in_inputs_are_only_texts(served: Served) -> None:
    await served.grant(WIFE)
    granted = await served.request(NEIGHBOUR)
    before = await tables(served.owner, leave_out=COUNTED)
    replies = []
    for text in STATEMENTS:
        asked = [
            ("risk-a", PROFILE, profile_input(HEAD, borrower={"identity": {"idNumber": HEAD.number, "name": text}})),
            ("risk-a", PROFILE, profile_input(HEAD, borrower={"identity": {"idNumber": text, "name": HEAD.name}})),
            ("risk-a", PROFILE, profile_input(HEAD, borrower={"borrowerId": text})),
            ("risk-a", PROFILE, profile_input(HEAD, officer=text)),
            ("risk-a", PROFILE, profile_input(HEAD, idempotencyKey=text)),
            ("risk-a", PROFILE, profile_input(HEAD, purpose=text)),
            ("risk-a", REQUEST, {"input": request_input(HEAD, applicationRef=text, idempotencyKey="k1")}),
            ("risk-a", REQUEST, {"input": request_input(HEAD, idempotencyKey=text)}),
            ("head", GRANT, {"input": {"requestId": text, "idempotencyKey": "k2"}}),
            ("head", GRANT, {"input": {"requestId": granted, "idempotencyKey": "k3"}}),
            ("head", REFUSE, {"input": {"requestId": granted, "idempotencyKey": "k4"}}),
            ("head", WITHDRAW, {"input": {"consentId": text, "idempotencyKey": "k5"}}),
            ("head", PAGE, {"first": 5, "after": text}),
        ]  # fmt: skip
        replies += [await served.ask(*one) for one in asked]
    for reply in replies:
        assert reply.status_code in {200, 400}, reply.text
        for error in reply.json().get("errors", ()):
            assert error["extensions"]["code"] != "INTERNAL_SERVER_ERROR", reply.text
        assert HEAD.number not in reply.text
        assert served.marks.found(reply.content) == set()
    after = await tables(served.owner, leave_out=COUNTED)
    changed = {name for name in before if before[name] != after[name] and not name.startswith(("audit.", "watched."))}
    assert changed == set()


async def test_a_bearer_is_no_more_than_he_is(served: Served) -> None:
    """Every operation by everybody for whom it is not made."""
    await served.grant(HEAD)
    for who, query, variables in (
        ("risk-b", PROFILE, profile_input(HEAD)),
        ("risk-a", OWN_RECORD, {}),
        ("risk-a", HISTORY, {"first": 5}),
        ("risk-a", LOG, {"first": 5}),
        ("risk-a", CONSENTS, {}),
        ("head", LOG, {"first": 5}),
        ("head", PROFILE, profile_input(WIFE, officer=None)),
        ("regulator", OWN_RECORD, {}),
        ("regulator", PROFILE, profile_input(STRANGER, officer=None)),
        ("steward", LOG, {"first": 5}),
    ):
        reply = await served.ask(who, query, variables)
        assert reply.status_code == 200
        found = served.marks.found(reply.content)
        assert found == set(), (who, query[:20], found)
    own = await served.ask("head", PROFILE, profile_input(WIFE, officer=None, purpose="SELF_ACCESS"))
    assert {about for about, _, _ in served.marks.found(own.content)} <= {HEAD.person_id, household_of(HEAD)}
