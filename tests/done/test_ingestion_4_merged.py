"""Two people turn out to be one: accounts, consents, ids given to banks and the list of accesses follow him, and part
from him again when the police take the correction back.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from hub.core.rows import RowKind
from hub.store.database import Database
from tests.done.past_answers import CORRECTED, PEOPLE, PastAnswers, past_answers
from tests.done.queries import CONSENTS, HISTORY, OWN_RECORD, PROFILE
from tests.done.served import Person, profile_input
from tests.records import world as rows

FORMER = replace(PEOPLE[1], account="former")
PRESENT = replace(CORRECTED[1], account="present")
"""The same woman, known in one household under the number that the police corrected, in another under the new one."""


async def known_as_two(past: PastAnswers) -> None:
    """The woman stands on the roster twice, as two people; each has an account and has agreed to something."""
    married = rows.member("C9", "H4", PRESENT.name, PRESENT.number, joined_on="2001-01-01")
    fact = rows.grade("u1|XY|2024", PRESENT.number, PRESENT.name, letter="A")
    await past.world.pull(civil=[married], tax=[fact])
    # A person has one account in a role; the one that everybody of the world has is not hers here.
    former = await past.world.person_id(FORMER.number)
    await past.served.owner.execute("UPDATE auth.account SET status = 'CLOSED' WHERE person_id = $1", former)
    await past.served.owner.executemany(
        "INSERT INTO auth.account (account_id, role, person_id, county_codes) VALUES ($1, 'RESIDENT', $2, '{533103}')",
        [(who.account, await past.world.person_id(who.number)) for who in (FORMER, PRESENT)],
    )
    await past.served.grant(PRESENT, "risk-a")
    await past.served.grant(FORMER, "risk-b")


async def profile(past: PastAnswers, client: str, **borrower: Any) -> dict[str, Any]:
    """What a bank gets of her, by an id it was given or by number and name."""
    reply = await past.served.ask(client, PROFILE, profile_input(PRESENT, **borrower))
    found: dict[str, Any] = reply.json()["data"]["borrowerProfile"]
    return found


async def own(past: PastAnswers, person: Person) -> dict[str, Any]:
    data: dict[str, Any] = (await past.served.ask(person.account, OWN_RECORD)).json()["data"]["household"]
    return data


async def history(past: PastAnswers, person: Person) -> list[dict[str, Any]]:
    reply = await past.served.ask(person.account, HISTORY, {"first": 100})
    page = reply.json()["data"]["accessHistory"]
    assert page["total"] == len(page["edges"])
    nodes = [edge["node"] for edge in page["edges"]]
    assert [node["number"] for node in nodes] == list(range(page["total"], 0, -1))
    assert all(node["isIntact"] for node in nodes)
    return nodes


def letters(record: dict[str, Any]) -> set[str]:
    return {grade["grade"] for grade in record["tax"]["grades"] or ()}


async def test_who_was_known_as_two_is_one_and_can_be_two_again(database: Database, tmp_path: Path) -> None:
    async with past_answers(database, tmp_path / "home", seed=9) as past:
        await known_as_two(past)
        first = await profile(past, "risk-a")
        known = {"borrower": {"borrowerId": first["borrowerId"]}}
        other = profile_input(FORMER)["input"]["borrower"]
        former_id = (await profile(past, "risk-b", borrower=other))["borrowerId"]
        assert letters(first) == {"A"}
        before = [len(await history(past, who)) for who in (FORMER, PRESENT)]
        theirs = {"borrower": {"borrowerId": former_id}}
        kept = [await answer(past, "risk-a", known), await answer(past, "risk-b", theirs)]

        numbers = {"old_id_number": FORMER.number, "new_id_number": PRESENT.number}
        await past.world.pull(civil=[rows.event("E77", "05", "2026-10-19", {"member_no": "C1", **numbers})])

        merged = await own(past, FORMER)
        assert merged == await own(past, PRESENT) | {"asOf": merged["asOf"]}
        assert letters(merged) == {"A", first_letter(past)}
        # Either bank finds her by the id it was given, and by either number; each by the consent that it was given.
        for client, borrower in (("risk-a", known), ("risk-b", theirs)):
            found = await profile(past, client, **borrower)
            assert letters(found) == letters(merged), client
            by_old = await profile(past, client, borrower=other)
            assert by_old["borrowerId"] == found["borrowerId"], client
        books = [(await past.served.ask(who.account, CONSENTS)).json()["data"]["consents"] for who in (FORMER, PRESENT)]
        assert books[0] == books[1]
        # Each was asked under as often as it allows.
        assert [consent["state"] for consent in books[0]["consents"]] == ["USED_UP", "USED_UP"]
        listed = await history(past, FORMER)
        assert len(listed) > sum(before)
        assert {node["organisationId"] for node in listed} >= {"402739000011", "402739000022"}

        await past.world.pull(civil=[rows.tombstone("event|E77", RowKind.EVENT, 2)])
        assert letters(await own(past, PRESENT)) == {"A"}
        assert letters(await own(past, FORMER)) == {first_letter(past)}
        assert (await profile(past, "risk-a", borrower=other))["borrowerId"] is None
        # What each of them agreed to is hers alone again; it can be taken back by her and nobody else.
        for who in (FORMER, PRESENT):
            book = (await past.served.ask(who.account, CONSENTS)).json()["data"]["consents"]["consents"]
            assert len(book) == 1
            await past.served.withdraw(who, book[0]["id"])
        for each in kept:
            assert await past.replay(each) == each.data


async def answer(past: PastAnswers, client: str, borrower: dict[str, Any]) -> Any:
    await past.keep(client, PROFILE, profile_input(PRESENT, **borrower), "bank")
    return past.kept[-1]


def first_letter(past: PastAnswers) -> str:
    return past.letters[1]
