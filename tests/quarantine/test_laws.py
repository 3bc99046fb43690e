"""Whatever comes in and whatever stewards do, in any order: every row has one outcome, and a re-run changes nothing."""

import random
from typing import Any

import pytest

from hub.core.errors import HubError
from hub.core.rows import CheckedRow
from hub.flows.stewards.discard_quarantined import discard_row
from hub.flows.stewards.readmit_quarantined import release_row, repair_row
from tests.done.agencies import MINOR_BORN, citizen
from tests.quarantine.deliveries import ACT, Hub, tax

_VARIANTS: list[dict[str, Any]] = [
    {}, {"xyjb": "C"}, {"xyjb": "E"}, {"xyjb": "F", "fbrq": "2026-02-30"}, {"jyzsfzjhm": "533103198503124418"},
    {"jyzxm": "岩\ufffd"}, {"jyzsfzjhm": citizen(MINOR_BORN)}, {"zfbz": "Y"}, {"ywbh": None},
]  # fmt: skip
_CORRECTIONS: list[dict[str, Any]] = [
    {"xyjb": "B"}, {"xyjb": "A", "fbrq": "2026-02-28"}, {"jyzsfzjhm": "533103198503124417"}, {"jyzxm": "岩保"},
    {"xyjb": "E"},
]  # fmt: skip


async def _act(hub: Hub, chance: random.Random) -> bool:
    """One act of a steward on any entry, open or not; whether it was done."""
    last = await hub.connection.fetchval("SELECT coalesce(max(number), 0) FROM ingest.quarantine")
    number = chance.randint(1, max(1, last))
    try:
        match chance.choice(("repair", "repair", "release", "discard")):
            case "repair":
                return not (await repair_row(hub.desk, ACT, number, chance.choice(_CORRECTIONS)))[0].repeated
            case "release":
                return not (await release_row(hub.desk, ACT, number))[0].repeated
            case _:
                return not (await discard_row(hub.desk, ACT, number))[0].repeated
    except HubError:
        return False


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
async def test_acts_and_deliveries_in_any_order_keep_the_laws(hub: Hub, seed: int) -> None:
    chance = random.Random(seed)
    delivered: list[CheckedRow] = []
    done = 0
    for _ in range(6):
        rows = [
            tax("XY", chance.randint(1, 3), **{"ver": chance.randint(1, 2)} | chance.choice(_VARIANTS))
            for _ in range(chance.randint(1, 3))
        ]
        await hub.pull("tax", *rows)
        delivered += rows
        for _ in range(3):
            done += await _act(hub, chance)
        await hub.add_up()
        current, waiting = await hub.current(), await hub.open()
        again = await hub.pull("tax", *delivered)
        assert again["fetched"] == again["unchanged"] == len(delivered)
        assert (again["quarantined"], again["accepted"], again["superseded"]) == ({}, 0, 0)
        assert (again["withdrawn"], again["released"]) == (0, 0)
        assert (await hub.current(), await hub.open()) == (current, waiting)
    assert done == await hub.connection.fetchval("SELECT count(*) FROM ingest.quarantine_act")
    assert done > 2
    closed = await hub.connection.fetch("SELECT sealed_row FROM ingest.quarantine WHERE status = 'CLEARED'")
    assert all(record["sealed_row"] is None for record in closed)
