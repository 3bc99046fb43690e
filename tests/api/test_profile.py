"""A bank asks about a borrower: through token, schema, rules, record and audit log, nothing replaced."""

import json
from typing import Any

from hub.audit.proof import Receipt

from .world import (
    BANK_A,
    BANK_B,
    HEAD,
    HOUSEHOLD,
    NOBODY,
    STRANGER_NUMBER,
    TEXT_FIELDS,
    WIFE,
    Api,
    Person,
    borrower,
    canary,
)

EVERYTHING = """
query Everything($input: BorrowerProfileInput!) {
  borrowerProfile(input: $input) {
    __typename
    ... on UserError { code message }
    ... on InvalidInput { fields { path code message } }
    ... on BorrowerProfile {
      borrowerId asOf purpose completeness adultsNotShown
      household { completeness villageName size minors }
      identity { completeness name maskedIdNumber relation ageBand }
      otherAdults { borrowerId completeness name ageBand }
      tax {
        completeness hasArrears
        registrations { taxpayerName }
        grades { gradeYear grade provenance { source recordedAt sourceVersion } }
        arrears { arrearsNo amount } bands { taxPaidBand }
      }
      socialInsurance { completeness items { insuranceType } }
      clinicArrears { completeness bands { balanceBand } }
      relief { completeness inForce }
      bank {
        completeness ownLines { lineNo amount } ownLoans { contractNo }
        otherLines { lenders totalAmount } otherLoans { lenders totalBalance loans worstClass }
      }
      adverse { completeness items { kind } }
      conflicts { completeness items { type source } }
      withheld { field category form reason canAskConsent }
      absent { field reason }
    }
  }
}
"""


def profile_of(reply: Any) -> dict[str, Any]:
    body = reply.json()
    assert "errors" not in body, body
    profile: dict[str, Any] = body["data"]["borrowerProfile"]
    return profile


async def test_a_bank_sees_what_was_granted_with_a_receipt(api: Api) -> None:
    await api.basis(HEAD)
    reply = await api.ask(await api.system_token(), EVERYTHING, borrower(HEAD))
    profile = profile_of(reply)
    assert reply.status_code == 200
    assert profile["identity"]["name"] == canary(HEAD.person_id, "identity/VALUE", "name")
    assert profile["household"] == {
        "completeness": "COMPLETE", "villageName": canary(None, "roster/VALUE", "villageName"), "size": 4, "minors": 1,
    }  # fmt: skip
    assert profile["tax"]["grades"][0]["provenance"]["sourceVersion"] == "7"
    assert profile["tax"]["hasArrears"] is True
    assert profile["bank"]["otherLoans"] == {"lenders": 1, "totalBalance": "2000.25", "loans": 2, "worstClass": "3"}
    own = canary(HEAD.person_id, "bank.loan/VALUE", "contractNo", BANK_A)
    assert [loan["contractNo"] for loan in profile["bank"]["ownLoans"]] == [own]
    assert profile["withheld"] == []
    assert profile["bank"]["completeness"] == profile["completeness"] == "COMPLETE"
    assert profile["adultsNotShown"] == 1
    assert profile["otherAdults"] == []
    receipt = Receipt.parse(reply.json()["extensions"]["receipt"]["proof"])
    signer = api.hub.sequencer
    assert receipt.size >= receipt.index + 1
    assert signer.failure is None


async def test_another_banks_contracts_never_appear(api: Api) -> None:
    await api.basis(HEAD)
    await api.basis(HEAD, BANK_B)
    for client, own, other in (("risk-a", BANK_A, BANK_B), ("risk-b", BANK_B, BANK_A)):
        text = (await api.ask(await api.system_token(client), EVERYTHING, borrower(HEAD))).text
        assert canary(HEAD.person_id, "bank.loan/VALUE", "contractNo", own) in text
        assert canary(HEAD.person_id, "bank.loan/VALUE", "contractNo", other) not in text
        assert canary(HEAD.person_id, "bank.line/VALUE", "lineNo", other) not in text


async def test_two_banks_get_different_ids_for_one_person(api: Api) -> None:
    await api.basis(HEAD)
    await api.basis(HEAD, BANK_B)
    query = (
        "query($input: BorrowerProfileInput!)"
        "{borrowerProfile(input:$input){...on BorrowerProfile{borrowerId tax{hasArrears}}}}"
    )
    first = profile_of(await api.ask(await api.system_token("risk-a"), query, borrower(HEAD)))["borrowerId"]
    second = profile_of(await api.ask(await api.system_token("risk-b"), query, borrower(HEAD)))["borrowerId"]
    assert first
    assert second
    assert first != second
    by_id = {"input": {"borrower": {"borrowerId": first}, "purpose": "LOAN_APPLICATION", "officer": "li"}}
    assert profile_of(await api.ask(await api.system_token("risk-a"), query, by_id))["borrowerId"] == first
    foreign = profile_of(await api.ask(await api.system_token("risk-b"), query, by_id))
    assert foreign == {"borrowerId": None, "tax": {"hasArrears": None}}


async def test_unknown_denied_and_wrong_name_are_the_same_bytes(api: Api) -> None:
    """Done when, line 4: nobody learns whether a person exists."""
    token = await api.system_token()
    asked: list[dict[str, Any]] = [
        borrower(HEAD),
        borrower(Person(NOBODY, STRANGER_NUMBER, "岩罕")),
        borrower(Person(HEAD.person_id, HEAD.number, "李四")),
    ]
    before = await api.entries()
    replies = [await api.ask(token, EVERYTHING, variables) for variables in asked]
    await api.basis(HEAD, BANK_B)
    replies.append(await api.ask(token, EVERYTHING, borrower(HEAD)))
    assert await api.entries() == before + 4
    texts = {reply.content[: reply.content.index(b'"extensions"')] for reply in replies}
    assert len(texts) == 1
    assert len({len(reply.json()["extensions"]["receipt"]) for reply in replies}) == 1
    profile = profile_of(replies[0])
    assert profile["borrowerId"] is None
    assert profile["asOf"] is None
    assert profile["completeness"] == "PARTIAL"
    assert {entry["reason"] for entry in profile["withheld"]} == {"NO_BASIS"}
    assert "CANARY" not in "".join(reply.text for reply in replies)


async def test_every_part_has_a_denial(api: Api) -> None:
    """With a basis for all parts but one, exactly that one is withheld and its canary stays inside."""
    token = await api.system_token()
    for key in TEXT_FIELDS:
        if key in ("clinic.arrears/VALUE", "civil.relief/VALUE"):
            continue  # no field of a borrower's profile shows them in this form
        rest = [part for part in await _parts() if part != key]
        basis = await api.basis(HEAD, parts=rest)
        reply = await api.ask(token, EVERYTHING, borrower(HEAD))
        profile = profile_of(reply)
        await api.owner.execute("UPDATE consent.basis SET status = 'WITHDRAWN' WHERE basis_id = $1", basis)
        withheld = {f"{entry['category']}/{entry['form']}" for entry in profile["withheld"]}
        if key == "conflict/VALUE":
            assert key in withheld
            continue
        assert key in withheld, key
        assert profile["completeness"] == "PARTIAL"
        person = None if key in ("roster/VALUE",) else HEAD.person_id
        owner = BANK_A if key.startswith("bank.") else ""
        assert canary(person, key, TEXT_FIELDS[key], owner) not in reply.text


async def _parts() -> list[str]:
    from .world import ALL_PARTS

    return ALL_PARTS


async def test_only_what_is_asked_is_decided_and_recorded(api: Api) -> None:
    await api.basis(HEAD)
    query = """
    query Some($input: BorrowerProfileInput!, $no: Boolean!) {
      a: borrowerProfile(input: $input) {
        ... on BorrowerProfile {
          t: tax { g: grades { grade } arrears @include(if: $no) { amount } }
          bank @skip(if: true) { ownLoans { balance } }
          withheld { field }
        }
      }
    }
    """
    reply = await api.ask(await api.system_token(), query, borrower(HEAD) | {"no": False})
    assert set(reply.json()["data"]["a"]) == {"t", "withheld"}
    leaf = Receipt.parse(reply.json()["extensions"]["receipt"]["proof"]).leaf()
    assert leaf is not None
    sections = await api.owner.fetchval("SELECT count(*) FROM audit.pending")
    assert sections == 0


async def test_an_adult_who_agreed_too_is_shown_the_others_are_counted(api: Api) -> None:
    await api.basis(HEAD)
    await api.basis(WIFE)
    profile = profile_of(await api.ask(await api.system_token(), EVERYTHING, borrower(HEAD)))
    (other,) = profile["otherAdults"]
    assert other["name"] == canary(WIFE.person_id, "identity/VALUE", "name")
    assert profile["adultsNotShown"] == 0


async def test_bad_input_is_refused_before_anything_is_looked_up(api: Api) -> None:
    token = await api.system_token()
    before = await api.entries()
    wrong = [
        (borrower(Person(NOBODY, "533103198001010015", "岩罕")), "ID_NUMBER_INVALID"),
        (borrower(Person(NOBODY, HEAD.number, " ")), "NAME_MISSING"),
        (borrower(HEAD, officer=None), "OFFICER_MISSING"),
        (borrower(HEAD, officer="李 四"), "OFFICER_MALFORMED"),
        (borrower(HEAD, idempotencyKey="a b"), "KEY_MALFORMED"),
        (borrower(HEAD, borrower={"borrowerId": "7"}), "ID_MALFORMED"),
    ]
    for variables, code in wrong:
        reply = await api.ask(token, EVERYTHING, variables, **{"accept-language": "en"})
        problem = profile_of(reply)
        assert (problem["__typename"], [field["code"] for field in problem["fields"]]) == ("InvalidInput", [code])
        assert HEAD.number not in reply.text
    assert await api.entries() == before


async def test_nothing_asked_is_told_so(api: Api) -> None:
    query = "query($input: BorrowerProfileInput!){borrowerProfile(input:$input){...on InvalidInput{fields{code}}}}"
    problem = profile_of(await api.ask(await api.system_token(), query, borrower(HEAD)))
    assert problem["fields"] == [{"code": "NOTHING_ASKED"}]


async def test_a_withdrawn_basis_stops_the_very_next_query(api: Api) -> None:
    basis = await api.basis(HEAD)
    token = await api.system_token()
    assert profile_of(await api.ask(token, EVERYTHING, borrower(HEAD)))["borrowerId"]
    await api.owner.execute("UPDATE consent.basis SET status = 'WITHDRAWN' WHERE basis_id = $1", basis)
    after = await api.ask(token, EVERYTHING, borrower(HEAD))
    assert profile_of(after)["borrowerId"] is None
    assert "CANARY" not in after.text


async def test_a_resident_reads_his_own_record_and_no_one_elses(api: Api) -> None:
    query = """
    { household { ... on OwnRecord {
        completeness household { size } identity { name }
        clinicArrears { completeness bills { arrearsBalance } } relief { items { reliefType } }
        bank { loans { lender items { contractNo } } }
        withheld { field reason } absent { field reason }
    } ... on UserError { code } } }
    """
    reply = await api.ask(api.account_token("wife"), query)
    record = reply.json()["data"]["household"]
    assert record["identity"]["name"] == canary(WIFE.person_id, "identity/VALUE", "name")
    lenders = [entry["lender"] for entry in record["bank"]["loans"]]
    assert lenders == [BANK_A, BANK_B]
    for key, field in TEXT_FIELDS.items():
        assert canary(HEAD.person_id, key, field) not in reply.text
        assert canary(HEAD.person_id, key, field, BANK_A) not in reply.text
    assert json.loads(reply.text)["extensions"]["receipt"]["index"] >= 0


async def test_nobody_takes_a_household_that_could_not_be_folded_for_one_of_which_nothing_is_known(api: Api) -> None:
    await api.basis(HEAD)
    await api.owner.execute(
        """WITH gone AS (DELETE FROM record.section WHERE household_id = $1 RETURNING county)
           INSERT INTO record.unfolded_household
           SELECT DISTINCT county, $1::uuid, 'OverflowError at x.py:1', now(), now() FROM gone""",
        HOUSEHOLD,
    )
    profile = profile_of(await api.ask(await api.system_token(), EVERYTHING, borrower(HEAD)))
    assert profile["borrowerId"]
    assert profile["completeness"] == "PARTIAL"
    assert {notice["reason"] for notice in profile["absent"]} == {"UNAVAILABLE"}
    assert "tax.hasArrears" in {notice["field"] for notice in profile["absent"]}


async def test_who_has_no_record_gets_none(api: Api) -> None:
    query = "{ household { __typename ... on OwnRecord { identity { name } } } }"
    for token in (api.account_token("regulator"), await api.system_token()):
        reply = await api.ask(token, query)
        assert reply.json() == {"data": {"household": {"__typename": "NotAllowed"}}}


async def test_without_the_audit_log_nothing_is_answered(api: Api) -> None:
    """Done when, line 5."""
    await api.basis(HEAD)
    token = await api.system_token()
    await api.owner.execute("REVOKE ALL ON audit.pending FROM PUBLIC; ALTER TABLE audit.pending RENAME TO gone")
    reply = await api.ask(token, EVERYTHING, borrower(HEAD))
    await api.owner.execute("ALTER TABLE audit.gone RENAME TO pending")
    body = reply.json()
    assert body["data"] is None
    assert body["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert "CANARY" not in reply.text
    assert "extensions" not in body
