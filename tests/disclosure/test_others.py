"""Other adults of the household: asked for or left alone, each by his own consent, and never more than who they are."""

import asyncio
import json
from typing import Any
from uuid import UUID

import pytest

from hub.audit.events import check_event

from .world import BANK_B, HEAD, NOBODY, SON, WIFE, Reply, World, canary

IDENTITY = "identity/VALUE"


async def persons(world: World, reply: Reply) -> dict[str, dict[str, Any]]:
    """What the record says of each person; checked against the closed list of events."""
    pending = await world.pending(reply.ev)
    facts = json.loads(pending["facts"])
    check_event(pending["event"], pending["kind"], facts, [str(subject) for subject in pending["subjects"]])
    found: dict[str, dict[str, Any]] = facts["persons"]
    named_first = sorted(found, key=lambda person: (not found[person]["named"], UUID(person)))
    assert [str(subject) for subject in pending["subjects"]] == named_first
    return found


async def test_an_operation_that_does_not_ask_for_others_leaves_them_alone(world: World) -> None:
    await world.basis(HEAD)
    hers = await world.basis(WIFE)
    reply = await world.ask("officer-a", HEAD)
    assert (reply.others, reply.not_shown) == ([], 2)
    assert {person for person, *_ in reply.sections} == {HEAD.person_id, NOBODY}
    assert set(await persons(world, reply)) == {str(HEAD.person_id)}
    assert await world.uses(hers) == 0


async def test_others_who_are_not_asked_for_are_not_waited_for(world: World) -> None:
    await world.basis(HEAD)
    hers = await world.basis(WIFE)
    async with world.owner.transaction():
        await world.end_basis(hers)
        assert (await asyncio.wait_for(world.ask("officer-a", HEAD), 2)).person == HEAD.person_id
        waiting = asyncio.create_task(world.ask("officer-a", HEAD, others=True))
        await asyncio.sleep(0.2)
        assert not waiting.done()
    assert (await waiting).others == []


async def test_of_another_adult_nothing_but_the_identity_is_read_and_recorded(world: World) -> None:
    await world.basis(HEAD)
    hers = await world.basis(WIFE)
    reply = await world.ask("officer-a", HEAD, others=True)
    assert (reply.others, reply.not_shown) == ([WIFE.person_id], 1)
    assert [part for person, part, *_ in reply.sections if person == WIFE.person_id] == [IDENTITY]
    assert canary(WIFE.person_id, "tax.grade/VALUE") not in reply.text
    recorded = await persons(world, reply)
    assert recorded[str(WIFE.person_id)]["basis"] == str(hers)
    (left,) = recorded[str(WIFE.person_id)]["sections"]
    assert left[:3] == ["identity", "VALUE", ""]
    assert await world.uses(hers) == 1


async def test_a_consent_without_the_identity_shows_nobody_and_costs_nothing(world: World) -> None:
    await world.basis(HEAD)
    hers = await world.basis(WIFE, parts=["tax.grade/VALUE", "roster/VALUE"])
    reply = await world.ask("officer-a", HEAD, others=True)
    assert (reply.others, reply.not_shown) == ([], 2)
    assert set(await persons(world, reply)) == {str(HEAD.person_id)}
    assert await world.uses(hers) == 0


async def test_each_adult_grants_for_himself(world: World) -> None:
    await world.basis(HEAD, parts=[IDENTITY, "roster/VALUE"])
    await world.basis(WIFE, BANK_B)
    await world.basis(SON, purpose="POST_LOAN_REVIEW")
    assert (await world.ask("officer-a", HEAD, others=True)).others == []
    await world.basis(SON, parts=[IDENTITY])
    reply = await world.ask("officer-a", HEAD, others=True)
    assert (reply.others, reply.not_shown) == ([SON.person_id], 1)


async def test_where_the_household_may_not_be_seen_the_others_are_not_counted(world: World) -> None:
    await world.basis(HEAD, parts=[IDENTITY])
    await world.basis(WIFE)
    reply = await world.ask("officer-a", HEAD, others=True)
    assert (reply.others, reply.not_shown) == ([WIFE.person_id], None)


async def test_what_is_withheld_of_the_operation_is_shown_of_nobody(world: World) -> None:
    await world.basis(HEAD, parts=["tax.grade/VALUE"])
    hers = await world.basis(WIFE)
    reply = await world.ask("officer-a", HEAD, others=True, parts=["tax.grade/VALUE"])
    assert (reply.withheld, reply.parts) == ({IDENTITY: "CATEGORY_NOT_IN_BASIS"}, {"tax.grade/VALUE"})
    assert reply.others == []
    assert await world.uses(hers) == 0


async def test_asking_for_others_does_not_read_the_identity_of_the_person_named(world: World) -> None:
    mine = await world.basis(HEAD)
    await world.basis(WIFE)
    wire = world.wire("officer-a", HEAD, others=True) | {"parts": []}
    reply = Reply((await world.disclose(wire))[0], UUID(wire["ev"]))
    assert [(person, part) for person, part, *_ in reply.sections] == [(WIFE.person_id, IDENTITY)]
    assert (reply.withheld, reply.absent) == ({}, {})
    recorded = await persons(world, reply)
    assert recorded[str(HEAD.person_id)]["sections"] == []
    pending = await world.pending(reply.ev)
    assert (pending["decision"], json.loads(pending["facts"])["asked"]) == ("allow", [["identity", "VALUE"]])
    assert await world.uses(mine) == 1


async def test_a_refused_operation_touches_nobody_else(world: World) -> None:
    hers = await world.basis(WIFE)
    wire = world.wire("officer-a", HEAD, others=True) | {"parts": []}
    reply = Reply((await world.disclose(wire))[0], UUID(wire["ev"]))
    assert reply.all_withheld("NO_BASIS")
    assert set(reply.withheld) == {IDENTITY}
    assert await world.uses(hers) == 0


async def test_a_used_up_consent_hides_that_adult_alone(world: World) -> None:
    await world.basis(HEAD)
    await world.basis(WIFE, uses=1)
    assert (await world.ask("officer-a", HEAD, others=True)).others == [WIFE.person_id]
    later = await world.ask("officer-a", HEAD, others=True)
    assert (later.others, later.not_shown, later.person) == ([], 2, HEAD.person_id)


async def test_a_retry_burns_one_use_of_every_adult(world: World) -> None:
    mine, hers = await world.basis(HEAD, uses=1), await world.basis(WIFE, uses=1)
    for _ in range(3):
        assert (await world.ask("officer-a", HEAD, others=True, key="loan-17")).others == [WIFE.person_id]
    assert [await world.uses(mine), await world.uses(hers)] == [1, 1]


async def test_one_call_uses_up_consents_in_the_order_of_its_requests(world: World) -> None:
    mine, hers = await world.basis(HEAD, uses=2), await world.basis(WIFE, uses=2)
    rows = await world.disclose(
        world.wire("officer-a", HEAD, others=True),
        world.wire("officer-a", WIFE, others=True),
        world.wire("officer-a", HEAD, others=True),
        world.wire("risk-a", WIFE),
    )
    found = [(row["section_bodies"] is not None, list(row["other_adults"])) for row in rows]
    assert found == [(True, [WIFE.person_id]), (True, [HEAD.person_id]), (False, []), (False, [])]
    assert [await world.uses(mine), await world.uses(hers)] == [2, 2]


@pytest.mark.parametrize("others", [True, False])
async def test_a_resident_sees_nobody_else_even_if_he_asks(world: World, others: bool) -> None:
    hers = await world.basis(WIFE, "", purpose="SELF_ACCESS")
    reply = await world.ask("head", purpose="SELF_ACCESS", person_id=HEAD.person_id, others=others)
    assert (reply.others, reply.not_shown) == ([], 2)
    assert WIFE.person_id not in {person for person, *_ in reply.sections}
    assert await world.uses(hers) == 0
