"""The synthetic prefecture: people, what five agencies know about them, and what must come of every row."""

from datetime import date, datetime, time, timedelta
from random import Random

from hub.core.clock import SHANGHAI
from hub.core.errors import InputError
from hub.sandbox.feeds.bank import Bank, BankFeed, BankMaker
from hub.sandbox.feeds.civil import CivilFeed, CivilMaker
from hub.sandbox.feeds.clinic import ClinicFeed, ClinicMaker
from hub.sandbox.feeds.relief import ReliefMaker
from hub.sandbox.feeds.social import SocialFeed, SocialMaker
from hub.sandbox.feeds.tax import TaxFeed, TaxMaker
from hub.sandbox.life import Life, LifeMaker
from hub.sandbox.next_day import NextDay, NextDayMaker
from hub.sandbox.population import Population, draw_population
from hub.sandbox.story import Story, add_story
from hub.sandbox.truth import Truth

HOUSEHOLDS_MIN = 100
"""Fewer cannot show every case."""

BANKS = (
    Bank("bank_rcb", "402739000011", lines=0.48, loans=0.35),
    Bank("bank_vb", "402739000022", lines=0.06, loans=0.05),
)
"""The rural commercial bank (农商行) and a village bank (村镇银行)."""


class Prefecture:
    """A whole prefecture on the morning of a day.

    Equal ``seed``, ``households`` and ``as_of`` give equal bytes everywhere. ``as_of`` is the day on which the agencies
    live (06:00 in the morning); nothing they send is later. It should not be after the real day, because the hub
    refuses dates in the future. :meth:`advance` lets a further day pass.
    """

    def __init__(self, seed: int, households: int, as_of: date) -> None:
        """Raises :class:`InputError` for fewer than ``HOUSEHOLDS_MIN`` households."""
        if households < HOUSEHOLDS_MIN:
            raise InputError(
                f"A prefecture of {households} households is too small.",
                remedy=f"Ask for at least {HOUSEHOLDS_MIN}.",
            )
        self.seed = seed
        self.as_of = as_of
        self.now = morning(as_of)
        self.truth = Truth()
        self.population: Population = draw_population(str(seed), households - 1, as_of)
        self.story: Story = add_story(self.population, self._rng("story"))
        self.life: Life = LifeMaker(self.population, self._rng("life"), self.now).happen()
        self.civil: CivilFeed = self._make_civil()
        hidden = self.civil.hidden
        second = {overlap.person.serial for overlap in self.life.overlaps}
        people, story, truth = self.population, self.story, self.truth
        self.tax: TaxFeed = TaxMaker(people, hidden | second, story, self._rng("tax"), self.now, truth).make()
        self.social: SocialFeed = SocialMaker(people, hidden, story, self._rng("social"), self.now, truth).make()
        self.clinic: ClinicFeed = ClinicMaker(people, hidden, second, story, self._rng("clinic"), truth).make()
        self.banks: dict[str, BankFeed] = {
            bank.source: BankMaker(bank, people, hidden | second, story, self._rng(bank.source), truth).make()
            for bank in BANKS
        }

    def _rng(self, part: str) -> Random:
        return Random(f"{self.seed}/{part}")

    def _make_civil(self) -> CivilFeed:
        feed = CivilMaker(self.population, self.life, self._rng("civil"), self.truth).make()
        ReliefMaker(feed, self.population, self.life, self.story, self._rng("relief"), self.truth).make()
        for rows in (feed.households, feed.members, feed.relief, feed.events):
            rows.sort(key=lambda row: row.key)
        return feed

    def advance(self, day: date, changes: int | None = None) -> NextDay:
        """Let the days up to ``day`` pass: the feeds grow, and the changes with their expected fate are returned.

        ``changes``: how many rows change at tax, social insurance and each bank, instead of one for 1,000 households.

        Raises :class:`InputError` if ``day`` is not after ``as_of``.
        """
        if day <= self.as_of:
            raise InputError(f"The prefecture already lives on {self.as_of}.", remedy="Advance to a later day.")
        rng = self._rng(f"day/{day}")
        before, self.as_of = self.now, day
        change = NextDayMaker(
            self.population, self.life, self.civil, self.tax, self.social, self.clinic, self.banks, rng, changes
        ).make(before, morning(day))
        self.now = morning(day)
        return change


def morning(day: date) -> datetime:
    """The hour at which the agencies of a sandbox live: 06:00 in Asia/Shanghai."""
    return datetime.combine(day, time(6), SHANGHAI)


def yesterday(now: datetime) -> date:
    """The day before: where a sandbox starts by default, so that one further day can pass."""
    return now.astimezone(SHANGHAI).date() - timedelta(days=1)
