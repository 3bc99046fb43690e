"""The disclosure flow over the real database and the real audit log."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from hub.access.parts import PARTS, part_of
from hub.audit.receipts import Receipts
from hub.audit.sequencer import Sequencer
from hub.core.disclosure import (
    Asker,
    DisclosureRequest,
    Subject,
    SubjectByNumber,
    SubjectByPseudonym,
    SubjectSelf,
)
from hub.core.errors import AuditError, RefusedError, StoreError
from hub.core.fields import ELIGIBILITY
from hub.core.names import Purpose, WithheldReason
from hub.flows.disclosure.disclose import Discloser
from hub.store.database import DbRole

from .world import BANK_A, HEAD, STRANGER, WIFE, Person, World


def request(
    asker: str, subject: Subject, *, purpose: Purpose = Purpose.LOAN_APPLICATION, others: bool = False
) -> DisclosureRequest:
    return DisclosureRequest(
        Asker(asker, "t1", "officer Li"), purpose, subject, PARTS, "query { x }", {"n": 1, "f": 1.5}, others=others
    )


def by_number(person: Person) -> SubjectByNumber:
    return SubjectByNumber(person.number, person.name)


@asynccontextmanager
async def discloser(
    world: World, folder: Path, *, waiting_max: int = 1024, even_step: float = 0.001
) -> AsyncIterator[Discloser]:
    pool = await world.database.pool(DbRole.APP, size=4)
    sequencer = Sequencer(world.database, world.keys, folder / "guard")
    try:
        async with (
            sequencer.running(),
            Receipts(world.database, sequencer) as receipts,
            Discloser(pool, world.keys, receipts, waiting_max=waiting_max, even_step=even_step) as made,
        ):
            yield made
    finally:
        await pool.close()


async def test_an_answer_comes_with_its_receipt_under_the_askers_own_pseudonyms(world: World, tmp_path: Path) -> None:
    basis = await world.basis(HEAD)
    await world.basis(WIFE)
    async with discloser(world, tmp_path) as gate:
        answer, receipt = await gate.disclose(request("officer-a", by_number(HEAD), others=True))
    assert answer.subject == world.keys.pseudonym(BANK_A, HEAD.person_id)
    assert answer.other_adults == (world.keys.pseudonym(BANK_A, WIFE.person_id),)
    assert (answer.basis_id, answer.adults_not_shown) == (basis, 1)
    assert {section.adult for section in answer.sections} == {answer.subject, *answer.other_adults, None}
    assert str(HEAD.person_id) not in repr(answer)
    leaf = receipt.leaf()
    assert str(leaf.ev) == str(answer.event)


async def test_a_pseudonym_leads_back_to_the_person_and_means_nothing_to_another_bank(
    world: World, tmp_path: Path
) -> None:
    await world.basis(HEAD, uses=None)
    async with discloser(world, tmp_path) as gate:
        first, _ = await gate.disclose(request("officer-a", by_number(HEAD)))
        assert first.subject is not None
        again, _ = await gate.disclose(request("officer-a", SubjectByPseudonym(first.subject)))
        other, _ = await gate.disclose(request("officer-b", SubjectByPseudonym(first.subject)))
        rubbish, _ = await gate.disclose(request("officer-a", SubjectByPseudonym("no such thing")))
    assert again.sections == first.sections
    for nothing in (other, rubbish):
        assert (nothing.subject, nothing.sections, nothing.adults_not_shown) == (None, (), None)
        assert {held.reason for held in nothing.withheld} == {WithheldReason.NO_BASIS}


async def test_many_at_once_share_round_trips_and_each_gets_his_own(world: World, tmp_path: Path) -> None:
    await world.basis(HEAD, uses=None)
    subjects = [by_number((HEAD, STRANGER)[n % 2]) for n in range(40)]
    async with discloser(world, tmp_path) as gate:
        answers = await asyncio.gather(*(gate.disclose(request("officer-a", subject)) for subject in subjects))
    assert [bool(answer.sections) for answer, _ in answers] == [n % 2 == 0 for n in range(40)]
    assert len({receipt.index for _, receipt in answers}) == 40


async def test_an_answer_leaves_in_even_time_and_no_call_asks_twice_about_one_person(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a while after a denial an answer that shows something carries nothing of the time of denials beside it."""
    await world.basis(WIFE)
    calls: list[list[str]] = []
    call = Discloser._call

    async def counted(self: Discloser, batch: list[Any]) -> Any:
        calls.append([waiting.request.subject.name for waiting in batch])
        return await call(self, batch)

    monkeypatch.setattr(Discloser, "_call", counted)
    async with discloser(world, tmp_path, even_step=0.5) as gate:
        await gate.disclose(request("officer-a", by_number(HEAD)))
        beside = [asyncio.create_task(gate.disclose(request("officer-a", by_number(HEAD)))) for _ in range(5)]
        began = time.perf_counter()
        answer, _ = await gate.disclose(request("officer-a", by_number(WIFE)))
        assert answer.sections
        assert time.perf_counter() - began > 0.499
        await asyncio.gather(*beside)
    assert sorted(name for one in calls for name in one) == sorted([HEAD.name] * 6 + [WIFE.name])
    assert [one for one in calls if len(set(one)) < len(one)] == []


async def test_one_bad_request_does_not_take_the_others_along(world: World, tmp_path: Path) -> None:
    await world.basis(HEAD, uses=None)
    broken = DisclosureRequest(
        Asker("officer-a", "t1", "officer\x00Li"), Purpose.LOAN_APPLICATION, by_number(HEAD), PARTS, "q", {}
    )
    async with discloser(world, tmp_path) as gate:
        results = await asyncio.gather(
            gate.disclose(request("officer-a", by_number(HEAD))),
            gate.disclose(broken),
            gate.disclose(request("officer-a", by_number(HEAD))),
            return_exceptions=True,
        )
    assert isinstance(results[1], StoreError)
    assert all(isinstance(result, tuple) and result[0].sections for result in (results[0], results[2]))


async def test_a_full_queue_says_busy(world: World, tmp_path: Path) -> None:
    await world.basis(HEAD, uses=None)
    async with discloser(world, tmp_path, waiting_max=2) as gate:
        results = await asyncio.gather(
            *(gate.disclose(request("officer-a", by_number(HEAD))) for _ in range(30)), return_exceptions=True
        )
    refused = [result for result in results if isinstance(result, BaseException)]
    assert 0 < len(refused) < 30
    assert {getattr(error, "code", None) for error in refused} == {"BUSY"}


async def test_without_the_log_nothing_leaves(world: World, tmp_path: Path) -> None:
    await world.basis(HEAD, uses=None)
    await world.owner.execute("ALTER TABLE audit.pending ADD CONSTRAINT broken CHECK (organisation = 'nobody')")
    async with discloser(world, tmp_path) as gate:
        with pytest.raises(AuditError) as refused:
            await gate.disclose(request("officer-a", by_number(HEAD)))
    assert refused.value.code == "AUDIT_OUTBOX"
    assert HEAD.number not in str(refused.value)


async def test_without_a_receipt_nothing_leaves(world: World, tmp_path: Path) -> None:
    await world.basis(HEAD, uses=None)
    pool = await world.database.pool(DbRole.APP, size=2)
    try:
        async with (
            Receipts(world.database) as receipts,  # nobody leads the log
            Discloser(pool, world.keys, receipts, deadline=0.5, even_step=0.001) as gate,
        ):
            with pytest.raises(AuditError):
                await gate.disclose(request("officer-a", by_number(HEAD)))
    finally:
        await pool.close()


async def test_an_asker_who_may_not_ask_is_told_so_after_the_record(world: World, tmp_path: Path) -> None:
    await world.owner.execute("UPDATE access.client SET status = 'CLOSED'")
    async with discloser(world, tmp_path) as gate:
        with pytest.raises(RefusedError) as refused:
            await gate.disclose(request("officer-a", by_number(HEAD)))
    assert refused.value.code == "ASKER_SUSPENDED"
    assert await world.owner.fetchval("SELECT count(*) FROM audit.entry") == 1


async def test_a_resident_asks_about_himself(world: World, tmp_path: Path) -> None:
    async with discloser(world, tmp_path) as gate:
        own, _ = await gate.disclose(request("head", SubjectSelf(HEAD.person_id), purpose=Purpose.SELF_ACCESS))
        hers, _ = await gate.disclose(request("head", SubjectSelf(WIFE.person_id), purpose=Purpose.SELF_ACCESS))
    assert {section.part for section in own.sections} == set(PARTS) - {ELIGIBILITY}, (
        "an answer to a provider, no section"
    )
    assert own.withheld == ()
    assert hers.sections == ()


async def test_a_slow_withdrawal_makes_only_its_own_readers_wait(world: World, tmp_path: Path) -> None:
    basis = await world.basis(HEAD, uses=None)
    async with discloser(world, tmp_path) as gate, world.owner.transaction():
        await world.end_basis(basis)
        reading = asyncio.create_task(gate.disclose(request("officer-a", by_number(HEAD))))
        await asyncio.sleep(0.1)
        other, _ = await gate.disclose(request("officer-a", by_number(STRANGER)))
        assert other.sections == ()
        assert not reading.done()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading


async def test_what_the_log_keeps_can_be_opened_again_by_the_log_alone(world: World) -> None:
    await world.basis(HEAD)
    pool = await world.database.pool(DbRole.APP, size=2)
    try:
        async with (
            Receipts(world.database) as receipts,
            Discloser(pool, world.keys, receipts, deadline=1, even_step=0.001) as gate,
        ):
            with pytest.raises(AuditError):
                await gate.disclose(request("officer-a", by_number(HEAD)))
    finally:
        await pool.close()
    row: asyncpg.Record = await world.owner.fetchrow("SELECT ev, sealed FROM audit.pending")
    opened = world.keys.open("audit-transit", row["sealed"], row["ev"].bytes)
    assert b"query { x }" in opened


def test_part_keys_of_answers_are_parts() -> None:
    assert part_of("tax.grade/VALUE") in PARTS
