"""A household that cannot be folded stops no other, shows nothing outdated, and comes back once it can be folded."""

import re
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from hub.cli.doctor import check_folds
from hub.core.errors import SettingsError
from hub.records.folding import sections
from hub.records.folding.sections import due_households, refresh_sections
from tests.records.world import World, grade, household, member, number

DAO, SI = number("19850312"), number("19700101", 302)


async def _put_aside(world: World) -> list[str]:
    records = await world.connection.fetch("SELECT error FROM record.unfolded_household")
    return [record["error"] for record in records]


async def test_a_household_that_cannot_be_folded_stops_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    roster = [household(no) for no in ("H1", "H2", "H3")]
    await world.pull(
        civil=[*roster, member("C1", "H1", "刀岩保", DAO), member("C2", "H2", "思月", SI)], tax=[grade("t|XY|1", DAO)]
    )
    before = await world.sections("H1", DAO)
    assert "tax.grade/VALUE" in before
    fold, sections_of = sections.fold, sections.sections_of

    def overflowing(seen: Any, *more: Any) -> Any:
        if seen.household.household_no == "H1":
            raise OverflowError(f"date value out of range for {DAO}")
        return fold(seen, *more)

    def refused_by_the_database(record: Any, *more: Any) -> Any:
        made = sections_of(record, *more)
        return [replace(s, body="\0") for s in made] if record.household.household_no == "H1" else made

    causes = [("fold", overflowing, r"OverflowError at sections\.py:\d+")]
    causes += [("sections_of", refused_by_the_database, r"CharacterNotInRepertoireError at sections\.py:\d+")]
    for version, (name, broken, told) in enumerate(causes, start=2):
        monkeypatch.setattr(sections, name, broken)
        with capture_logs() as logs:
            await world.pull(tax=[grade("t|XY|1", DAO, version=version), grade(f"t|XY|{version}", SI, "思月")])
            assert len((await world.sections("H2", SI))["tax.grade/VALUE"]["items"]) == 2 * version - 3
            assert (await world.sections("H1"), await world.sections("H1", DAO)) == ({}, {}), "nothing outdated"
            await world.pull(tax=[grade(f"u|XY|{version}", SI, "思月")])
        (error,) = await _put_aside(world)
        assert re.fullmatch(told, error)
        assert [log["code"] for log in logs] == ["FOLD_FAILED"] * 2, "tried again by each run"
        assert logs[-1]["error"] == error
        assert DAO not in str(logs)
        finding = await check_folds(world.connection)
        assert not finding.good
        assert finding.message.startswith(f"1 household cannot be folded ({error})")
        assert await world.connection.fetchval("SELECT count(*) FROM record.stale_household") == 0
        assert await due_households(world.connection, world.now) == 0
        monkeypatch.undo()
        await world.pull()
        assert await _put_aside(world) == []
        assert (await check_folds(world.connection)).good
        assert set(await world.sections("H1", DAO)) == set(before)
    assert "civil.relief/YES_NO" in await world.sections("H1")


async def test_what_concerns_every_household_puts_none_aside(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.pull(civil=[household("H1"), member("C1", "H1", "刀岩保", DAO)])
    before = await world.sections("H1", DAO)

    def keyless(*_: object) -> None:
        raise SettingsError("the key is gone.")

    monkeypatch.setattr(sections, "fold", keyless)
    with pytest.raises(SettingsError):
        await world.pull(tax=[grade("t|XY|1", DAO)])
    assert (await world.sections("H1", DAO), await _put_aside(world)) == (before, [])
    monkeypatch.undo()
    await refresh_sections(world.connection, world.keys, world.now)
    assert "tax.grade/VALUE" in await world.sections("H1", DAO)
