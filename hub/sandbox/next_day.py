"""One more day in the prefecture: what each agency adds, and what an incremental pull must see of it."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random

from hub.core.clock import iso
from hub.core.names import QuarantineReason
from hub.sandbox.feeds.bank import BankFeed, BankLine, Row
from hub.sandbox.feeds.bank_rows import make_adverse, pay_back, row_key
from hub.sandbox.feeds.civil import HOUSEHOLD_FIELDS, CivilFeed, CivilRow, element, event_xml
from hub.sandbox.feeds.clinic import ClinicFeed
from hub.sandbox.feeds.clinic_files import ClinicFile, ClinicLine
from hub.sandbox.feeds.social import Row as SocialRow
from hub.sandbox.feeds.social import SocialFeed
from hub.sandbox.feeds.tax import TaxFeed, stamp
from hub.sandbox.life import EventMember, Life, LifeEvent
from hub.sandbox.numbers import damage
from hub.sandbox.people import Household, Person
from hub.sandbox.population import Population
from hub.sandbox.truth import Truth


@dataclass(slots=True)
class NextDay:
    """What the day brought: rows to write into the social security view, new clinic lists, the expected fates."""

    day: date
    truth: Truth = field(default_factory=Truth)
    social_rows: list[SocialRow] = field(default_factory=list)
    clinic_files: list[ClinicFile] = field(default_factory=list)


class NextDayMaker:
    """Lets one day pass at every agency."""

    def __init__(
        self,
        population: Population,
        life: Life,
        civil: CivilFeed,
        tax: TaxFeed,
        social: SocialFeed,
        clinic: ClinicFeed,
        banks: dict[str, BankFeed],
        rng: Random,
        changes: int | None = None,
    ) -> None:
        """``changes``: rows that change at tax, social insurance and each bank; by default one for 1,000 households."""
        self._population = population
        self._life = life
        self._civil = civil
        self._tax = tax
        self._social = social
        self._clinic = clinic
        self._banks = banks
        self._rng = rng
        self._count = max(2, len(population.households) // 1000 if changes is None else changes)

    def make(self, before: datetime, now: datetime) -> NextDay:
        """The changes between two mornings; the feeds are extended in place."""
        change = NextDay(now.date())
        self._tax_changes(change.truth, before, now)
        self._social_changes(change, before, now)
        self._civil_changes(change.truth, before, now)
        self._clinic_changes(change, now)
        for feed in self._banks.values():
            self._bank_changes(feed, change.truth, now)
        return change

    def _tax_changes(self, truth: Truth, before: datetime, now: datetime) -> None:
        """New versions, one of which became visible late; a withdrawal; a damaged ID number."""
        numbers = truth.of("tax")
        records = self._tax.current
        for i in range(min(self._count + 2, len(records))):
            record = records.pop(self._rng.randrange(len(records)))
            late = i == 0
            changed = (
                before - timedelta(seconds=200) if late else now - timedelta(seconds=self._rng.randrange(400, 9000))
            )
            record = record | {"ver": record["ver"] + 5, "gxsj": stamp(changed)}
            if i == 1:
                record["zfbz"] = "Y"
                numbers.withdrawn += 1
            if i == 2:
                wrong = damage(self._rng, record["jyzsfzjhm"], QuarantineReason.ID_CHECK_DIGIT)
                record["jyzsfzjhm"] = wrong
                key = "|".join((record["djxh"], record["sjlx"], record["ywbh"]))
                truth.hold("tax", key, str(record["ver"]), QuarantineReason.ID_CHECK_DIGIT)
            else:
                numbers.accepted += 1
            self._tax.add(record, changed, changed, now if late else changed)
        self._tax.sort()

    def _social_changes(self, change: NextDay, before: datetime, now: datetime) -> None:
        """A month more for some people, one row that becomes visible late, one withdrawn row."""
        numbers = change.truth.of("social")
        batch = now.replace(hour=2)
        rows = self._social.current
        for i in range(min(self._count + 2, len(rows))):
            row = dict(rows.pop(self._rng.randrange(len(rows))))
            changed = before.replace(hour=1, minute=51) if i == 0 else batch
            row |= {"aae036": f"{changed:%Y-%m-%d %H:%M:%S}", "aae201": str(int(row["aae201"] or "0") + 1)}
            if i == 0:  # a key not seen before, written before the last batch but replicated only now
                row |= {"aae140": "410", "aab003": self._social.employers[0]}
            if i == 1:
                row["aae100"] = "0"
                numbers.withdrawn += 1
            numbers.accepted += 1
            change.social_rows.append(row)

    def _quiet_household(self, size: int) -> Household:
        """A household with at least so many adults to which nothing has happened and nothing will be listed wrongly."""
        named = {m.member_no for e in self._life.events for m in e.members}
        today = self._population.as_of
        while True:
            household = self._rng.choice(self._population.households)
            if household.story or household.cancelled or household.number in self._life.new_since_refresh:
                continue
            adults = household.adults(today)
            if len(adults) >= size and not any(p.member_no in named or p.serial in self._civil.hidden for p in adults):
                return household

    def _event(self, kind: str, registered: datetime, member: EventMember, old: str = "", new: str = "") -> LifeEvent:
        number = f"E{registered.year}9{len(self._life.events):05d}"
        event = LifeEvent(
            number, kind, registered, registered.date(), old_household=old, new_household=new, members=(member,)
        )
        self._life.events.append(event)
        return event

    def _civil_changes(self, truth: Truth, before: datetime, now: datetime) -> None:
        """A death that became visible late, and a split with its new household."""
        numbers = truth.of("civil")
        late = before - timedelta(hours=20)
        dead: Person = self._quiet_household(2).adults(self._population.as_of)[-1]
        events = [(self._event("04", late, EventMember(dead.member_no)), now)]
        dead.died = late.date()
        registered = now - timedelta(hours=12)
        old = self._quiet_household(3)
        mover = old.adults(self._population.as_of)[-1]
        new = self._population.add_household(old.village, old.group, "")
        self._life.new_since_refresh[new.number] = registered
        split = self._event("01", registered, EventMember(mover.member_no, "02"), old.number, new.number)
        events.append((split, registered))
        old.members.remove(mover)
        new.members.append(mover)
        mover.household, mover.relation, mover.joined = new, "02", registered.date()
        values: dict[str, str | None] = {
            "hubh": new.number,
            "bbh": "1",
            "gxsj": iso(registered),
            "xzqhdm": new.village.code,
            "xzmc": new.village.township,
            "cmc": new.village.name,
            "zh": new.group,
            "hzt": "1",
        }
        row = CivilRow(new.number, registered, registered, element("household", HOUSEHOLD_FIELDS, values))
        self._civil.households = sorted([*self._civil.households, row], key=lambda r: r.key)
        rows = [CivilRow(e.number, e.registered, seen, event_xml(e, 1, revoked=False)) for e, seen in events]
        self._civil.events = sorted([*self._civil.events, *rows], key=lambda r: r.key)
        numbers.accepted += 1 + len(rows)

    def _clinic_changes(self, change: NextDay, now: datetime) -> None:
        """A replacement that takes one item back."""
        seen: dict[tuple[str, str], int] = {}
        days: dict[tuple[str, date], int] = {}
        for file in self._clinic.files:
            group = (file.clinic.code, file.day)
            days[group] = days.get(group, 0) + 1
            for line in file.lines:
                seen[file.clinic.code, line.item] = seen.get((file.clinic.code, line.item), 0) + 1
        for file in self._clinic.files:
            once = all(seen[file.clinic.code, x.item] == 1 and x.reason is None for x in file.lines)
            alone = days[file.clinic.code, file.day] == 1 and file.refusal is None and len(file.lines) > 1
            if once and alone and not any(x.person and x.person.household.story for x in file.lines):
                kept = [ClinicLine(dict(x.values), link=x.link) for x in file.lines[:-1]]
                again = ClinicFile(file.clinic, file.day, 2, kept)
                self._clinic.files.append(again)
                change.clinic_files.append(again)
                numbers = change.truth.of("clinic")
                numbers.accepted += len(kept)
                numbers.withdrawn += 1
                numbers.links.update(x.link for x in kept)
                for name in file.clinic.forbidden:
                    numbers.dropped_fields[name] += len(kept)
                return

    def _bank_changes(self, feed: BankFeed, truth: Truth, now: datetime) -> None:
        """Instalments paid, one loan overdue without notice, one consent taken back."""
        day = now.date() - timedelta(days=1)
        numbers = truth.of(feed.bank.source)
        consents = {row["consent_id"]: row for row in feed.consents}
        loans: list[Row] = [row for row in feed.loans if row["consent_id"] in consents]
        lines = []
        for i, row in enumerate(loans[: self._count + 1]):
            newer = pay_back(row)
            feed.loans.remove(row)
            reason = None
            if i == 0:
                make_adverse(newer, day)
                newer["notice_date"] = None
                reason = QuarantineReason.ADVERSE_NOTICE_MISSING
                truth.hold(feed.bank.source, row_key(newer), str(newer["rev"]), reason)
            else:
                feed.loans.append(newer)
                numbers.accepted += 1
            lines.append(BankLine(newer, reason))
        if consents and len(loans) > self._count + 1:
            gone = consents[loans[-1]["consent_id"]]
            feed.consents.remove(gone)
            lines.append(BankLine(gone | {"rev": 2, "withdrawn_on": day.isoformat()}))
            numbers.accepted += 1
        feed.publish(day, lines)
