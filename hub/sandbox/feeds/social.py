"""What the social security bureau's view holds: one row per person and insurance type (its interface, section 2).

Rows are kept as lines of COPY text, so that a whole prefecture fits into memory.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from hub.core.names import ConflictType, QuarantineReason
from hub.sandbox.feeds.dirt import DirtPlan, lose_characters, misspell
from hub.sandbox.numbers import ID_DAMAGES, damage, draw_trader_code, dress, has_short_form, mojibake, short_form
from hub.sandbox.people import Person
from hub.sandbox.population import Population
from hub.sandbox.story import Story
from hub.sandbox.truth import ExpectedConflict, Truth
from hub.sandbox.words import ethnic_code

SOURCE = "social"

COLUMNS = (
    "aac001",
    "aac002",
    "aac003",
    "aac005",
    "aae140",
    "aac031",
    "aac030",
    "aae201",
    "bae701",
    "aae002",
    "aab003",
    "aae180",
    "aka120",
    "aae100",
    "aae036",
)
"""Columns of the table behind the view, in the order of the lines."""

_DIRT = {reason.name: 0.0002 for reason in ID_DAMAGES} | {
    "TEXT_UNREADABLE": 0.0005,
    "UNKNOWN_CODE": 0.0002,
    "BAD_DATE": 0.0005,
    "BAD_AMOUNT": 0.0002,
    "mojibake": 0.004,
    "tombstone": 0.002,
    "short": 0.004,
    "dress": 0.003,
    "misspelt": 0.004,
}

Row = dict[str, str | None]


@dataclass(slots=True)
class SocialFeed:
    """Lines to copy into the table, codes of local employers, and some clean rows that a later day may change."""

    lines: list[bytes] = field(default_factory=list)
    employers: list[str] = field(default_factory=list)
    current: list[Row] = field(default_factory=list)


def copy_line(row: Row) -> bytes:
    r"""One line of PostgreSQL's COPY text format; ``\N`` is null."""
    return ("\t".join(r"\N" if row.get(c) is None else str(row[c]) for c in COLUMNS) + "\n").encode()


class SocialMaker:
    """Writes the rows of the view."""

    def __init__(
        self, population: Population, hidden: set[int], story: Story, rng: Random, now: datetime, truth: Truth
    ) -> None:
        self.feed = SocialFeed(employers=[draw_trader_code(rng, "533103", "91") for _ in range(12)])
        self._population = population
        self._hidden = hidden
        self._story = story
        self._rng = rng
        self._now = now
        self._truth = truth
        self._numbers = truth.of(SOURCE)
        self._plan = DirtPlan(rng, _DIRT)
        self._conflicts: set[tuple[ConflictType, str]] = set()
        month = (now.replace(day=1) - timedelta(days=1)).date()
        self._latest = f"{month:%Y%m}"
        base = now.replace(hour=2, minute=0, second=0, microsecond=0)
        # A monthly batch writes thousands of rows within one second: ties of the version are normal.
        self._batches = [base - timedelta(days=d, seconds=-s) for d in (0, 1, 2, 31) for s in (0, 1, 7)]
        self._monthly = self._batches[-3:]

    def make(self) -> SocialFeed:
        """All rows."""
        for person in self._population.people:
            if person.id_number is None:
                continue
            for kind in self._insurances(person):
                self._put(person, kind)
        return self.feed

    def _insurances(self, person: Person) -> tuple[str, ...]:
        rng = self._rng
        age = person.age(self._population.as_of)
        if person.household.story:
            return ("170", "390") if age >= 18 else ()
        if age < 18:
            return ("390",) if rng.random() < 0.3 else ()
        if age < 60 and rng.random() < 0.12:
            return rng.choice((("110", "310"), ("110", "310", "210"), ("110", "310", "410")))
        pension = ("170",) if rng.random() < 0.88 else ()
        return (*pension, "390") if rng.random() < 0.96 else pension

    def _row(self, person: Person, kind: str) -> Row:
        rng = self._rng
        age = person.age(self._population.as_of)
        years = min(14, max(1, age - 17))
        employed = kind in {"110", "210", "310", "410"}
        owing = 0 if person.household.story or rng.random() < 0.9 else rng.randrange(1, 12)
        state = "3" if kind == "170" and age >= 60 else ("2" if owing > 6 else "1")
        number = person.number
        if person.old_number and rng.random() < 0.5:
            number = person.old_number
        return {
            "aac001": f"5331{person.serial:010d}",
            "aac002": number,
            "aac003": person.name,
            "aac005": ethnic_code(person.people),
            "aae140": kind,
            "aac031": state,
            "aac030": f"{self._now.year - years}{rng.randrange(1, 8):02d}{rng.choice((1, 10, 15)):02d}",
            "aae201": str(years * 12 - owing) if rng.random() < 0.97 else None,
            "bae701": str(owing) if owing or rng.random() < 0.5 else None,
            "aae002": None if state == "3" else self._latest,
            "aab003": rng.choice(self.feed.employers) if employed else None,
            "aae180": f"{rng.randrange(3000, 9000)}.00",
            "aka120": "J06.9" if rng.random() < 0.02 else None,
            "aae100": "1",
            "aae036": f"{self._changed(person):%Y-%m-%d %H:%M:%S}",
        }

    def _changed(self, person: Person) -> datetime:
        """When a row was last written: by the monthly batch, for one person in ten perhaps by a nightly one."""
        place = self._rng.randrange(len(self._batches))
        return self._batches[place] if person.serial % 10 == 0 else self._monthly[place % len(self._monthly)]

    def _put(self, person: Person, kind: str) -> None:
        row = self._row(person, kind)
        if person.age(self._population.as_of) < 18:
            self._hold(row, QuarantineReason.MINOR_SUBJECT)
        elif person.died is not None:
            self._put_deceased(person, row)
            return
        else:
            dirt = None if person.household.story else self._plan.draw()
            if dirt is not None and dirt.isupper():
                self._spoil(person, row, QuarantineReason[dirt])
            else:
                self._numbers.accepted += 1
                self._vary(person, row, dirt)
                if dirt is None and not person.household.story and len(self.feed.current) < 500:
                    self.feed.current.append(row)
        self.feed.lines.append(copy_line(row))

    def _hold(self, row: Row, reason: QuarantineReason) -> None:
        version = f"{row['aae036']}+08:00".replace(" ", "T")
        self._truth.hold(SOURCE, f"{row['aac001']}|{row['aae140']}", version, reason)

    def _put_deceased(self, person: Person, row: Row) -> None:
        """Insurance of the dead mostly ends; for some it runs on, and that must be seen."""
        assert person.died is not None, "only for the dead"
        if self._rng.random() < 0.6:
            row |= {"aac031": "3", "aae002": f"{person.died:%Y%m}"}
        else:
            row |= {"aac031": "1", "aae002": self._latest}
            if self._latest > f"{person.died:%Y%m}":
                self._expect(ConflictType.DECEASED_ACTIVE, person)
        self._numbers.accepted += 1
        self.feed.lines.append(copy_line(row))

    def _expect(self, conflict: ConflictType, person: Person) -> None:
        if person.serial not in self._hidden and (conflict, person.member_no) not in self._conflicts:
            self._conflicts.add((conflict, person.member_no))
            self._truth.conflicts.append(ExpectedConflict(conflict, person.member_no, SOURCE))

    def _spoil(self, person: Person, row: Row, reason: QuarantineReason) -> None:
        match reason:
            case QuarantineReason.TEXT_UNREADABLE:
                row["aac003"] = lose_characters(self._rng, person.name)
            case QuarantineReason.UNKNOWN_CODE:
                row["aac031"] = "9"
            case QuarantineReason.BAD_DATE if self._rng.random() < 0.5:
                row["aae002"] = f"{self._now.year}13"
            case QuarantineReason.BAD_DATE:
                row["aac030"] = self._rng.choice(("20150230", "00000000", "2015", f"{self._now.year + 1}0101"))
            case QuarantineReason.BAD_AMOUNT:
                row["aae201"] = "-3"
            case _:
                row["aac002"] = damage(self._rng, person.number, reason)
        self._hold(row, reason)

    def _vary(self, person: Person, row: Row, dirt: str | None) -> None:
        match dirt:
            case "mojibake" if mojibake(person.name) is not None:
                row["aac003"] = mojibake(person.name)
                self._numbers.repaired_fields["aac003"] += 1
            case "tombstone":
                row["aae100"] = "0"
            case "short" if row["aac002"] == person.number and has_short_form(person.number):
                row["aac002"] = short_form(person.number)
            case "dress":
                row["aac002"] = dress(self._rng, row["aac002"] or "")
            case "misspelt" if person.relation != "12":  # wives may be listed twice, which would double the conflict
                row["aac003"] = misspell(person.name)
                self._expect(ConflictType.NAME_DIFFERS, person)
