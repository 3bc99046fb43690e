"""Relief rows, and the dirty households, relief rows and events that stand beside the clean roster.

The dirty households exist only on paper, so that the damage never changes what is expected of real families.
"""

from datetime import datetime, timedelta
from random import Random

from hub.core.clock import iso
from hub.core.names import QuarantineReason
from hub.sandbox.feeds.civil import (
    HOUSEHOLD_FIELDS,
    MEMBER_FIELDS,
    RELIEF_FIELDS,
    SOURCE,
    CivilFeed,
    CivilRow,
    element,
    event_xml,
)
from hub.sandbox.feeds.dirt import DirtPlan
from hub.sandbox.life import EventMember, Life, LifeEvent
from hub.sandbox.numbers import damage
from hub.sandbox.people import Household
from hub.sandbox.population import Population
from hub.sandbox.story import Story
from hub.sandbox.truth import Truth

_RELIEF_DIRT = {
    "FORBIDDEN_RECORD": 0.01,
    "UNKNOWN_CODE": 0.003,
    "BAD_DATE": 0.005,
    "DATE_INCONSISTENT": 0.003,
    "BAD_AMOUNT": 0.004,
    "tombstone": 0.005,
    "older": 0.01,
    "ended": 0.05,
}


class ReliefMaker:
    """Adds relief and extra rows to the bureau's feed."""

    def __init__(
        self, feed: CivilFeed, population: Population, life: Life, story: Story, rng: Random, truth: Truth
    ) -> None:
        self._feed = feed
        self._population = population
        self._life = life
        self._story = story
        self._rng = rng
        self._truth = truth
        self._numbers = truth.of(SOURCE)
        self._plan = DirtPlan(rng, _RELIEF_DIRT, every=3)
        self._serial = 0

    def make(self) -> None:
        """All of it."""
        story = self._story.household
        self._put(self._values(story, "01", 5, "420.5"))
        self._numbers.accepted += 1
        for household in self._population.households:
            if not household.story and not household.cancelled and household.members:
                self._maybe_relief(household)
        for i in range(max(1, len(self._population.households) // 4000)):
            self._put_paper_household(i)
            self._put_stray_rows(i)
            self._put_dirty_events(i)

    def _values(self, household: Household, kind: str, persons: int, amount: str) -> dict[str, str | None]:
        self._serial += 1
        return {
            "jzbh": f"J5331{self._serial:06d}",
            "bbh": str(self._rng.randrange(2, 5)),
            "gxsj": iso(self._life.refreshed),
            "hubh": household.number,
            "jzlx": kind,
            "ksrq": f"{self._population.as_of.year - 1}-{self._rng.randrange(1, 7):02d}-01",
            "jsrq": None,
            "bzrs": str(persons),
            "yjzje": amount,
        }

    def _put(self, values: dict[str, str | None], tag: str = "relief", fields: tuple[str, ...] = RELIEF_FIELDS) -> None:
        changed = datetime.fromisoformat(values["gxsj"] or "")
        rows = {"relief": self._feed.relief, "household": self._feed.households, "member": self._feed.members}[tag]
        rows.append(CivilRow(values[fields[0]] or "", changed, changed, element(tag, fields, values)))

    def _maybe_relief(self, household: Household) -> None:
        rng = self._rng
        chance = rng.random()
        size = len(household.members)
        if chance < 0.05:
            kind, persons, amount = "01", rng.randrange(1, size + 1), rng.choice(("420.5", "380", "455.00", "1260.00"))
        elif chance < 0.055 and size == 1:
            kind, persons, amount = "02", 1, "1105.00"
        elif chance < 0.065:
            kind, persons, amount = "05", 1, "90"
        elif chance < 0.07:
            kind, persons, amount = "03", size, "2000"
        else:
            return
        values = self._values(household, kind, persons, amount)
        match self._plan.draw():
            case None:
                self._numbers.accepted += 1
            case "ended":
                values["jsrq"] = f"{self._population.as_of.year - 1}-12-31"
                self._numbers.accepted += 1
            case "tombstone":
                values |= {"scbz": "1", "ksrq": None, "yjzje": None}
                self._numbers.accepted += 1
            case "older":
                self._put(values | {"bbh": "1", "yjzje": "300", "gxsj": iso(self._life.refreshed - timedelta(days=31))})
                self._numbers.superseded += 1
                self._numbers.accepted += 1
            case kind:
                self._spoil(values, QuarantineReason[kind])
        self._put(values)

    def _spoil(self, values: dict[str, str | None], reason: QuarantineReason) -> None:
        match reason:
            case QuarantineReason.FORBIDDEN_RECORD:
                values |= {"jzlx": "04", "yjzje": "1200"}
            case QuarantineReason.UNKNOWN_CODE:
                values["jzlx"] = "09"
            case QuarantineReason.BAD_DATE:
                values["ksrq"] = self._rng.choice(("2024-02-30", "", "20240101"))
            case QuarantineReason.DATE_INCONSISTENT:
                values["jsrq"] = "2011-01-01"
            case _:
                values["yjzje"] = self._rng.choice(("-420", "四百", "2450000"))
        self._truth.hold(SOURCE, f"relief|{values['jzbh']}", values["bbh"] or "", reason)

    def _put_paper_household(self, i: int) -> None:
        """Two households with unknown codes, a member of one of them who refers to nothing held, and a deleted one."""
        village = self._population.villages[i % len(self._population.villages)]
        gone: dict[str, str | None] = {"gxsj": iso(self._life.refreshed), "bbh": "1"}
        base = gone | {"xzqhdm": village.code, "xzmc": village.township, "cmc": village.name, "hzt": "1"}
        for letter, name, value in (("A", "hzt", "3"), ("B", "xzqhdm", "530302" + village.code[6:])):
            number = f"H{village.county}9{letter}{i:04d}"
            self._put(base | {"hubh": number, name: value}, "household", HOUSEHOLD_FIELDS)
            self._truth.hold(SOURCE, f"household|{number}", "1", QuarantineReason.UNKNOWN_CODE)
        child: dict[str, str | None] = {
            "cybh": f"C8{i:06d}",
            "hubh": number,
            "xm": "某某",
            "csrq": f"{self._population.as_of.year - 8}-01-05",
            "yhzgx": "20",
            "rhrq": f"{self._population.as_of.year - 8}-01-05",
        }
        self._put(gone | child, "member", MEMBER_FIELDS)
        self._truth.hold(SOURCE, f"member|C8{i:06d}", "1", QuarantineReason.REF_MISSING)
        number = f"H{village.county}9C{i:04d}"
        self._put(gone | {"hubh": number, "scbz": "1"}, "household", HOUSEHOLD_FIELDS)
        self._numbers.accepted += 1

    def _put_stray_rows(self, i: int) -> None:
        """Relief for nobody, a row without version, and two names under one number."""
        relief = self._values(self._story.household, "01", 1, "200")
        self._put(relief | {"hubh": f"H5331039D{i:04d}"})
        self._truth.hold(SOURCE, f"relief|{relief['jzbh']}", relief["bbh"] or "", QuarantineReason.REF_MISSING)
        unversioned = self._values(self._story.household, "01", 1, "200")
        self._put(unversioned | {"bbh": None})
        self._truth.hold(
            SOURCE, f"relief|{unversioned['jzbh']}", "", QuarantineReason.ROW_UNREADABLE, "the version is missing"
        )
        owner = next(
            p
            for p in self._population.people[i * 40 :]
            if p.relation == "02" and not p.household.story and p.serial not in self._life.members and not p.old_number
        )
        double: dict[str, str | None] = {
            "cybh": f"C95{i:05d}",
            "bbh": "1",
            "gxsj": iso(self._life.refreshed),
            "hubh": owner.household.number,
            "xm": "冒" + owner.name[1:] + "二",
            "sfzjhm": owner.id_number,
            "yhzgx": "99",
            "rhrq": "2016-05-01",
        }
        self._put(double, "member", MEMBER_FIELDS)
        self._truth.hold(SOURCE, f"member|C95{i:05d}", "1", QuarantineReason.DUP_CONFLICT, "one number, two names")

    def _put_dirty_events(self, i: int) -> None:
        registered = self._life.refreshed - timedelta(days=9 + i % 5)
        head = next(h for h in self._population.households if h.members).head
        right = head.number
        wrong = damage(self._rng, right, QuarantineReason.ID_CHECK_DIGIT) or ""
        cases = (
            (QuarantineReason.BAD_DATE, "04", EventMember(head.member_no), "2026-02-30"),
            (QuarantineReason.UNKNOWN_CODE, "07", EventMember(head.member_no), None),
            (QuarantineReason.REF_MISSING, "04", EventMember(f"C7{i:06d}"), None),
            (QuarantineReason.ID_CHECK_DIGIT, "05", EventMember(head.member_no, "", right, wrong), None),
        )
        for reason, kind, member, sjrq in cases:
            number = f"E{registered.year}D{i:03d}{reason.value:02d}"
            event = LifeEvent(number, kind, registered, registered.date(), members=(member,))
            xml = event_xml(event, 1, revoked=False, sjrq=sjrq)
            self._feed.events.append(CivilRow(number, registered, registered, xml))
            self._truth.hold(SOURCE, f"event|{number}", "1", reason)
