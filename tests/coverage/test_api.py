"""Coverage over the API: for officials within their area, exact numbers for stewards only, every reading recorded."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub.access.publish import publish
from hub.app import open_hub
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys
from tests.api.world import Api, settings_in
from tests.records.world import OTHER_VILLAGE, VILLAGE, World, household, insurance, member, number

COVERAGE = """query($area: String, $level: AreaLevel) { coverage(area: $area, level: $level) { __typename
  ... on CoverageReport { area level areas { area name households complete covered missing { name households } } }
  ... on InvalidInput { fields { path code } } ... on NotAllowed { code } } }"""
COUNTY, OTHER_COUNTY = VILLAGE[:6], OTHER_VILLAGE[:6]


class Served:
    """A served hub over eight households: seven in one village, one in another county."""

    def __init__(self, api: Api, world: World) -> None:
        self.api, self.world = api, world

    async def seed(self) -> None:
        people = [number("19800101", serial) for serial in range(1, 9)]
        homes = [household(f"H{n}") for n in range(1, 8)] + [household("H8", village=OTHER_VILLAGE)]
        members = [member(f"C{n}", f"H{n}", "岩一", person) for n, person in enumerate(people, start=1)]
        insured = [insurance(f"s{n}", person, "岩一", "2026-09") for n, person in enumerate(people[:4], start=1)]
        await self.world.pull(civil=[*homes, *members], social=insured)
        await self.world.connection.execute("UPDATE ingest.source_state SET last_ok_at = clock_timestamp()")
        for account, role, counties, villages in (
            ("steward", "STEWARD", [COUNTY, OTHER_COUNTY], []),
            ("regulator", "REGULATOR", [COUNTY, OTHER_COUNTY], []),
            ("township", "TOWNSHIP", [COUNTY], [VILLAGE[:9]]),
            ("collector", "COLLECTOR", [COUNTY], [VILLAGE]),
            ("nowhere", "COLLECTOR", [COUNTY], []),
            ("operator", "OPERATOR", [COUNTY], []),
        ):
            await self.api.owner.execute(
                "INSERT INTO auth.account (account_id, role, county_codes, village_codes) VALUES ($1, $2, $3, $4)",
                account, role, counties, villages,
            )  # fmt: skip

    async def ask(self, who: str, **variables: Any) -> Any:
        reply = await self.api.ask(self.api.account_token(who), COVERAGE, variables)
        assert "errors" not in reply.json(), reply.text
        return reply.json()["data"]["coverage"]


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    settings = settings_in(tmp_path / "home")
    keys = FileKeys(settings.keys_folder)
    owner, ingest = await database.connect(DbRole.OWNER), await database.connect(DbRole.INGEST)
    await publish(owner, keys)
    async with open_hub(settings, database) as hub:
        served = Served(Api(hub, owner, keys), World(ingest, keys))
        await served.seed()
        yield served
        await served.api.http.aclose()
    await owner.close()
    await ingest.close()


async def test_officials_read_their_area_and_only_stewards_exact_numbers(served: Served) -> None:
    entries = await served.api.entries()
    steward = await served.ask("steward")
    assert (steward["area"], steward["level"]) == ("5331", "COUNTY")
    assert [(a["area"], a["name"], a["households"], a["complete"]) for a in steward["areas"]] == [
        (COUNTY, "芒市", 7, 4), (OTHER_COUNTY, "陇川县", 1, 0),
    ]  # fmt: skip
    regulator = await served.ask("regulator")
    told = {a["area"]: (a["households"], a["complete"]) for a in regulator["areas"]}
    assert told.pop(OTHER_COUNTY, (0, 0)) in {(0, 0), (3, 0)}
    assert told in ({COUNTY: (6, 3)}, {COUNTY: (9, 6)}), "7 and 4, both rounded down or both up"
    assert regulator["areas"][0]["missing"] == [{"name": "social.insurance", "households": 3}]
    for who, area in (("township", VILLAGE[:9]), ("collector", VILLAGE)):
        own = await served.ask(who)
        assert [(a["area"], a["households"]) for a in own["areas"]] == [(COUNTY, *told[COUNTY][:1])]
        below = await served.ask(who, area=area, level="VILLAGE")
        assert [(a["area"], a["households"]) for a in below["areas"]] == [(VILLAGE, *told[COUNTY][:1])]
    assert await served.api.entries() == entries + 6


async def test_what_lies_outside_is_refused_and_nothing_told(served: Served) -> None:
    entries = await served.api.entries()
    refusals = [
        (await served.ask("township", area=OTHER_COUNTY), "OUT_OF_AREA"),
        (await served.ask("collector", area=VILLAGE[:9] + "204"), "OUT_OF_AREA"),
        (await served.ask("nowhere"), "OUT_OF_AREA"),
        (await served.ask("operator"), "NOT_ALLOWED"),
    ]
    for answer, code in refusals:
        assert answer == {"__typename": "NotAllowed", "code": code}
    for variables, path, code in (
        ({"area": "440103"}, ["area"], "AREA_UNKNOWN"),
        ({"area": VILLAGE, "level": "COUNTY"}, ["level"], "AREA_LEVEL"),
    ):
        answer = await served.ask("steward", **variables)
        assert (answer["fields"][0]["path"], answer["fields"][0]["code"]) == (path, code)
    assert await served.api.entries() == entries
