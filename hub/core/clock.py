"""Time. The agencies live in Asia/Shanghai; the hub stores instants and shows them in that zone.

*Valid time* says when a thing was true in the world, *recorded time* when the hub knew it. Nothing below the edges
reads the clock of the machine: a :data:`Clock` is passed in, so that a test or a replay can stand at any instant.
"""

from collections.abc import Callable
from datetime import MAXYEAR, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")
"""The civil time zone of all agencies."""

Clock = Callable[[], datetime]
"""Gives the present instant, always with its zone."""


def system_clock() -> datetime:
    """The machine's clock, in Asia/Shanghai."""
    return datetime.now(SHANGHAI)


def day_of(instant: datetime) -> date:
    """The civil day in Asia/Shanghai on which ``instant`` falls."""
    return instant.astimezone(SHANGHAI).date()


@lru_cache(1024)
def midnight(day: date) -> datetime:
    """The first instant of ``day`` in Asia/Shanghai."""
    return datetime(day.year, day.month, day.day, tzinfo=SHANGHAI)


@lru_cache(maxsize=8192)
def iso(instant: datetime) -> str:
    """ISO 8601 with offset, milliseconds only where there are any. The instants of a batch repeat, so they are kept."""
    local = instant.astimezone(SHANGHAI)
    return local.isoformat(timespec="milliseconds" if local.microsecond // 1000 else "seconds")


def full_years(born: date, on: date) -> int:
    """Completed years of age on a day."""
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def years_before(day: date, years: int) -> date:
    """The same calendar day ``years`` earlier; 29 February becomes 28 February (date-to-date rule, 对年对月对日)."""
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)


def years_after(day: date, years: int) -> date | None:
    """The same calendar day ``years`` later, 29 February as in :func:`years_before`; ``None`` beyond the calendar.

    Agencies write 9999-12-31 for "no end" (长期), so a sum with a day of theirs may have no day.
    """
    if day.year + years > MAXYEAR:
        return None
    return years_before(day, -years)


def days_after(day: date, days: int) -> date | None:
    """The day ``days`` later (negative: earlier); ``None`` where the calendar has no such day."""
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return None
