"""Coverage: which share of the households of an area has a file that is complete, fresh and verified.

*Complete*: every source that should say something of the household, or of every adult in it, does. *Fresh*: those
sources were read lately, and their newest statement is not too old. *Verified*: no link waits for confirmation, no
conflict between sources is open, no row about the household or its people waits in quarantine. What should be said and
how old it may be stands in ``record.coverage_rule``, by version. Numbers of households and adults only.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from enum import IntEnum
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from hub.core.areas import COUNTIES, county_name, township_name
from hub.core.clock import day_of, years_before
from hub.core.errors import InputError
from hub.core.identifiers import ADULT_AGE
from hub.core.published import told, told_by_name

PREFECTURE = "5331"
"""Area code of the prefecture."""

_AREA = re.compile(r"5331(?:[0-9]{2}(?:[0-9]{3}(?:[0-9]{3})?)?)?")
_DERIVED_AT_ONCE = 5_000


class AreaLevel(IntEnum):
    """The levels of area, by the number of digits of their codes."""

    PREFECTURE = 4
    COUNTY = 6
    TOWNSHIP = 9
    VILLAGE = 12


Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class AreaCoverage:
    """The files of one area.

    ``covered`` files are complete, fresh and verified. ``missing``, ``stale``, ``unverified``: households by what is
    missing (category), too old (category) or open (``LINK``, ``CONFLICT``, ``QUARANTINE``). ``reported``: households of
    which a category says anything at all; the categories that speak of some households only are told apart by it.
    """

    area: str
    rule_version: int
    households: int
    complete: int
    fresh: int
    verified: int
    covered: int
    adults: int
    adults_missing: int
    missing: Counts = field(default_factory=dict)
    stale: Counts = field(default_factory=dict)
    unverified: Counts = field(default_factory=dict)
    reported: Counts = field(default_factory=dict)

    @property
    def name(self) -> str | None:
        """The Chinese name of a county or township, ``None`` below."""
        match len(self.area):
            case 6:
                return county_name(self.area)
            case 9:
                return township_name(self.area)
            case _:
                return None

    def share(self, number: int) -> float | None:
        """A number of households as a share of all in the area, with three decimals; ``None`` where there are none."""
        return round(number / self.households, 3) if self.households else None


def as_told(village: AreaCoverage, threshold: float) -> AreaCoverage:
    """The numbers of a village as they may be told to whoever is no data steward (:mod:`hub.core.published`)."""
    numbers: dict[str, Any] = {name: told(getattr(village, name), threshold) for name in _NUMBERS}
    numbers |= {name: told_by_name(getattr(village, name), threshold) for name in _MAPS}
    return replace(village, **numbers)


def summed(villages: Iterable[AreaCoverage], level: AreaLevel) -> list[AreaCoverage]:
    """The lines of a level as sums over its villages, by code; those without households are left out."""
    lines: dict[str, AreaCoverage] = {}
    for village in villages:
        if not village.households:
            continue  # its adults too: an area is the sum of the villages that are told
        area = village.area[:level]
        line = lines.get(area)
        lines[area] = replace(village, area=area) if line is None else _both(line, village)
    return [lines[area] for area in sorted(lines)]


def _both(line: AreaCoverage, other: AreaCoverage) -> AreaCoverage:
    numbers: dict[str, Any] = {name: getattr(line, name) + getattr(other, name) for name in _NUMBERS}
    numbers |= {name: dict(Counter(getattr(line, name)) + Counter(getattr(other, name))) for name in _MAPS}
    return replace(line, **numbers)


_NUMBERS = ("households", "complete", "fresh", "verified", "covered", "adults", "adults_missing")
_MAPS = ("missing", "stale", "unverified", "reported")


def check_area(area: str | None, level: AreaLevel | None) -> tuple[str, AreaLevel]:
    """The area and the level of the lines below it; by default the prefecture, and one level below the area.

    Raises :class:`InputError` for what is no code of the prefecture, or a level above the area's own.
    """
    code = PREFECTURE if area is None else area
    if not _AREA.fullmatch(code) or (len(code) >= AreaLevel.COUNTY and code[:6] not in COUNTIES):
        raise InputError(
            "this is no area code of the prefecture.",
            remedy="Use 4 (prefecture), 6 (county), 9 (township) or 12 (village) digits beginning with 5331.",
            code="AREA_UNKNOWN",
        )
    own = AreaLevel(len(code))
    wanted = next((each for each in AreaLevel if each > own), own) if level is None else level
    if wanted < own:
        raise InputError(
            "the level lies above the area.", remedy="Ask for the area's own level or one below.", code="AREA_LEVEL"
        )
    return code, wanted


async def note_coverage(connection: asyncpg.Connection, households: Collection[UUID], day: date) -> None:
    """Work out the files of households whose sections were just folded, in the caller's transaction."""
    await connection.execute("SELECT record.derive_coverage($1, $2)", list(households), years_before(day, ADULT_AGE))


async def derive_missing(connection: asyncpg.Connection, now: datetime) -> int:
    """Work out the files that were never worked out, or under earlier rules; returns how many."""
    derived = 0
    while True:
        records = await connection.fetch(
            """SELECT h.household_id FROM record.household h
               LEFT JOIN record.household_coverage c ON c.county = h.county AND c.household_id = h.household_id
               WHERE h.held AND h.status = 'ACTIVE'
                 AND c.rule_version IS DISTINCT FROM (SELECT max(version) FROM record.coverage_rule)
               LIMIT $1""",
            _DERIVED_AT_ONCE,
        )
        if not records:
            return derived
        await note_coverage(connection, [record["household_id"] for record in records], day_of(now))
        derived += len(records)


async def read_coverage(
    connection: asyncpg.Connection, area: str, level: AreaLevel, now: datetime
) -> list[AreaCoverage]:
    """The coverage of every area of a level that lies in ``area``, by code; areas without households are left out."""
    records = await connection.fetch(
        "SELECT * FROM record.coverage($1, $2, $3, $4)", area, int(level), [PREFECTURE], now
    )
    return [_line(dict(record)) for record in records]


def lines_of(text: str) -> list[AreaCoverage]:
    """The lines in the JSON that ``access.official_coverage`` gives."""
    return [_line(record) for record in orjson.loads(text)]


def _line(values: Mapping[str, Any]) -> AreaCoverage:
    parsed = {
        name: orjson.loads(value) if name in _MAPS and isinstance(value, str) else value
        for name, value in values.items()
    }
    return AreaCoverage(**{each.name: parsed[each.name] for each in fields(AreaCoverage)})


def as_json(lines: Sequence[AreaCoverage]) -> list[dict[str, Any]]:
    """The lines for an operator's eyes."""
    return [
        {each.name: getattr(line, each.name) for each in fields(AreaCoverage)}
        | {
            "name": line.name,
            "share": {name: line.share(getattr(line, name)) for name in ("complete", "fresh", "verified", "covered")},
        }
        for line in lines
    ]
