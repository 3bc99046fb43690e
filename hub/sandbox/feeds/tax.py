"""What the tax bureau's service knows: registrations, grades, arrears, bands (its interface, section 3)."""

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any

import orjson

from hub.core.clock import SHANGHAI, years_before
from hub.core.names import ConflictType, QuarantineReason
from hub.sandbox.feeds.dirt import DirtPlan, lose_characters, misspell
from hub.sandbox.numbers import ID_DAMAGES, break_trader_code, damage, draw_trader_code, dress
from hub.sandbox.people import Person
from hub.sandbox.population import Population
from hub.sandbox.story import Story
from hub.sandbox.truth import ExpectedConflict, Truth
from hub.sandbox.words import ethnic_code, word_lists

SOURCE = "tax"

_ANY_DIRT = {reason.name: 0.001 for reason in ID_DAMAGES} | {
    "TEXT_UNREADABLE": 0.0005,
    "USCC_CHECK_DIGIT": 0.002,
    "MINOR_SUBJECT": 0.0005,
    "ROW_UNREADABLE": 0.0005,
    "DUP_CONFLICT": 0.002,
    "UNKNOWN_CODE": 0.002,
    "BAD_DATE": 0.003,
    "DATE_INCONSISTENT": 0.002,
    "mz": 0.05,
    "dress": 0.02,
    "lower": 0.02,
    "older": 0.03,
    "tombstone": 0.01,
    "misspelt": 0.01,
}
_TYPE_DIRT = {
    "QS": {"ADVERSE_NOTICE_MISSING": 0.03, "ADVERSE_EXPIRED": 0.02, "BAD_AMOUNT": 0.01, "AMOUNT_INCONSISTENT": 0.01},
    "QJ": {"CONSENT_MISSING": 0.02, "sjnse": 0.1},
}
_DATE_FIELD = {"DJ": "djrq", "XY": "fbrq", "QS": "qsfsrq", "QJ": "ssqq"}
_CODE_FIELD = {"DJ": "nsrzt_dm", "XY": "xyjb", "QJ": "srqj_dm"}
_UNDATED = {"XY"}  # one date only: nothing to be inconsistent with

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TaxRecord:
    """One record ready to be sent. ``position`` is its place in a walk: ``changed`` moved by up to 150 seconds."""

    changed: datetime
    position: datetime
    visible: datetime
    json: bytes


@dataclass(slots=True)
class TaxFeed:
    """All records in the order of delivery; ``current`` are some clean ones that a later day may change."""

    records: list[TaxRecord] = field(default_factory=list)
    current: list[Record] = field(default_factory=list)

    def add(self, record: Record, changed: datetime, position: datetime, visible: datetime) -> None:
        """Add a record; the order is restored by :meth:`sort`."""
        self.records.append(TaxRecord(changed, position, visible, orjson.dumps(record)))

    def sort(self) -> None:
        """Put the records in the order of delivery. A walk under way keeps the list that it began with."""
        self.records = sorted(self.records, key=lambda record: record.position)


def stamp(instant: datetime) -> str:
    """Time of change as the bureau writes it: milliseconds and offset."""
    return instant.isoformat(timespec="milliseconds")


class TaxMaker:
    """Writes the records of sole traders, some natural persons and the co-operatives."""

    def __init__(
        self, population: Population, hidden: set[int], story: Story, rng: Random, now: datetime, truth: Truth
    ) -> None:
        self.feed = TaxFeed()
        self._population = population
        self._hidden = hidden
        self._story = story
        self._rng = rng
        self._now = now
        self._today = population.as_of
        self._truth = truth
        self._numbers = truth.of(SOURCE)
        self._any = DirtPlan(rng, _ANY_DIRT, every=3)
        self._by_type = {kind: DirtPlan(rng, rates, every=2) for kind, rates in _TYPE_DIRT.items()}
        self._conflicts: set[str] = set()
        self._serial = 0
        self._shops = word_lists()["shops"]
        self._minor = next(p for p in population.people if p.id_number and 5 < p.age(self._today) < 16)

    def make(self) -> TaxFeed:
        """All records, sorted as the bureau delivers them: only approximately by time of change."""
        self._story_records()
        for household in self._population.households:
            if household.story or not household.members or self._rng.random() >= 0.06:
                continue
            adults = [p for p in household.adults(self._today) if p.age(self._today) < 62 and not p.old_number]
            if adults:
                self._trader(self._rng.choice(adults))
        for _ in range(max(2, round(len(self._population.households) * 75 / 245208))):
            self._cooperative()
        self.feed.sort()
        return self.feed

    def _moment(self, not_before: date) -> datetime:
        """A time of change after a day, rather recent, in office hours."""
        first = datetime.combine(not_before, time(9), SHANGHAI)
        start = max(first, self._now - timedelta(days=200))
        span = max(1.0, (self._now - timedelta(hours=12) - start).total_seconds())
        moment = start + timedelta(seconds=self._rng.uniform(0, span))
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    def _send(self, record: Record, changed: datetime) -> None:
        shift = timedelta(seconds=self._rng.uniform(-150, 150))
        self.feed.add(record, changed, changed + shift, changed)

    def _base(self, person: Person | None, djxh: str, code: str) -> Record:
        name = person.name if person else None
        return {"djxh": djxh, "jyzxm": name, "jyzsfzjhm": person.number if person else None, "nsrsbh": code}

    def _registration(self, name: str, since: date) -> Record:
        return {"sjlx": "DJ", "ywbh": "0", "nsrmc": name, "nsrzt_dm": "03", "djrq": since.isoformat(), "zxrq": None}

    def _grades(self) -> list[Record]:
        last = self._today.year - 1 if self._today >= date(self._today.year, 5, 10) else self._today.year - 2
        return [
            {
                "sjlx": "XY",
                "ywbh": str(year),
                "pjnd": year,
                "xyjb": self._rng.choices("ABMCD", (15, 45, 30, 8, 2))[0],
                "fbrq": f"{year + 1}-04-30",
            }
            for year in (last - 1, last)
        ]

    def _bands(self) -> list[Record]:
        bands = []
        for back in range(1, 5):
            quarter = (self._today.year * 4 + (self._today.month - 1) // 3) - back
            year, part = divmod(quarter, 4)
            first = date(year, part * 3 + 1, 1)
            last = (first + timedelta(days=95)).replace(day=1) - timedelta(days=1)
            if last + timedelta(days=20) < self._today:
                bands.append(
                    {
                        "sjlx": "QJ",
                        "ywbh": f"{first:%Y%m%d}",
                        "ssqq": first.isoformat(),
                        "ssqz": last.isoformat(),
                        "nsqj_dm": self._rng.choice("00112"),
                        "srqj_dm": self._rng.choice("12223"),
                        "sqsbh": f"SQ{year}{self._serial:06d}",
                    }
                )
        return bands

    def _arrears(self, *, cleared: bool) -> Record:
        arose = self._today - timedelta(days=self._rng.randrange(200, 500))
        return {
            "sjlx": "QS",
            "ywbh": f"Q{self._serial}",
            "qsye": "0.00" if cleared else f"{self._rng.randrange(50, 9000)}.{self._rng.randrange(100):02d}",
            "qsfsrq": arose.isoformat(),
            "ggrq": (arose + timedelta(days=45)).isoformat(),
            "jqrq": (arose + timedelta(days=120)).isoformat() if cleared else None,
        }

    def _since(self, record: Record) -> date:
        """The first day on which a record can have been written: after every date in it."""
        days = [record[name] for name in ("djrq", "zxrq", "fbrq", "qsfsrq", "ggrq", "jqrq", "ssqz") if record.get(name)]
        return max(date.fromisoformat(day) for day in days) + timedelta(days=1)

    def _djxh(self, county: str) -> str:
        self._serial += 1
        return f"102{county}{self._serial:011d}"

    def _story_records(self) -> None:
        person = self._story.borrower
        base = self._base(person, self._djxh("533103"), draw_trader_code(self._rng, "533103"))
        records = [self._registration("岩团农产品经营部", date(2019, 3, 11)), *self._grades(), *self._bands()]
        for record in records:
            record |= {"xyjb": "B"} if record["sjlx"] == "XY" else {}
            changed = self._moment(self._since(record))
            self._send(base | record | {"ver": 1, "zfbz": "N", "gxsj": stamp(changed)}, changed)
            self._numbers.accepted += 1

    def _trader(self, person: Person) -> None:
        rng = self._rng
        county = person.household.village.county
        natural = rng.random() < 0.15
        djxh = self._djxh(county)
        base = self._base(person, djxh, person.number if natural else draw_trader_code(rng, county))
        opened = self._today - timedelta(days=rng.randrange(400, 5000))
        records = [self._registration(person.name[-2:] + rng.choice(self._shops), opened), *self._grades()]
        if rng.random() < 0.7:
            records += self._bands()
        if rng.random() < 0.12:
            records.append(self._arrears(cleared=rng.random() < 0.5))
        for record in records:
            self._put(person, base | record)

    def _cooperative(self) -> None:
        base = self._base(
            None, self._djxh("533103"), draw_trader_code(self._rng, "533103", self._rng.choice(("93", "N2")))
        )
        for record in (self._registration("种植农民专业合作社", date(2016, 5, 9)), *self._grades()):
            changed = self._moment(self._since(record))
            self._send(base | record | {"ver": 1, "zfbz": "N", "gxsj": stamp(changed)}, changed)
            self._numbers.accepted += 1

    def _put(self, person: Person, record: Record) -> None:
        changed = self._moment(self._since(record))
        record |= {"ver": self._rng.choice((1, 1, 1, 2, 4)), "zfbz": "N", "gxsj": stamp(changed)}
        special = self._by_type.get(record["sjlx"])
        dirt = (special.draw() if special else None) or self._any.draw(self._fitting(record))
        if dirt is None:
            self._numbers.accepted += 1
            if len(self.feed.current) < 500:
                self.feed.current.append(record)
        elif dirt.isupper():
            self._spoil(record, QuarantineReason[dirt], changed)
        else:
            self._numbers.accepted += 1
            self._vary(person, record, dirt, changed)
        self._send(record, changed)

    def _fitting(self, record: Record) -> tuple[str, ...]:
        kind = record["sjlx"]
        unfit = {"DATE_INCONSISTENT"} if kind in _UNDATED else set()
        if kind not in _CODE_FIELD:
            unfit.add("UNKNOWN_CODE")
        return tuple(name for name in _ANY_DIRT if name not in unfit)

    def _spoil(self, record: Record, reason: QuarantineReason, changed: datetime) -> None:
        rng = self._rng
        key = "|".join((record["djxh"], record["sjlx"], record["ywbh"]))
        version = str(record["ver"])
        match reason:
            case QuarantineReason.DUP_CONFLICT:
                self._send(record | {"nsrsbh": draw_trader_code(rng, "533103")}, changed)
                self._numbers.accepted += 1
            case QuarantineReason.ROW_UNREADABLE:
                del record["ver"]
                version = ""
            case QuarantineReason.TEXT_UNREADABLE:
                record["jyzxm"] = lose_characters(rng, record["jyzxm"])
            case QuarantineReason.MINOR_SUBJECT:
                record |= {"jyzxm": self._minor.name, "jyzsfzjhm": self._minor.number}
            case QuarantineReason.USCC_CHECK_DIGIT:
                record["nsrsbh"] = break_trader_code(draw_trader_code(rng, "533103"))
            case QuarantineReason.UNKNOWN_CODE:
                record[_CODE_FIELD[record["sjlx"]]] = "9"
            case QuarantineReason.BAD_DATE:
                record[_DATE_FIELD[record["sjlx"]]] = rng.choice(("2015-02-30", "", "20190311", "1900-01-00"))
            case _ if reason in ID_DAMAGES:
                record["jyzsfzjhm"] = damage(rng, record["jyzsfzjhm"], reason)
                if reason is QuarantineReason.ID_CHECK_DIGIT and record["sjlx"] == "XY":
                    record["xyjb"] = "E"
            case _:
                self._spoil_by_type(record, reason)
        self._truth.hold(SOURCE, key, version, reason)

    def _spoil_by_type(self, record: Record, reason: QuarantineReason) -> None:
        match reason, record["sjlx"]:
            case QuarantineReason.DATE_INCONSISTENT, "DJ":
                record |= {"nsrzt_dm": "07", "djrq": "2019-03-11", "zxrq": "2018-01-01"}
            case QuarantineReason.DATE_INCONSISTENT, "QS":
                record |= {"qsye": "0.00", "jqrq": years_before(date.fromisoformat(record["qsfsrq"]), 1).isoformat()}
            case QuarantineReason.DATE_INCONSISTENT, _:
                record["ssqz"] = years_before(date.fromisoformat(record["ssqq"]), 1).isoformat()
            case QuarantineReason.ADVERSE_NOTICE_MISSING, _:
                record["ggrq"] = self._rng.choice((None, ""))
            case QuarantineReason.ADVERSE_EXPIRED, _:
                ended = years_before(self._today, 6)
                arose = years_before(ended, 1)
                record |= {"qsye": "0.00", "jqrq": ended.isoformat(), "qsfsrq": arose.isoformat()}
                record["ggrq"] = (arose + timedelta(days=40)).isoformat()
            case QuarantineReason.BAD_AMOUNT, _:
                record |= {"qsye": self._rng.choice(("1,200.00", "120", "-5.00", "")), "jqrq": None}
            case QuarantineReason.AMOUNT_INCONSISTENT, _:
                record |= {"qsye": "88.00", "jqrq": record["ggrq"]}
            case _:
                record["sqsbh"] = self._rng.choice((None, ""))

    def _vary(self, person: Person, record: Record, dirt: str, changed: datetime) -> None:
        """Odd but right, or a forbidden field that must be dropped."""
        match dirt:
            case "mz":
                record["mz"] = ethnic_code(person.people)
                self._numbers.dropped_fields["mz"] += 1
            case "sjnse":
                record["sjnse"] = self._rng.randrange(10, 4000) / 10
                self._numbers.dropped_fields["sjnse"] += 1
            case "dress":
                record["jyzsfzjhm"] = dress(self._rng, record["jyzsfzjhm"])
            case "lower":
                record["nsrsbh"] = record["nsrsbh"].lower()
            case "older":
                earlier = changed - timedelta(seconds=self._rng.randrange(5, 200))
                old = record | {"ver": record["ver"], "gxsj": stamp(earlier), "nsrsbh": record["nsrsbh"].lower()}
                record["ver"] += 2
                self._send(old, earlier)
                self._numbers.superseded += 1
            case "tombstone":
                kept = {"djxh", "sjlx", "ywbh", "ver", "gxsj"}
                for name in record:
                    if name not in kept:
                        record[name] = None
                record["zfbz"] = "Y"
            case "misspelt" if person.relation != "12":
                record["jyzxm"] = misspell(person.name)
                if person.serial not in self._hidden and person.member_no not in self._conflicts:
                    self._conflicts.add(person.member_no)
                    self._truth.conflicts.append(ExpectedConflict(ConflictType.NAME_DIFFERS, person.member_no, SOURCE))
