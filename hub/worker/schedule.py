"""When each source is pulled: the worker's own file, because ``sources.toml`` holds only how agencies are reached.

    version = 1
    every_minutes = 15        # each source, unless its own table says otherwise
    limit_minutes = 360       # the longest that one pull may read
    daily_at = "01:30"        # jobs of the day, Asia/Shanghai

    [sources.clinic]
    every_minutes = 60

All keys but ``version`` may be left out, and so may the file.
"""

import random
import tomllib
from collections.abc import Collection
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Annotated

import msgspec

from hub.core.clock import SHANGHAI
from hub.core.errors import SettingsError

Minutes = Annotated[float, msgspec.Meta(gt=0, le=60 * 24 * 31)]
_JITTER = 0.05
"""A pull begins so much of its interval earlier or later, so that sources do not all begin together for ever."""


class SourcePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One source's own times."""

    every_minutes: Minutes | None = None
    limit_minutes: Minutes | None = None


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The worker's times."""

    version: int = 1
    every_minutes: Minutes = 15.0
    limit_minutes: Minutes = 360.0
    daily_at: str = "01:30"
    sources: dict[str, SourcePlan] = {}

    def every(self, source: str) -> timedelta:
        """From the beginning of one pull of a source to that of the next."""
        own = self.sources.get(source, SourcePlan()).every_minutes
        return timedelta(minutes=self.every_minutes if own is None else own)

    def limit_seconds(self, source: str) -> float:
        """The longest that one pull may read a source."""
        own = self.sources.get(source, SourcePlan()).limit_minutes
        return 60.0 * (self.limit_minutes if own is None else own)

    def next_pull(self, source: str, began: datetime | None, now: datetime, chance: random.Random) -> datetime:
        """When a source that was last pulled at ``began`` is due; at once if it never was."""
        if began is None:
            return now
        return began + self.every(source) * chance.uniform(1 - _JITTER, 1 + _JITTER)

    def daily_time(self, now: datetime) -> datetime:
        """The moment of today, in Shanghai, from which the jobs of the day are due."""
        return datetime.combine(now.astimezone(SHANGHAI).date(), _time_of_day(self.daily_at), SHANGHAI)


def load_schedule(path: Path | None, sources: Collection[str]) -> Schedule:
    """The schedule in a file; without one, every quarter of an hour.

    Raises :class:`SettingsError` for a file that cannot be read, a key that is not known, a value out of range, or a
    source that is not among ``sources``.
    """
    if path is None:
        return Schedule()
    try:
        schedule = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Schedule)
        _time_of_day(schedule.daily_at)
    except OSError as error:
        raise _bad(path, f"it cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise _bad(path, "it is not TOML in UTF-8") from None
    except (msgspec.ValidationError, ValueError) as error:
        raise _bad(path, str(error)) from None
    if schedule.version != 1:
        raise _bad(path, "its version must be 1")
    unknown = sorted(schedule.sources.keys() - set(sources))
    if unknown:
        raise _bad(path, f"there is no source named `{unknown[0]}`")
    return schedule


def _time_of_day(text: str) -> time:
    try:
        return datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - a time of day has no zone yet
    except ValueError:
        raise ValueError("`daily_at` must be a time like 01:30") from None


def _bad(path: Path, what: str) -> SettingsError:
    return SettingsError(f"The schedule {path} cannot be used: {what}.", remedy="docs/OPERATIONS.md shows its keys.")
