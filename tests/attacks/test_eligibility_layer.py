"""Attacks 50 and 54: turning yes and no into values, and reading something out of "cannot say"."""

import dataclasses
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from hub.audit.outbox import PendingEntry, append
from hub.core.errors import RefusedError
from hub.core.identifiers import id_check_character
from hub.flows.disclosure import change_programmes
from hub.flows.disclosure.change_programmes import approve_programme, propose_programme, retire_programme
from hub.store.database import Database
from tests.api.world import HEAD, NOBODY, Person
from tests.benefits.world import NO_ADVERSE, NO_ARREARS, Benefits, leaf, programme, running_benefits


@pytest.fixture
async def benefits(database: Database, tmp_path: Path) -> AsyncIterator[Benefits]:
    async with running_benefits(database, tmp_path / "home") as benefits:
        yield benefits


def at_most(size: int) -> dict[str, Any]:
    return leaf("size-limit", "roster/VALUE", "size", "AT_MOST", size)


async def test_attack_50_bisection_by_versions_runs_into_review_and_budget(benefits: Benefits) -> None:
    """A household has 4 members. Whoever may move a threshold finds that out; nobody may."""
    # No caller chooses a threshold: there is no such argument.
    reply = await benefits.reply("size-limit", {"idNumber": HEAD.number, "name": HEAD.name}, threshold=4)
    assert reply.json()["errors"]

    await benefits.approve(programme("size-limit", at_most(6)))
    await benefits.consent(HEAD, "size-limit@1", ["roster/VALUE"])
    assert (await benefits.ask("size-limit"))["answer"] == "YES"
    # A version with another threshold, or another programme of the same provider, is not approved unnoticed.
    for other in (programme("size-limit", at_most(3)), programme("other-name", at_most(3))):
        with pytest.raises(RefusedError) as refused:
            await benefits.approve(other)
        assert refused.value.code == "OVERLAP"
        assert "size-limit@1 (roster/VALUE)" in refused.value.message
    assert (await benefits.ask("other-name"))["code"] == "PROGRAMME_UNKNOWN"
    # Even with overlaps accepted, three questions about one person are all there are in a year.
    answers, names = [], ["size-limit@1"]
    for size in (5, 3, 4):
        changed = dataclasses.replace(programme("size-limit", at_most(size)), reference=f"document {size}")
        version = await benefits.approve(changed, *names)
        names.append(version.name)
        await benefits.consent(HEAD, version.name, ["roster/VALUE"])  # he agrees to each of them
        answers.append(await benefits.ask("size-limit"))
    assert [one["answer"] for one in answers] == ["YES", "NO", None]
    assert [one["reason"] for one in answers[-1]["withheld"]] == ["QUOTA"]
    assert await benefits.api.owner.fetchval("SELECT count(*) FROM benefit.decision") == 3
    # Nor is one question asked twice while the record moves: the answer of the period stays.
    await benefits.set_section(NOBODY, "roster/VALUE", {"size": 9})
    assert (await benefits.ask("size-limit"))["withheld"][0]["reason"] == "QUOTA"
    # And a provider has so many versions approved in a year, and no more.
    await benefits.api.owner.execute("UPDATE benefit.budget SET per_provider = 4")
    with pytest.raises(RefusedError) as spent:
        await benefits.approve(programme("relief", leaf("in-relief", "civil.relief/YES_NO", "value", "EQUALS", True)))
    assert spent.value.code == "PROGRAMME_BUDGET"


async def test_a_programme_takes_two_people_and_never_changes(
    benefits: Benefits, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = benefits.api.owner
    recorded: list[PendingEntry] = []

    async def noted(conn: asyncpg.Connection, entry: PendingEntry) -> None:
        recorded.append(entry)
        await append(conn, entry)

    monkeypatch.setattr(change_programmes, "append", noted)
    mine = programme("mine", at_most(5))
    # Not in somebody else's name: the proposer's own key signs, and the log says who ran the command.
    for account, key in (("security-2", benefits.key), ("regulator", benefits.key), ("regulator", benefits.proposer)):
        with pytest.raises(RefusedError) as refused:
            await propose_programme(benefits.desk(), mine, account, key, production=True)
        assert refused.value.code == "APPROVER"
    assert await owner.fetchval("SELECT count(*) FROM benefit.programme") == 0
    made = await propose_programme(benefits.desk(), mine, "security-1", benefits.key, production=True)
    (entry,) = recorded
    assert (entry.event, entry.actor, entry.facts["account"]) == (
        "programme:operator:proposed", benefits.desk().actor, "security-1",
    )  # fmt: skip
    for account in ("security-1", "security-2", "regulator"):
        with pytest.raises(RefusedError) as refused:
            await approve_programme(benefits.desk(), "mine", made.version, account, benefits.key, production=True)
        assert refused.value.code == "APPROVER"
    assert (await benefits.ask("mine"))["code"] == "PROGRAMME_UNKNOWN"
    # Nor is a row that somebody put into the table without a signature of the one whom it names.
    await owner.execute(
        "ALTER TABLE benefit.programme DISABLE TRIGGER USER; UPDATE benefit.programme SET proposed_by = 'security-2';"
        " ALTER TABLE benefit.programme ENABLE TRIGGER USER"
    )
    with pytest.raises(RefusedError) as refused:
        await approve_programme(benefits.desk(), "mine", made.version, "security-1", benefits.key, production=True)
    assert refused.value.code == "APPROVER"
    approved = await benefits.approve(programme("ours", at_most(5)))
    for change in (
        "terms = replace(terms, '5', '3')", "accepted = '{x}'", "approved_at = now()", "ends_on = ends_on + 1",
        "proposed_by = 'x'", "signature = NULL", "proposed_signature = NULL, proposed_key = NULL",
    ):  # fmt: skip
        with pytest.raises(Exception, match=r"never changed|check constraint"):
            await owner.execute(f"UPDATE benefit.programme SET {change} WHERE programme_id = 'ours'")
    with pytest.raises(Exception, match="never changed"):
        await owner.execute("DELETE FROM benefit.programme")
    await retire_programme(benefits.desk(), "ours", approved.version)
    assert (await benefits.ask("ours"))["code"] == "PROGRAMME_UNKNOWN"


async def people(benefits: Benefits, number: int, chance: random.Random) -> list[tuple[Person, bool]]:
    """People of one household with consent, half of them with adverse items and arrears."""
    found = []
    for serial in range(number):
        first17 = f"53310319700101{serial:03d}"
        person = Person(uuid4(), first17 + id_check_character(first17), f"人{serial}")
        bad = chance.random() < 0.5
        await benefits.settle(person)
        if bad:
            await benefits.set_section(person.person_id, "adverse/VALUE", {"items": [{"kind": "bank.loan"}]})
            await benefits.set_section(person.person_id, "tax.arrears/YES_NO", {"value": True})
        found.append((person, bad))
    return found


async def test_attack_54_cannot_say_tells_nothing_of_a_person(benefits: Benefits) -> None:
    """With sources in order nobody is told it, with a source missing everybody is: whatever the record says."""
    await benefits.approve(programme("clean", {"all": [NO_ADVERSE, NO_ARREARS]}))
    chance = random.Random(54)
    cohort = await people(benefits, 12, chance)
    assert {bad for _, bad in cohort} == {True, False}
    for person, _ in cohort:
        await benefits.consent(person, "clean@1", ["adverse/VALUE", "tax.arrears/YES_NO"])

    async def answers() -> list[tuple[bool, str | None, str]]:
        return [(bad, *await told(person)) for person, bad in cohort]

    async def told(person: Person) -> tuple[str | None, str]:
        one = await benefits.ask("clean", person)
        return one["answer"], str(one["decisionId"])

    for kind in ("clinic-sftp", "bank-files", "tax-rest"):
        for trouble in ({"status": "FAILED"}, {"hours": 60 * 24}):
            await benefits.sources(kind, **trouble)  # type: ignore[arg-type]
            if kind == "bank-files" and "status" in trouble:
                assert {(answer, decision) for _, answer, decision in await answers()} == {("CANNOT_SAY", "None")}
            else:
                assert (await told(chance.choice(cohort)[0])) == ("CANNOT_SAY", "None")
        await benefits.sources()
    # A source that the programme does not read changes nothing.
    await benefits.sources("social-view", status="FAILED")
    found = await answers()
    assert {(bad, answer) for bad, answer, _ in found} == {(True, "NO"), (False, "YES")}
    # Worked out once, it stays while sources fail: nobody's answer turns into another.
    await benefits.sources("bank-files", status="FAILED")
    assert await answers() == found
