"""Attacks 37 to 47, on the GraphQL layer, end to end over HTTP: the number stands in the name of each test."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    get_named_type,
)

from hub.core.fields import FIELDS, STRUCTURE
from hub.schema.schema import build_schema
from hub.store.database import Database
from tests.done.served import BANK_A, COUNTY, FAR, HEAD, STRANGER, WIFE, Person, Served, profile_input, served_hub

SCHEMA = build_schema().graphql
DISCLOSED = {field_id.partition(".")[0] for field_id in (*FIELDS, *STRUCTURE)}
"""Types whose fields are classified."""

HEADER = "query P($input: BorrowerProfileInput!) { borrowerProfile(input: $input) { ... on BorrowerProfile"
NOTICE = "withheld { field category form reason }"
INPUT = {"accept": "application/graphql-response+json"}


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with served_hub(database, tmp_path / "home") as hub:
        yield hub


async def give_basis(served: Served, person: Person, parts: list[str], organisation: str = BANK_A) -> None:
    await served.owner.execute(
        "INSERT INTO consent.basis (basis_id, kind, reference, county, organisation_id, person_id, purpose, parts,"
        " heightened, effective_from, expires_at) VALUES ($1, 'CASE', 'test', $2, $3, $4, 'LOAN_APPLICATION', $5, true,"
        " now() - interval '1 minute', now() + interval '1 day')",
        uuid4(), COUNTY, organisation, person.person_id, parts,
    )  # fmt: skip


async def recorded(served: Served) -> int:
    return int(await served.owner.fetchval("SELECT count(*) FROM watched.pending"))


async def last_facts(served: Served) -> dict[str, Any]:
    facts = await served.owner.fetchval(
        "SELECT facts::text FROM watched.pending ORDER BY queued_at DESC, ev DESC LIMIT 1"
    )
    found: dict[str, Any] = json.loads(facts)
    return found


async def run(served: Served, who: str, document: str, person: Person = HEAD, **variables: Any) -> httpx.Response:
    return await served.ask(who, document, profile_input(person) | variables)


async def refused(served: Served, reply: httpx.Response, before: int) -> None:
    """Nothing was looked at, nothing leaked, nothing was written."""
    body = reply.json()
    assert body.get("data") is None, reply.text
    assert body["errors"]
    assert served.marks.found(reply.content) == set()
    assert HEAD.number not in reply.text
    assert HEAD.name not in reply.text
    assert await recorded(served) == before


async def test_attack_37_alias_and_fragments_on_a_denied_field(served: Served) -> None:
    """However a denied field is written, the same is withheld, and the record says so."""
    await give_basis(served, HEAD, ["tax.grade/VALUE", "tax.band/BAND"])
    ways = [
        f"{HEADER} {{ tax {{ bands {{ taxPaidBand }} }} {NOTICE} }} }} }}",
        f"{HEADER} {{ x: tax {{ y: bands {{ z: taxPaidBand }} }} {NOTICE} }} }} }}",
        f"{HEADER} {{ tax {{ ...F }} {NOTICE} }} }} }} fragment F on TaxSection {{ bands {{ taxPaidBand }} }}",
        f"{HEADER} {{ ... on BorrowerProfile {{ tax {{ ... on TaxSection {{ bands {{ taxPaidBand }} }} }} }}"
        f" {NOTICE} }} }} }}",
        f"{HEADER} {{ ...G {NOTICE} }} }} }} fragment G on BorrowerProfile {{ tax {{ ...F }} }}"
        " fragment F on TaxSection { ...H } fragment H on TaxSection { bands { taxPaidBand } }",
        f"{HEADER} {{ tax {{ bands {{ __typename }} }} tax {{ bands {{ taxPaidBand }} }} {NOTICE} }} }} }}",
    ]
    told = set()
    for document in ways:
        reply = await run(served, "officer-a", document)
        profile = reply.json()["data"]["borrowerProfile"]
        told.add(json.dumps(profile["withheld"], sort_keys=True))
        assert served.marks.found(reply.content) == set(), document
        assert [line[:2] for line in (await last_facts(served))["withheld"]] == [["tax.band", "BAND"]]
    assert [json.loads(one)[0]["reason"] for one in told] == ["NEVER_DISCLOSED"]


async def test_attack_38_skip_and_include_by_variable(served: Served) -> None:
    """Decided and recorded is what is executed, not what is written."""
    await give_basis(served, HEAD, ["tax.grade/VALUE"])
    document = (
        "query P($input: BorrowerProfileInput!, $loans: Boolean!, $hide: Boolean!)"
        " { borrowerProfile(input: $input) { ... on BorrowerProfile { tax { grades { grade } }"
        f" bank @include(if: $loans) {{ ownLoans @skip(if: $hide) {{ contractNo }} }} {NOTICE} }} }} }}"
    )
    for loans, hide in ((True, False), (True, True), (False, False), (False, True)):
        reply = await run(served, "officer-a", document, loans=loans, hide=hide)
        profile = reply.json()["data"]["borrowerProfile"]
        wanted = [["tax.grade", "VALUE"]] + [["bank.loan", "VALUE"]] * (loans and not hide)
        assert sorted((await last_facts(served))["asked"]) == sorted(wanted)
        assert len(profile["withheld"]) == len(wanted) - 1
        assert {part for _, part, _ in served.marks.found(reply.content)} == {"tax.grade/VALUE"}


async def test_attack_39_interface_union_node_mutation_payload_and_subscription(served: Served) -> None:
    """By whatever type a value is reached, the concrete one decides; other ways do not exist."""
    await give_basis(served, HEAD, ["identity/VALUE"])
    through = f"{HEADER} {{ adverse {{ items {{ ... on Fact {{ provenance {{ source }} }} }} }} {NOTICE} }} }} }}"
    reply = await run(served, "officer-a", through)
    profile = reply.json()["data"]["borrowerProfile"]
    assert profile["adverse"] == {"items": None}
    assert [entry["category"] for entry in profile["withheld"]] == ["adverse"]
    assert served.marks.found(reply.content) == set()
    assert SCHEMA.subscription_type is None
    assert SCHEMA.query_type is not None
    assert not {"node", "nodes", "_entities", "_service"} & set(SCHEMA.query_type.fields)
    assert SCHEMA.mutation_type is not None
    assert not _reachable(SCHEMA.mutation_type) & {name.partition(".")[0] for name in FIELDS}
    before = await recorded(served)
    for document in ('{ node(id: "1") { __typename } }', "subscription { borrowerProfile { __typename } }"):
        await refused(served, await run(served, "officer-a", document), before)


def _reachable(kind: Any) -> set[str]:
    seen: set[str] = set()
    waiting = [kind]
    while waiting:
        one = get_named_type(waiting.pop())
        if one.name in seen or isinstance(one, GraphQLScalarType | GraphQLEnumType):
            continue
        seen.add(one.name)
        if isinstance(one, GraphQLObjectType | GraphQLInterfaceType):
            waiting += [field.type for field in one.fields.values()]
        else:
            waiting += list(SCHEMA.get_possible_types(one))
    return seen


async def test_attack_40_filter_sort_group_count_and_cursor_on_a_denied_field(served: Served) -> None:
    """No classified field takes an argument, so nothing about a value can be asked by the back door."""
    await give_basis(served, HEAD, ["tax.grade/VALUE"])
    before = await recorded(served)
    for selection in (
        'tax { bands(filter: { taxPaidBand: "1" }) { taxPaidBand } }', "tax { grades(orderBy: GRADE_ASC) { grade } }",
        "tax { grades(first: 1, after: \"x\") { grade } }", "tax { bandsCount }", "tax { bands { totalCount } }",
        "bank { otherLoans(having: 1) { loans } }", "adverse { itemsAggregate { count } }",
        'tax { hasArrears(above: "1000") }', "clinicArrears { bands(threshold: 500) { balanceBand } }",
    ):  # fmt: skip
        await refused(served, await run(served, "officer-a", f"{HEADER} {{ {selection} }} }} }}"), before)
    for name in DISCLOSED:
        kind = SCHEMA.type_map[name]
        assert isinstance(kind, GraphQLObjectType)
        assert not [field for field, declared in kind.fields.items() if declared.args], name
    history = "query($c: String) { accessHistory(first: 1, after: $c) { __typename ... on InvalidInput { code } } }"
    for cursor in ("7", "bG9nOjE", "YWNjZXNzOjA", "YWNjZXNzOjEgT1IgMT0x", "YWNjZXNzOi0x"):
        reply = await served.ask("head", history, {"c": cursor})
        assert reply.json()["data"]["accessHistory"]["__typename"] == "InvalidInput", cursor
    assert await recorded(served) == before


async def test_attack_41_batches_and_a_thousand_aliases(served: Served) -> None:
    """One operation asks about one person once; a day's limit counts people, not requests."""
    await give_basis(served, HEAD, ["tax.grade/VALUE"])
    before = await recorded(served)
    token = await served.token("officer-a")
    headers = {"authorization": f"Bearer {token}"}
    one = {"query": f"{HEADER} {{ tax {{ hasArrears }} }} }} }}", "variables": profile_input(HEAD)}
    batch = await served.http.post("/graphql", json=[one] * 50, headers=headers)
    assert batch.status_code == 400
    assert served.marks.found(batch.content) == set()
    roots = " ".join(f"a{n}: borrowerProfile(input: $input) {{ __typename }}" for n in range(1000))
    await refused(
        served, await run(served, "officer-a", f"query P($input: BorrowerProfileInput!) {{ {roots} }}"), before
    )
    two = "query P($input: BorrowerProfileInput!) { a: borrowerProfile(input: $input) { __typename }"
    await refused(
        served, await run(served, "officer-a", two + " b: borrowerProfile(input: $input) { __typename } }"), before
    )
    leaves = " ".join(f"a{n}: grade" for n in range(1000))
    await refused(
        served, await run(served, "officer-a", f"{HEADER} {{ tax {{ grades {{ {leaves} }} }} }} }} }}"), before
    )
    await served.owner.execute("UPDATE access.client SET max_subjects_per_day = 2 WHERE client_id = 'officer-a'")
    ask = f"{HEADER} {{ tax {{ grades {{ grade }} }} {NOTICE} }} }} }}"
    reasons = []
    for person in (HEAD, HEAD, WIFE, HEAD, STRANGER):
        told = (await run(served, "officer-a", ask, person)).json()["data"]["borrowerProfile"]["withheld"]
        reasons.append(told[0]["reason"] if told else None)
    assert reasons == [None, None, "NO_BASIS", None, "QUOTA"]


async def test_attack_42_guessed_ids_and_other_villages(served: Served) -> None:
    """A guessed id, another bank's id and a person of another area are told alike: as nobody."""
    await give_basis(served, HEAD, ["identity/VALUE"])
    ask = f"{HEADER} {{ borrowerId identity {{ name }} {NOTICE} }} }} }}"
    known = (await run(served, "officer-a", ask)).json()["data"]["borrowerProfile"]["borrowerId"]
    assert known
    assert str(HEAD.person_id).replace("-", "") != known

    async def by_id(who: str, borrower: str) -> bytes:
        reply = await served.ask(who, ask, profile_input(HEAD, borrower={"borrowerId": borrower}))
        assert served.marks.found(reply.content) == set()
        return reply.content[: reply.content.index(b'"extensions"')]

    guesses = [uuid4().hex, HEAD.person_id.hex, "0" * 32, known[:-1] + ("0" if known[-1] != "0" else "1")]
    answers = {await by_id("officer-a", guess) for guess in guesses}
    answers |= {await by_id("officer-b", known)}
    far = await run(served, "officer-a", ask, FAR)
    nobody = await run(served, "officer-a", ask, STRANGER)
    answers |= {reply.content[: reply.content.index(b'"extensions"')] for reply in (far, nobody)}
    assert len(answers) == 1
    assert b"NO_BASIS" in answers.pop()


async def test_attack_43_error_texts_suggestions_introspection_and_tracing(served: Served) -> None:
    """Errors name neither values nor names of the schema that were not sent; introspection shows types only."""
    await give_basis(served, HEAD, ["identity/VALUE"])
    before = await recorded(served)
    for document in (
        f"{HEADER} {{ identiti {{ name }} }} }} }}",
        f"{HEADER} {{ identity {{ maskedIdNumbr }} }} }} }}",
        "query P($input: BorrowerProfileInpt!) { borrowerProfile(input: $input) { __typename } }",
    ):
        reply = await run(served, "officer-a", document)
        assert "did you mean" not in reply.text.lower()
        assert not {"identity {", "maskedIdNumber", "BorrowerProfileInput"} & set(reply.text.split('"'))
        await refused(served, reply, before)
    wrong = profile_input(HEAD)
    wrong["input"]["borrower"]["identity"]["surplus"] = HEAD.number
    reply = await served.ask("officer-a", f"{HEADER} {{ identity {{ name }} }} }} }}", wrong)
    await refused(served, reply, before)
    shown = await served.ask("officer-a", '{ __type(name: "IdentitySection") { fields { name } } }')
    assert "maskedIdNumber" in shown.text
    assert served.marks.found(shown.content) == set()
    reply = await run(served, "officer-a", f"{HEADER} {{ identity {{ name }} }} }} }}")
    assert not {"tracing", "debug", "trace", "sql", "stacktrace"} & set(reply.json()["extensions"])


def test_attack_44_a_denied_child_cannot_null_its_parents() -> None:
    """No classified field is non-null: what is withheld is null itself, and nothing above it."""
    for field_id in FIELDS:
        type_name, _, name = field_id.partition(".")
        kind = SCHEMA.type_map[type_name]
        assert isinstance(kind, GraphQLObjectType)
        declared = kind.fields[name].type
        held_in_item = (
            not any(place == type_name for place in ("BorrowerProfile", "OwnRecord")) and not FIELDS[field_id].place
        )
        # Inside an item of a list the list itself is null when its part is withheld, so its fields may be certain.
        assert held_in_item or not isinstance(declared, GraphQLNonNull), field_id


async def test_attack_45_the_notice_does_not_depend_on_a_value(served: Served) -> None:
    """Whether there is anything behind a denied field cannot be told from the reply, byte for byte."""
    await give_basis(served, HEAD, ["tax.grade/VALUE"])
    ask = f"{HEADER} {{ tax {{ arrears {{ amount }} hasArrears }} bank {{ ownLoans {{ balance }} }} {NOTICE} }} }} }}"

    async def bare() -> bytes:
        reply = await run(served, "risk-a", ask)
        return reply.content[: reply.content.index(b'"extensions"')]

    with_values = await bare()
    await served.owner.execute(
        "DELETE FROM record.section WHERE category <> 'tax.grade' AND person_id = $1", HEAD.person_id
    )
    assert await bare() == with_values
    assert with_values.count(b"CATEGORY_NOT_IN_BASIS") == 3


async def test_attack_46_a_known_document_with_other_variables(served: Served) -> None:
    """A document is decided on at every run: other people, purposes and askers get their own decision."""
    await give_basis(served, HEAD, ["tax.grade/VALUE"])
    ask = f"{HEADER} {{ tax {{ grades {{ grade }} }} {NOTICE} }} }} }}"
    seen = []
    for who, person, changes in (
        ("risk-a", HEAD, {}), ("risk-a", HEAD, {"purpose": "POST_LOAN_REVIEW"}), ("risk-a", WIFE, {}),
        ("risk-b", HEAD, {}), ("risk-a", HEAD, {"purpose": "CARD_APPLICATION"}), ("risk-a", HEAD, {}),
    ):  # fmt: skip
        reply = await served.ask(who, ask, profile_input(person, **changes))
        seen.append(bool(served.marks.found(reply.content)))
    assert seen == [True, False, False, False, False, True]
    digest = "ab" * 32
    before = await recorded(served)
    token = await served.token("risk-a")
    persisted = await served.http.post(
        "/graphql",
        json={"variables": profile_input(HEAD), "extensions": {"persistedQuery": {"version": 1, "sha256Hash": digest}}},
        headers={"authorization": f"Bearer {token}"},
    )
    await refused(served, persisted, before)


async def test_attack_47_changes_by_get_and_forms(served: Served) -> None:
    """A browser of somebody else can send neither: no cookie is a token, and only JSON by POST is read."""
    before = await recorded(served)
    token = await served.token("head")
    withdraw = 'mutation { withdrawConsent(input: { consentId: "1", idempotencyKey: "k" }) { __typename } }'
    bearer = {"authorization": f"Bearer {token}"} | INPUT
    get = await served.http.get("/graphql", params={"query": withdraw}, headers=bearer)
    assert get.status_code in (400, 405)
    assert "data" not in get.json()
    own = await served.http.get("/graphql", params={"query": "{ household { __typename } }"}, headers=bearer)
    assert own.status_code in (400, 405)
    for kind, content in (
        ("application/x-www-form-urlencoded", b"query=" + withdraw.encode()),
        ("text/plain", json.dumps({"query": withdraw}).encode()),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="operations"\r\n\r\n{}\r\n--x--',
        ),
    ):
        reply = await served.http.post("/graphql", content=content, headers=bearer | {"content-type": kind})
        assert reply.status_code in (400, 415), kind
    cookie = await served.http.post(
        "/graphql",
        json={"query": "{ household { __typename } }"},
        headers={"cookie": f"token={token}; session={token}"},
    )
    assert cookie.status_code == 401
    assert await recorded(served) == before
