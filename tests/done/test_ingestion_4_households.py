"""Households over time, from the feed of civil affairs to what a steward is shown: a record as of an earlier day has
the members, the place and the state of that day, as of an earlier instant what was held then.
"""

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest

from hub.core.errors import InputError
from hub.flows.receipts import receipt_desk
from hub.flows.stewards.show_household import StewardQuery, show_households
from hub.store.database import Database
from hub.store.keys import KeyService
from tests.connectors import civil_agency
from tests.connectors.civil_agency import NOW, element
from tests.done.agencies import citizen
from tests.done.samples import HubUnderTest

HEAD, WIFE, SON, BRIDE = citizen("19600101"), citizen("19620202", 442), citizen("19900303"), citizen("19920404", 442)
NEW_NUMBER = citizen("19620202", 444)
MOVED_TO = "533124101201"


class Feed:
    """Civil affairs with two households, and a hub that pulls it; every pull is a second later."""

    def __init__(self, agency: civil_agency.Agency, database: Database, keys: KeyService, home: Path) -> None:
        self.agency = agency
        seconds = count()
        self.hub = HubUnderTest(database, keys, home, lambda: NOW + timedelta(seconds=next(seconds)))
        self.settled: list[datetime] = []
        self.rows(
            "households", element("household"), element("household", hubh="H2", zh="07"),
            element("household", hubh="H9", xzqhdm=MOVED_TO, xzmc="陇把镇", cmc="吕良村"),
        )  # fmt: skip
        self.rows(
            "members", element("member", cybh="C1", xm="刀岩", sfzjhm=HEAD, yhzgx="01"),
            element("member", cybh="C2", xm="思月", sfzjhm=WIFE), element("member", cybh="C3", xm="岩温", sfzjhm=SON),
            element("member", cybh="C4", xm="玉香", sfzjhm=BRIDE, hubh="H2"),
        )  # fmt: skip

    def rows(self, feed: str, *rows: str) -> None:
        self.agency.rows[feed] += rows

    async def pull(self) -> None:
        report = await self.hub.pull(self.agency.source())
        civil = report["sources"]["civil"]
        assert (civil["status"], civil["quarantined"]) == ("OK", {})
        self.settled.append(self.hub.clock())

    async def event(self, kind: str, day: str = "2026-10-03", **texts: str) -> None:
        """One event, and a pull that brings it."""
        number = f"E{len(self.agency.rows['events'])}"
        blank = {"yhubh": "", "xhubh": "", "cy": ""}
        self.rows("events", element("event", sjbh=number, sjlx=kind, sjrq=day, **blank | texts))
        await self.pull()

    async def show(self, number: str, day: date | None = None, at: datetime | None = None) -> dict[str, Any]:
        async with receipt_desk(self.hub.database, self.hub.keys, self.hub.home) as receipts:
            query = StewardQuery("sandbox-steward", "H", "test", day, at)
            lines = await show_households(self.hub.database, self.hub.keys, receipts, query, [number], self.hub.clock)
        shown: dict[str, Any] = orjson.loads(lines[0])
        return shown


@pytest.fixture
async def feed(database: Database, keys: KeyService, tmp_path: Path) -> AsyncIterator[Feed]:
    (tmp_path / "civil").mkdir()
    async with civil_agency.serve(tmp_path / "civil") as agency:
        made = Feed(agency, database, keys, tmp_path)
        await made.pull()
        yield made


def told(shown: dict[str, Any]) -> tuple[str, list[str]] | None:
    """The household and its members."""
    if "error" in shown:
        return None
    return shown["household"]["household_no"], [member["member_no"] for member in shown["members"]]


async def check_then(feed: Feed, number: str, expected: tuple[str, list[str]] | None) -> None:
    """As of last year, and as of the first pull, the record is ``expected``, whatever the hub knows now."""
    assert told(await feed.show(number, date(2025, 10, 20))) == expected
    assert told(await feed.show(number, None, feed.settled[0])) == expected


FAMILY = ("H1", ["C1", "C2", "C3"])


async def test_a_split(feed: Feed) -> None:
    await feed.event("01", yhubh="H1", xhubh="H2", cy="<cybh>C3</cybh><yhzgx>01</yhzgx>")
    assert told(await feed.show(SON)) == ("H2", ["C3", "C4"])
    assert told(await feed.show(HEAD)) == ("H1", ["C1", "C2"])
    assert (await feed.show(HEAD))["household"]["successors"] == ["H2"]
    for number in (HEAD, SON):
        await check_then(feed, number, FAMILY)
    before = await feed.show(HEAD, date(2026, 10, 2))
    assert (told(before), before["household"]["successors"]) == (FAMILY, [])
    assert told(await feed.show(SON, date(2026, 10, 3))) == ("H2", ["C3", "C4"])


async def test_a_merge(feed: Feed) -> None:
    await feed.event("02", yhubh="H2", xhubh="H1", cy="<cybh>C4</cybh><yhzgx>29</yhzgx>")
    assert told(await feed.show(BRIDE)) == ("H1", ["C1", "C2", "C3", "C4"])
    await check_then(feed, BRIDE, ("H2", ["C4"]))
    then = await feed.show(BRIDE, date(2026, 10, 2))
    assert (then["household"]["status"], then["household"]["group_no"]) == ("ACTIVE", "07")


@pytest.mark.long
async def test_a_move_to_another_county(feed: Feed) -> None:
    await feed.event("03", yhubh="H1", xxzqhdm=MOVED_TO, xzh="02")
    moved, before = (await feed.show(HEAD))["household"], (await feed.show(HEAD, date(2026, 10, 2)))["household"]
    assert (moved["village_code"], moved["group_no"]) == (MOVED_TO, "02")
    assert (before["village_code"], before["group_no"]) == ("533103102203", "03")
    held = (await feed.show(HEAD, None, feed.settled[0]))["household"]
    assert held == before
    # The roster follows with a row that contains the move; where the household was before is still known.
    later = {"bbh": "2", "gxsj": "2026-10-19T02:00:00+08:00"}
    feed.rows("households", element("household", xzqhdm=MOVED_TO, xzmc="陇把镇", cmc="吕良村", zh="02", **later))
    await feed.pull()
    assert (await feed.show(HEAD, date(2026, 10, 2)))["household"] == before
    assert (await feed.show(HEAD, date(2026, 10, 3)))["household"] == moved
    await check_then(feed, HEAD, FAMILY)


async def test_a_marriage(feed: Feed) -> None:
    """Married-in women are often on two rosters; then one of them is corrected."""
    feed.rows("members", element("member", cybh="C5", xm="玉香", sfzjhm=BRIDE, yhzgx="29", rhrq="2026-09-30"))
    await feed.pull()
    both = await feed.show(BRIDE)
    assert told(both) == ("H1", ["C1", "C2", "C3", "C5"])
    assert both["conflicts"] == [{"type": "MEMBERSHIP_OVERLAP", "member_no": "C5", "source": None}]
    await check_then(feed, BRIDE, ("H2", ["C4"]))
    left = {"bbh": "2", "gxsj": "2026-10-19T02:00:00+08:00", "lhrq": "2026-09-30"}
    feed.rows("members", element("member", cybh="C4", xm="玉香", sfzjhm=BRIDE, hubh="H2", **left))
    await feed.pull()
    assert (await feed.show(BRIDE))["conflicts"] == []
    assert (await feed.show(BRIDE, None, feed.settled[1]))["conflicts"] == both["conflicts"]
    assert told(await feed.show(BRIDE, date(2026, 9, 29))) == ("H2", ["C4"])


async def test_a_death(feed: Feed) -> None:
    await feed.event("04", cy="<cybh>C1</cybh>")
    dead = (await feed.show(HEAD))["members"][0]
    assert (dead["status"], dead["deceased_on"]) == ("DECEASED", "2026-10-03")
    for then in (await feed.show(HEAD, date(2026, 10, 2)), await feed.show(HEAD, None, feed.settled[0])):
        assert (then["members"][0]["status"], then["members"][0]["deceased_on"]) == ("ACTIVE", None)
    await check_then(feed, HEAD, FAMILY)


@pytest.mark.long
async def test_who_left_and_came_back(feed: Feed) -> None:
    gone = {"bbh": "2", "gxsj": "2026-10-10T02:00:00+08:00", "lhrq": "2020-01-01"}
    back = {"bbh": "3", "gxsj": "2026-10-19T02:00:00+08:00", "rhrq": "2026-10-18"}
    feed.rows("members", element("member", cybh="C3", xm="岩温", sfzjhm=SON, **gone))
    await feed.pull()
    assert told(await feed.show(SON)) is None, "a person without a household is not found"
    assert told(await feed.show(SON, date(2019, 12, 31))) == FAMILY
    feed.rows("members", element("member", cybh="C3", xm="岩温", sfzjhm=SON, **back))
    await feed.pull()
    found = {day: told(await feed.show(SON, day)) for day in (date(2019, 12, 31), date(2025, 1, 1), date(2026, 10, 18))}
    assert list(found.values()) == [FAMILY, None, FAMILY]
    assert told(await feed.show(SON, None, feed.settled[1])) is None


@pytest.mark.long
async def test_a_corrected_number_and_a_revoked_event(feed: Feed) -> None:
    numbers = f"<cybh>C2</cybh><ysfzjhm>{WIFE}</ysfzjhm><xsfzjhm>{NEW_NUMBER}</xsfzjhm>"
    await feed.event("05", cy=numbers)
    for number in (WIFE, NEW_NUMBER):
        shown = await feed.show(number)
        assert shown["members"][1]["id_masked"][-4:] == NEW_NUMBER[-4:]
    # A number that the hub did not know then leads to the person all the same; the record has the number of that time.
    for number in (WIFE, NEW_NUMBER):
        shown = await feed.show(number, None, feed.settled[0])
        assert shown["members"][1]["id_masked"][-4:] == WIFE[-4:]
    feed.agency.rows["events"] = [
        element("event", sjbh="E0", sjlx="05", bbh="2", yhubh="", xhubh="", cy=numbers, cxbz="1")
    ]
    await feed.pull()
    assert told(await feed.show(NEW_NUMBER)) is None
    assert (await feed.show(WIFE))["members"][1]["id_masked"][-4:] == WIFE[-4:]
    assert told(await feed.show(NEW_NUMBER, None, feed.settled[1])) == FAMILY


async def test_a_day_to_come_is_refused_and_nothing_is_known_before_the_first_pull(feed: Feed) -> None:
    with pytest.raises(InputError):
        await feed.show(HEAD, date(2027, 1, 1))
    assert told(await feed.show(HEAD, None, NOW.replace(year=2020))) is None
