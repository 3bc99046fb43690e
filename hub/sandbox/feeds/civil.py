"""What the civil affairs bureau sends: households, members, relief, life events (its interface, section 3)."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from xml.sax.saxutils import escape

from hub.core.clock import iso
from hub.core.names import ConflictType, QuarantineReason
from hub.sandbox.feeds.dirt import DirtPlan, lose_characters
from hub.sandbox.life import Life, LifeEvent
from hub.sandbox.numbers import ID_DAMAGES, damage, dress, has_short_form, short_form
from hub.sandbox.people import Household, Person
from hub.sandbox.population import Population
from hub.sandbox.truth import ExpectedConflict, Truth
from hub.sandbox.words import ethnic_code

SOURCE = "civil"

HOUSEHOLD_FIELDS = ("hubh", "bbh", "gxsj", "xzqhdm", "xzmc", "cmc", "zh", "lxdh", "hzt", "scbz")
MEMBER_FIELDS = ("cybh", "bbh", "gxsj", "hubh", "xm", "sfzjhm", "csrq", "yhzgx", "rhrq", "lhrq", "swrq", "scbz")
RELIEF_FIELDS = ("jzbh", "bbh", "gxsj", "hubh", "jzlx", "ksrq", "jsrq", "bzrs", "yjzje", "scbz")
EVENT_FIELDS = ("sjbh", "bbh", "djsj", "sjlx", "sjrq", "yhubh", "xhubh", "xxzqhdm", "xzh")

_MEMBER_DIRT = {reason.name: 0.0003 for reason in ID_DAMAGES} | {
    "TEXT_UNREADABLE": 0.0003,
    "UNKNOWN_CODE": 0.0003,
    "BAD_DATE": 0.0005,
    "DATE_INCONSISTENT": 0.0003,
    "DUP_CONFLICT": 0.0002,
    "tail": 0.002,
    "short": 0.001,
    "dress": 0.005,
    "older": 0.003,
    "repeated": 0.003,
}
_BAD_DATES = ("2015-02-30", "1900-01-00", "41730", "")


@dataclass(frozen=True, slots=True)
class CivilRow:
    """One row ready to be sent. ``changed`` is its ``gxsj`` or ``djsj``; it can be seen from ``visible`` on."""

    key: str
    changed: datetime
    visible: datetime
    xml: bytes


@dataclass(slots=True)
class CivilFeed:
    """The four row sets, and who is missing from the roster because his row is damaged (``hidden``: serials)."""

    households: list[CivilRow] = field(default_factory=list)
    members: list[CivilRow] = field(default_factory=list)
    relief: list[CivilRow] = field(default_factory=list)
    events: list[CivilRow] = field(default_factory=list)
    hidden: set[int] = field(default_factory=set)


def element(tag: str, names: tuple[str, ...], values: dict[str, str | None], tail: str = "") -> bytes:
    """One row as XML; missing values become empty elements, extra names (forbidden fields) follow in their order."""
    order = names + tuple(name for name in values if name not in names)
    parts = [f"<{n}>{escape(v)}</{n}>" if (v := values.get(n)) else f"<{n}/>" for n in order]
    return f"<{tag}>{''.join(parts)}{tail}</{tag}>".encode()


def event_xml(event: LifeEvent, version: int, *, revoked: bool, sjrq: str | None = None) -> bytes:
    """An event row; ``sjrq`` replaces the date by a damaged one."""
    members = "".join(
        f"<cy><cybh>{m.member_no}</cybh><yhzgx>{m.relation}</yhzgx>"
        f"<ysfzjhm>{m.old_id}</ysfzjhm><xsfzjhm>{m.new_id}</xsfzjhm></cy>"
        for m in event.members
    )
    values: dict[str, str | None] = {
        "sjbh": event.number,
        "bbh": str(version),
        "djsj": iso(event.registered),
        "sjlx": event.kind,
        "sjrq": event.effective.isoformat() if sjrq is None else sjrq,
        "yhubh": event.old_household,
        "xhubh": event.new_household,
        "xxzqhdm": event.new_village,
        "xzh": event.new_group,
    }
    return element("event", EVENT_FIELDS, values, members + ("<cxbz>1</cxbz>" if revoked else "<cxbz/>"))


class CivilMaker:
    """Writes the feed of the bureau from the population and its life."""

    def __init__(self, population: Population, life: Life, rng: Random, truth: Truth) -> None:
        self.feed = CivilFeed()
        self._population = population
        self._life = life
        self._rng = rng
        self._truth = truth
        self._numbers = truth.of(SOURCE)
        self._plan = DirtPlan(rng, _MEMBER_DIRT, every=9)
        self._refreshes = [life.refreshed - timedelta(days=30.5 * m) for m in range(8)]
        self._eventful = {m.member_no for e in life.events for m in e.members}
        self._second = {o.person.serial for o in life.overlaps}

    def make(self) -> CivilFeed:
        """The roster and the events; relief and the extra dirty rows are added by :mod:`hub.sandbox.feeds.relief`."""
        sends_forbidden = {v.code for v in self._population.villages[3::9]}
        for household in self._population.households:
            changed = self._row_time(household)
            self._put_household(household, changed)
            for person in household.members:
                self._put_member(person, changed, forbidden=household.village.code in sends_forbidden)
        for second in self._life.overlaps:
            self._put_second(second.member_no, second.person, second.household, second.joined)
        for event in self._life.events:
            self._put_event(event)
        return self.feed

    def _row_time(self, household: Household) -> datetime:
        """A monthly refresh that saw the household as it is listed."""
        new = self._life.new_since_refresh.get(household.number)
        if new is not None:
            return new
        if household.number in self._life.touched:
            return self._life.refreshed
        return self._rng.choice(self._refreshes)

    def _put_household(self, household: Household, changed: datetime) -> None:
        listed = self._life.households.get(household.number)
        village = listed.village if listed else household.village
        cancelled = listed.cancelled if listed else household.cancelled
        values: dict[str, str | None] = {
            "hubh": household.number,
            "bbh": "1" if household.number in self._life.new_since_refresh else str(self._rng.randrange(1, 9)),
            "gxsj": iso(changed),
            "xzqhdm": village.code,
            "xzmc": village.township,
            "cmc": village.name,
            "zh": listed.group if listed else household.group,
            "lxdh": household.phone,
            "hzt": "0" if cancelled else "1",
        }
        self.feed.households.append(
            CivilRow(household.number, changed, changed, element("household", HOUSEHOLD_FIELDS, values))
        )
        self._numbers.accepted += 1

    def _member_values(self, person: Person, changed: datetime) -> dict[str, str | None]:
        listed = self._life.members.get(person.serial)
        household = person.household.number
        relation, joined, died, number = person.relation, person.joined, person.died, person.id_number
        if listed:
            household, relation, joined = listed.household, listed.relation, listed.joined
            died, number = listed.died, listed.id_number
            if person.household.number in self._life.new_since_refresh:
                changed = self._life.refreshed
        if joined > changed.date() or (died and died > changed.date()):
            changed = self._life.refreshed
        return {
            "cybh": person.member_no,
            "bbh": str(self._rng.randrange(2, 9)),
            "gxsj": iso(changed),
            "hubh": household,
            "xm": person.name,
            "sfzjhm": number,
            "csrq": None if number else person.born.isoformat(),
            "yhzgx": relation,
            "rhrq": joined.isoformat(),
            "swrq": died.isoformat() if died else None,
        }

    def _send(self, values: dict[str, str | None], changed: datetime) -> None:
        xml = element("member", MEMBER_FIELDS, values)
        self.feed.members.append(CivilRow(values["cybh"] or "", changed, changed, xml))

    def _put_member(self, person: Person, household_changed: datetime, *, forbidden: bool) -> None:
        values = self._member_values(person, household_changed)
        changed = datetime.fromisoformat(values["gxsj"] or "")
        if forbidden:
            values["mz"] = ethnic_code(person.people)
            values["zzmm"] = self._rng.choice(("13", "01", None))
            self._numbers.dropped_fields.update(("mz", "zzmm"))
        ordinary = (
            person.id_number is not None
            and not person.household.story
            and person.relation != "02"
            and person.died is None
            and person.member_no not in self._eventful
            and person.serial not in self._second
            and person.age(self._population.as_of) >= 18
        )
        kind = self._plan.draw() if ordinary else None
        if kind is not None and kind.isupper():
            self._spoil(person, values, changed, QuarantineReason[kind])
            return
        if kind is not None:
            self._vary(person, values, changed, kind)
        self._send(values, changed)
        self._numbers.accepted += 1

    def _spoil(
        self, person: Person, values: dict[str, str | None], changed: datetime, reason: QuarantineReason
    ) -> None:
        """The member's row breaks one rule, so the person is missing from the hub's roster."""
        key = f"member|{person.member_no}"
        version = values["bbh"] or ""
        self._truth.hold(SOURCE, key, version, reason)
        if reason is QuarantineReason.DUP_CONFLICT:
            self._send(values, changed)
            self._send(values | {"yhzgx": "99"}, changed)
            self._numbers.accepted += 1
            for name in ("mz", "zzmm"):
                self._numbers.dropped_fields[name] += 1 if name in values else 0
            return
        self.feed.hidden.add(person.serial)
        match reason:
            case QuarantineReason.TEXT_UNREADABLE:
                values["xm"] = lose_characters(self._rng, person.name)
            case QuarantineReason.UNKNOWN_CODE:
                values["yhzgx"] = self._rng.choice(("98", "07", "配偶"))
            case QuarantineReason.BAD_DATE:
                values["rhrq"] = self._rng.choice(_BAD_DATES)
            case QuarantineReason.DATE_INCONSISTENT:
                values["lhrq"] = (person.joined - timedelta(days=400)).isoformat()
            case _:
                values["sfzjhm"] = damage(self._rng, person.number, reason)
        self._send(values, changed)

    def _vary(self, person: Person, values: dict[str, str | None], changed: datetime, kind: str) -> None:
        """Things that look odd and are right: the row stays valid."""
        match kind:
            case "tail":
                values["sfzjhm"] = person.number + f"{self._rng.randrange(1, 8)}{self._rng.randrange(1, 5)}"
                self._numbers.dropped_fields["sfzjhm_tail"] += 1
            case "short" if has_short_form(person.number):
                values["sfzjhm"] = short_form(person.number)
            case "dress":
                values["sfzjhm"] = dress(self._rng, person.number)
            case "older":
                earlier = changed - timedelta(days=40)
                old = values | {"bbh": str(int(values["bbh"] or "2") - 1), "gxsj": iso(earlier), "yhzgx": "97"}
                if person.joined <= earlier.date():
                    self._send(old, earlier)
                    self._numbers.superseded += 1
                    for name in ("mz", "zzmm"):
                        self._numbers.dropped_fields[name] += 1 if name in values else 0
            case "repeated":
                self._send(values, changed)

    def _put_second(self, member_no: str, person: Person, household: Household, joined: date) -> None:
        changed = self._life.refreshed
        self._send(
            {
                "cybh": member_no,
                "bbh": "2",
                "gxsj": iso(changed),
                "hubh": household.number,
                "xm": person.name,
                "sfzjhm": person.id_number,
                "yhzgx": "32",
                "rhrq": joined.isoformat(),
            },
            changed,
        )
        self._numbers.accepted += 1
        for number in (person.member_no, member_no):
            self._truth.conflicts.append(ExpectedConflict(ConflictType.MEMBERSHIP_OVERLAP, number, None))

    def _put_event(self, event: LifeEvent) -> None:
        visible = event.registered
        if event.revoked:
            first = event_xml(event, 1, revoked=False)
            self.feed.events.append(CivilRow(event.number, event.registered, visible, first))
            self._numbers.superseded += 1
        xml = event_xml(event, 2 if event.revoked else 1, revoked=event.revoked)
        self.feed.events.append(CivilRow(event.number, event.registered, visible, xml))
        self._numbers.accepted += 1
