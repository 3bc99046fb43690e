"""Why a field was given or withheld: to the resident in plain words, to the auditor by rule; and the alarm."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from hub.access.compile import Need
from hub.access.explain import Outcome
from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.proof import Receipt
from hub.core.clock import system_clock
from hub.core.errors import InputError, RefusedError
from hub.core.ids import uuid7
from hub.core.names import Purpose
from hub.flows.receipts import receipt_desk
from hub.flows.rules import shadow as shadow_module
from hub.flows.rules.explain_decision import Explanation, explain_to_auditor
from hub.flows.rules.shadow import Shadow, acknowledge
from hub.portal.metrics import metrics_app
from hub.store.database import Database, DbRole

from .test_profile import EVERYTHING, profile_of
from .world import BANK_A, HEAD, STRANGER_NUMBER, WIFE, Api, Person, borrower

EXPLAIN = """
query($id: ID!) { explainAccess(accessId: $id) {
  __typename
  ... on UserError { code message }
  ... on AccessExplanation {
    id at purpose hadBasis basisStands followsRules
    parts { category form wasGiven reason meaning wouldBeGivenToday today } } } }
"""
EN = {"accept-language": "en"}


@pytest.fixture(autouse=True)
def _only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's own shadow stays out of the way of the test's."""
    monkeypatch.setattr(shadow_module, "SECONDS", 3600.0)


@pytest.fixture
async def shadow(api: Api) -> Shadow:
    receipts = api.hub.ports.consents.receipts
    return Shadow(api.hub.database, api.hub.ports.auditor, api.keys, receipts, share=1.0)


async def asked(api: Api, person: Person = HEAD, token: str | None = None) -> UUID:
    """One query of a bank; its event."""
    reply = await api.ask(token or await api.system_token(), EVERYTHING, borrower(person))
    profile_of(reply)
    return Receipt.parse(reply.json()["extensions"]["receipt"]["proof"]).leaf().ev


async def told(api: Api, account: str, event: UUID | str) -> dict[str, Any]:
    reply = await api.ask(api.account_token(account), EXPLAIN, {"id": str(event)}, **EN)
    answer: dict[str, Any] = reply.json()["data"]["explainAccess"]
    return answer


async def explained(api: Api, tmp_path: Path, event: UUID, *fields: str) -> Explanation:
    async with receipt_desk(api.hub.database, api.keys, tmp_path / "home") as receipts:
        return await explain_to_auditor(
            api.hub.database, api.keys, receipts,
            account="auditor", reason="yearly audit", event=event, fields=fields, clock=system_clock,
        )  # fmt: skip


async def test_a_resident_learns_in_plain_words_why_an_access_showed_what_it_did(api: Api) -> None:
    basis = await api.basis(HEAD, parts=["tax.grade/VALUE", "identity/VALUE"])
    event = await asked(api)
    answer = await told(api, "head", event)
    assert (answer["__typename"], answer["id"], answer["purpose"]) == (
        "AccessExplanation",
        str(event),
        "LOAN_APPLICATION",
    )
    assert (answer["hadBasis"], answer["basisStands"], answer["followsRules"]) == (True, True, True)
    parts = {f"{part['category']}/{part['form']}": part for part in answer["parts"]}
    grade, loans = parts["tax.grade/VALUE"], parts["bank.loan/TOTAL"]
    assert (grade["wasGiven"], grade["reason"], grade["wouldBeGivenToday"]) == (True, None, True)
    assert (loans["wasGiven"], loans["reason"]) == (False, "CATEGORY_NOT_IN_BASIS")
    assert "does not cover it" in loans["meaning"]
    assert "lender" not in str(answer), "rules are named to auditors only"
    await api.owner.execute("UPDATE consent.basis SET status = 'WITHDRAWN' WHERE basis_id = $1", basis)
    later = await told(api, "head", event)
    assert later["basisStands"] is False
    assert {part["wouldBeGivenToday"] for part in later["parts"]} == {False}
    assert later["followsRules"] is True, "what was right then stays right"


async def test_an_explanation_is_the_own_and_is_recorded(api: Api) -> None:
    await api.basis(HEAD)
    event = await asked(api)
    before = await api.entries()
    assert (await told(api, "wife", event))["__typename"] == "NotFound"
    assert (await told(api, "head", "7"))["__typename"] == "InvalidInput"
    assert await api.entries() == before + 1, "that the wife asked is in her own list"
    assert (await told(api, "regulator", event))["__typename"] == "NotAllowed"
    history = "{ accessHistory(first: 10) { ... on AccessConnection { edges { node { event } } } } }"
    reply = await api.ask(api.account_token("wife"), history)
    events = [edge["node"]["event"] for edge in reply.json()["data"]["accessHistory"]["edges"]]
    assert events[:2] == ["history:resident:queried", "decision:resident:explained"]


async def test_an_auditor_learns_which_rule_withheld_a_field_then_and_now(api: Api, tmp_path: Path) -> None:
    basis = await api.basis(HEAD, parts=["tax.grade/VALUE"])
    event = await asked(api)
    (grade,) = (await explained(api, tmp_path, event, "tax.grade/VALUE")).parts
    assert (grade.outcome, grade.follows) == (Outcome.GIVEN, True)
    assert grade.then is not None
    assert (grade.then.allowed, grade.then.rule_ids) == (True, ("lender-tax-grade",))
    whole = await explained(api, tmp_path, event)
    assert whole.follows
    found = {part.part: part for part in whole.parts}
    band = found["tax.band/BAND"]
    assert (band.outcome, band.told) == (Outcome.WITHHELD, "CATEGORY_NOT_IN_BASIS")
    assert band.then is not None
    assert (band.then.rule_ids, band.then.missing) == (("basis-lender",), frozenset({Need.BASIS}))
    await api.owner.execute("UPDATE consent.basis SET status = 'WITHDRAWN' WHERE basis_id = $1", basis)
    (grade,) = (await explained(api, tmp_path, event, "TaxGrade.grade")).parts
    assert grade.then is not None
    assert grade.now is not None
    assert grade.then.allowed
    assert (grade.now.allowed, grade.now.rule_ids) == (False, ("basis-lender", "heightened-notice")[:1])
    with pytest.raises(InputError, match="no field"):
        await explained(api, tmp_path, event, "tax.secret")


async def test_a_denial_about_nobody_and_a_used_up_consent_are_explained_by_their_cause(
    api: Api, tmp_path: Path
) -> None:
    nobody = await explained(api, tmp_path, await asked(api, Person(HEAD.person_id, STRANGER_NUMBER, "岩罕")))
    assert (nobody.cause, nobody.follows) == ("UNKNOWN", True)
    without = await explained(api, tmp_path, await asked(api, WIFE))
    assert (without.cause, without.follows, without.has_basis) == ("NO_BASIS", True, False)
    assert {part.told for part in without.parts} == {"NO_BASIS"}
    basis = await api.basis(HEAD)
    await api.owner.execute("UPDATE consent.basis SET max_uses = 1 WHERE basis_id = $1", basis)
    await api.owner.execute("INSERT INTO consent.quota (basis_id, max_uses) VALUES ($1, 1)", basis)
    await asked(api)
    used_up = await explained(api, tmp_path, await asked(api))
    assert (used_up.cause, used_up.has_basis, used_up.follows) == ("USED_UP", True, True)
    assert all(part.then is not None and part.then.allowed for part in used_up.parts if part.told == "QUOTA")


async def test_what_is_no_decision_cannot_be_explained(api: Api, tmp_path: Path) -> None:
    await api.ask(api.account_token("head"), "{ accessHistory(first: 1) { __typename } }")
    entry = await api.owner.fetchval("SELECT ev FROM audit.entry ORDER BY seq DESC LIMIT 1")
    with pytest.raises(RefusedError) as refused:
        await explained(api, tmp_path, entry)
    assert refused.value.code == "NOT_A_DECISION"


async def test_the_gate_and_cedar_agree_on_all_that_was_asked(api: Api, shadow: Shadow) -> None:
    await api.basis(HEAD, parts=["tax.grade/VALUE", "roster/VALUE"])
    for person in (HEAD, WIFE, Person(HEAD.person_id, STRANGER_NUMBER, "岩罕")):
        await asked(api, person)
    await api.ask(api.account_token("wife"), "{ household { ... on OwnRecord { identity { name } } } }")
    assert await shadow.look() == []
    row = await api.owner.fetchrow("SELECT * FROM access.shadow")
    assert (row["checked"], row["differed"]) == (4, 0)
    await api.hub.readiness.problems()
    assert api.hub.readiness.warnings == ()


async def test_a_table_that_was_tampered_with_raises_the_alarm_until_somebody_looks_into_it(
    api: Api, shadow: Shadow, database: Database
) -> None:
    """The decision that should be closed is opened in the table behind the gate's back."""
    await api.owner.execute(
        "UPDATE access.decision SET needs_basis = false, needs_heightened_notice = false"
        " WHERE role = 'BANK_RISK' AND purpose = 'LOAN_APPLICATION' AND part = 'tax.band/BAND'"
    )
    await asked(api, WIFE)
    (difference,) = await shadow.look()
    assert difference.parts == ("tax.band/BAND",)
    assert await shadow.look() == [], "each decision is judged once"
    async with api.hub.ports.auditor.acquire() as auditor:
        rows = await auditor.fetch("SELECT convert_from(entry, 'UTF8') AS entry FROM audit.entry")
    waiting = await api.owner.fetchval("SELECT count(*) FROM audit.pending WHERE event = 'rules:hub:differed'")
    assert waiting + sum('"rules:hub:differed"' in row["entry"] for row in rows) == 1
    api.hub.readiness._until = 0.0
    assert await api.hub.readiness.problems() == ()
    assert api.hub.readiness.warnings == ("DECISIONS_DIFFER",)
    assert (await api.http.get("/readyz")).json()["warnings"] == ["DECISIONS_DIFFER"]
    metrics = metrics_app(api.hub.ports.auditor, api.hub.readiness.problems)
    text = await _metrics_text(metrics)
    assert "hub_decisions_differ 1.0" in text
    record = await database.connect(DbRole.INGEST)
    try:
        assert await acknowledge(record, api.hub.ports.consents.receipts, "operator", "table restored") == 1
    finally:
        await record.close()
    api.hub.readiness._until = 0.0
    await api.hub.readiness.problems()
    assert api.hub.readiness.warnings == ()


async def test_an_entry_with_strange_words_differs_and_a_shadow_that_cannot_look_is_told(
    api: Api, shadow: Shadow, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = uuid7()
    strange = {"asOf": "2026-10-20T09:00:00.123+08:00", "asked": [["tax.grade", "VALUE"]], "role": "ASTRONAUT"}
    digest = await api.owner.fetchval("SELECT encode(digest, 'hex') FROM access.policy_set WHERE retired_at IS NULL")
    await append(
        api.owner,
        PendingEntry(
            event, Kind.QUERY, "profile:client:queried", BANK_A, "li", Decision.ALLOW, digest, strange,
            Purpose.LOAN_APPLICATION.value, subjects=(HEAD.person_id,),
        ),
    )  # fmt: skip
    await api.hub.ports.consents.receipts.wait(event, 10)
    (difference,) = await shadow.look()
    assert difference.parts == ()
    # What nobody foresaw does not end it: it goes on trying, and is missed meanwhile.
    monkeypatch.setattr(shadow_module, "SECONDS", 0.01)
    monkeypatch.setattr(shadow_module, "STALLED_SECONDS", 0.2)
    api.hub.readiness._shadow = shadow
    async with shadow.running():
        with monkeypatch.context() as patched:
            patched.setattr(shadow._chance, "sample", lambda *_: 1 / 0)
            await asked(api)
            await asyncio.sleep(0.3)
            assert await _warned(api) == ("DECISIONS_DIFFER", "SHADOW_STALLED")
        async with asyncio.timeout(5):
            while await _warned(api) != ("DECISIONS_DIFFER",):
                await asyncio.sleep(0.02)
    assert await api.owner.fetchval("SELECT checked FROM access.shadow") == 2


async def _warned(api: Api) -> tuple[str, ...]:
    api.hub.readiness._until = 0.0
    await api.hub.readiness.problems()
    return api.hub.readiness.warnings


async def _metrics_text(app: Any) -> str:
    import httpx

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://metrics") as client:
        return (await client.get("/metrics")).text
