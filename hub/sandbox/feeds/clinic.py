"""What the township clinics list: unpaid bills of the last weeks (clinic interface).

Real open items are rare (4 in 1,000 households); the sandbox lists twelve times as many, so that a small world shows
every case.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random

from hub.core.clock import years_before
from hub.core.names import LinkState, QuarantineReason, RefusalReason
from hub.sandbox.feeds.clinic_files import COLUMNS, Clinic, ClinicFile, ClinicLine
from hub.sandbox.feeds.dirt import DirtPlan, lose_characters
from hub.sandbox.feeds.roster import VillageRoster
from hub.sandbox.numbers import ID_DAMAGES, damage, dress, has_short_form, short_form
from hub.sandbox.people import Household, Person
from hub.sandbox.population import Population
from hub.sandbox.story import Story
from hub.sandbox.truth import Truth

SOURCE = "clinic"

HOUSEHOLD_RATE = 0.05
NO_ID_RATE = 0.35
DAYS = 30

_DIRT = {reason.name: 0.004 for reason in ID_DAMAGES if reason is not QuarantineReason.ID_MISSING} | {
    "ROW_UNREADABLE": 0.003,
    "TEXT_UNREADABLE": 0.003,
    "MINOR_SUBJECT": 0.004,
    "ADVERSE_EXPIRED": 0.002,
    "ADVERSE_NOTICE_MISSING": 0.003,
    "UNKNOWN_CODE": 0.003,
    "BAD_DATE": 0.005,
    "DATE_INCONSISTENT": 0.003,
    "BAD_AMOUNT": 0.004,
    "AMOUNT_INCONSISTENT": 0.004,
    "DUP_CONFLICT": 0.003,
    "ID_MISSING_UNLINKED": 0.03,
    "short": 0.015,
    "dress": 0.02,
    "quote": 0.01,
    "waived": 0.08,
    "malicious": 0.01,
    "formula": 0.003,
}
_REFUSALS = (
    RefusalReason.CONTROL_MISSING,
    RefusalReason.HASH_MISMATCH,
    RefusalReason.ENCODING_INVALID,
    RefusalReason.FORMAT_INVALID,
    RefusalReason.COUNT_MISMATCH,
    RefusalReason.TOTAL_MISMATCH,
)
_FORBIDDEN = (("科室", "诊断"), (), (), ("科室", "诊断", "病历号", "民族"), (), ())


@dataclass(slots=True)
class ClinicFeed:
    """All lists, and the clinic of each township (by 9-digit code)."""

    files: list[ClinicFile] = field(default_factory=list)
    clinics: dict[str, Clinic] = field(default_factory=dict)


def make_clinics(population: Population, rng: Random) -> dict[str, Clinic]:
    """One clinic for each township that has villages; each with its own order of columns."""
    clinics = {}
    for i, township in enumerate(sorted({v.code[:9] for v in population.villages})):
        forbidden = _FORBIDDEN[i % len(_FORBIDDEN)]
        order = list(COLUMNS + forbidden)
        if i % 2:
            rng.shuffle(order)
        clinics[township] = Clinic(f"{township[:6]}Y{100 + i:05d}", tuple(order), forbidden)
    return clinics


class ClinicMaker:
    """Writes the lists of all clinics up to the day before ``population.as_of``."""

    def __init__(
        self, population: Population, hidden: set[int], avoid: set[int], story: Story, rng: Random, truth: Truth
    ) -> None:
        """``avoid``: people with two memberships, for whom the place is a matter of opinion."""
        self.feed = ClinicFeed(clinics=make_clinics(population, rng))
        self.roster = VillageRoster(population.households, hidden, population.as_of)
        self._population = population
        self._avoid = avoid | hidden
        self._story = story
        self._rng = rng
        self._today = population.as_of
        self._truth = truth
        self._numbers = truth.of(SOURCE)
        self._plan = DirtPlan(rng, _DIRT, every=2)
        self._lines: dict[tuple[str, date], list[ClinicLine]] = defaultdict(list)
        self._serial = 0
        self._minor = next(p for p in population.people if p.id_number and 5 < p.age(self._today) < 16)

    def make(self) -> ClinicFeed:
        """All files, and their expected fate."""
        self._story_lines()
        for household in self._population.households:
            if household.story or not household.members or self._rng.random() >= HOUSEHOLD_RATE:
                continue
            debtors = [p for p in household.adults(self._today) if p.serial not in self._avoid and not p.old_number]
            if debtors:
                self._item(self._rng.choice(debtors))
        self._namesake_lines()
        for (township, day), lines in sorted(self._lines.items()):
            self._write(self.feed.clinics[township], day, lines)
        self._write_refused()
        expect(self.feed.files, self._truth)
        return self.feed

    def address(self, household: Household) -> str:
        """Township and village as people write them."""
        village = household.village
        county = self._rng.choice(("", "", "", "德宏州", "潞西市" if village.county == "533103" else "云南省"))
        name = self._rng.choice((village.name, village.name, f"{village.name}委会", f"{village.name[:-1]}村民委员会"))
        group = f"{int(household.group)}组" if household.group and self._rng.random() < 0.6 else ""
        return f"{county}{village.township}{self._rng.choice(('', ' '))}{name}{group}"

    def line(self, person: Person, day: date) -> ClinicLine:
        """A fresh unpaid bill of a person, listed on ``day``."""
        rng = self._rng
        self._serial += 1
        due = round(min(90000.0, rng.lognormvariate(6.397, 1.0)), 2)  # median 600 yuan
        paid = round(due * rng.choice((0, 0, 0, 0.2, 0.5)), 2)
        billed = day - timedelta(days=rng.randrange(3, 200))
        clinic = self.feed.clinics[person.household.village.code[:9]]
        values = {
            "机构编码": clinic.code,
            "欠费单号": f"Q{day.year}{self._serial:06d}",
            "欠费人姓名": person.name,
            "证件号码": person.number,
            "现住址": self.address(person.household),
            "联系电话": person.household.phone if rng.random() < 0.8 else "",
            "应付金额": f"{due:,.2f}" if rng.random() < 0.3 else f"{due:.2f}",
            "已付金额": f"{paid:.2f}" if paid else rng.choice(("0", "0.00")),
            "欠费余额": f"{due - paid:,.2f}" if rng.random() < 0.3 else f"{due - paid:.2f}",
            "结算日期": f"{billed:%Y-%m-%d}" if rng.random() < 0.8 else f"{billed.year}/{billed.month}/{billed.day}",
            "约定还款日": f"{day + timedelta(days=120):%Y-%m-%d}" if rng.random() < 0.7 else "",
            "延期协议到期日": f"{day + timedelta(days=200):%Y-%m-%d}" if rng.random() < 0.25 else "",
            "减免标志": rng.choice(("0", "", "否")),
        }
        values |= dict.fromkeys(clinic.forbidden, "略")
        return ClinicLine(values, person=person)

    def _story_lines(self) -> None:
        day = self._today - timedelta(days=6)
        township = self._story.household.village.code[:9]
        plan = f"{self._today + timedelta(days=150):%Y-%m-%d}"
        own = self.line(self._story.borrower, day)
        own.values |= {"应付金额": "2460.00", "已付金额": "1600.00", "欠费余额": "860.00", "延期协议到期日": plan}
        wife = self.line(self._story.spouse, day)
        wife.values |= {"证件号码": "", "联系电话": self._story.household.phone}
        wife.values |= {"应付金额": "310.00", "已付金额": "0", "欠费余额": "310.00"}
        wife.link = self._link(self._story.spouse, wife).value
        self._lines[township, day] += [own, wife]

    def _namesake_lines(self) -> None:
        """Bills without number of people who have a namesake in the village, with and without their own phone."""
        day = self._today - timedelta(days=4)
        groups = [g for g in self.roster.namesakes() if not any(p.serial in self._avoid for p in g)]
        for i, group in enumerate(groups[: 2 + len(groups) // 20]):
            line = self.line(group[0], day)
            line.values |= {"证件号码": "", "联系电话": group[0].household.phone if i % 2 else ""}
            line.link = self._link(group[0], line).value
            self._lines[group[0].household.village.code[:9], day].append(line)

    def _link(self, person: Person, line: ClinicLine) -> LinkState:
        return self.roster.link(person.household.village.code, person.name, line.values["联系电话"])[0]

    def _item(self, person: Person) -> None:
        rng = self._rng
        township = person.household.village.code[:9]
        day = self._today - timedelta(days=rng.randrange(2, DAYS))
        line = self.line(person, day)
        lines = self._lines[township, day]
        dirt = self._plan.draw()
        if dirt is not None and dirt.isupper():
            self._spoil(line, QuarantineReason[dirt], lines)
            lines.append(line)
            return
        if dirt is not None:
            self._vary(person, line, dirt)
        elif rng.random() < NO_ID_RATE:
            line.values["证件号码"] = rng.choice(("", "", "无", "0"))
            line.link = self._link(person, line).value
        lines.append(line)
        if dirt is None and rng.random() < 0.4:
            self._change_later(township, day, line)

    def _change_later(self, township: str, day: date, line: ClinicLine) -> None:
        """The item is listed again on a later day: settled."""
        later = day + timedelta(days=self._rng.randrange(1, 12))
        if later < self._today:
            changed = settled(line, later)
            self._lines[township, later].append(changed)

    def _spoil(self, line: ClinicLine, reason: QuarantineReason, lines: list[ClinicLine]) -> None:
        rng = self._rng
        values = line.values
        line.reason = reason
        match reason:
            case QuarantineReason.ROW_UNREADABLE if rng.random() < 0.5:
                line.cells_cut = True
            case QuarantineReason.ROW_UNREADABLE:
                values["欠费单号"] = rng.choice(("", "-"))
            case QuarantineReason.TEXT_UNREADABLE:
                values["欠费人姓名"] = lose_characters(rng, values["欠费人姓名"]).replace("\ufffd", "\ue5e5")
            case QuarantineReason.MINOR_SUBJECT:
                values |= {"欠费人姓名": self._minor.name, "证件号码": self._minor.number}
            case QuarantineReason.ADVERSE_EXPIRED:
                settled_on = years_before(self._today, 6)
                billed = f"{years_before(settled_on, 1):%Y-%m-%d}"
                values |= {
                    "恶意拖欠决定书号": "决〔2019〕3号",
                    "告知日期": billed,
                    "结算日期": billed,
                    "约定还款日": "",
                }
                values |= {"结清日期": f"{settled_on:%Y-%m-%d}", "已付金额": values["应付金额"], "欠费余额": "0"}
            case QuarantineReason.ADVERSE_NOTICE_MISSING:
                values |= {"恶意拖欠决定书号": "决〔2026〕1号", "告知日期": rng.choice(("", "无"))}
            case QuarantineReason.UNKNOWN_CODE:
                values["减免标志"] = rng.choice(("是的", "2"))
            case QuarantineReason.BAD_DATE:
                values["结算日期"] = rng.choice(("2015-02-30", "45912", "", "25-03-01"))
            case QuarantineReason.DATE_INCONSISTENT:
                values["约定还款日"] = f"{self._today.year - 2}-01-01"
            case QuarantineReason.BAD_AMOUNT:
                values["应付金额"] = rng.choice(("六百", "12.345", "", "2,000,000.00", "-30"))
            case QuarantineReason.AMOUNT_INCONSISTENT:
                values["应付金额"] = "99999.99"
            case QuarantineReason.DUP_CONFLICT:
                lines.append(ClinicLine(values | {"减免标志": "1"}, person=line.person))
            case QuarantineReason.ID_MISSING_UNLINKED:
                values["证件号码"] = ""
                if rng.random() < 0.5:
                    values["现住址"] = rng.choice(("缅甸木姐", "不详", "昆明市西山区"))
                else:
                    values["欠费人姓名"] = values["欠费人姓名"] + "某"
            case _:
                values["证件号码"] = damage(rng, values["证件号码"], reason) or ""

    def _vary(self, person: Person, line: ClinicLine, dirt: str) -> None:
        values = line.values
        match dirt:
            case "short" if has_short_form(person.number):
                values["证件号码"] = short_form(person.number)
            case "dress":
                values["证件号码"] = dress(self._rng, person.number)
            case "quote":
                values["证件号码"] = f"'{person.number}"
            case "waived":
                values["减免标志"] = self._rng.choice(("1", "是", "√"))
            case "malicious":
                told = self._today - timedelta(days=60)
                values |= {"恶意拖欠决定书号": "决〔2026〕7号", "告知日期": f"{told:%Y-%m-%d}"}
            case "formula":
                values["联系电话"] = "=1+1"

    def _write(self, clinic: Clinic, day: date, lines: list[ClinicLine]) -> None:
        self.feed.files.append(ClinicFile(clinic, day, 1, lines))
        touchy = any(x.reason is not None or (x.person and x.person.household.story) for x in lines)
        if touchy or self._rng.random() > 0.08:
            return
        # A replacement: everything again under the higher number, the last item of several taken back.
        kept = lines[:-1] if len(lines) > 1 else lines
        self.feed.files.append(ClinicFile(clinic, day, 2, [ClinicLine(dict(x.values), link=x.link) for x in kept]))

    def _write_refused(self) -> None:
        """Whole-file damage on days of their own, a cut replacement of a good list, a file never finished."""
        heads = [h.head for h in self._population.households if h.members and not h.story]
        heads = [p for p in heads if p.died is None and p.id_number and p.age(self._today) >= 18]
        for i, reason in enumerate(_REFUSALS * max(1, len(heads) // 6000)):
            person = heads[i * 7 % len(heads)]
            clinic = self.feed.clinics[person.household.village.code[:9]]
            day = self._today - timedelta(days=DAYS + 1 + i % 20)
            self.feed.files.append(ClinicFile(clinic, day, 3 + i, [self.line(person, day)], refusal=reason))
        good = next(f for f in self.feed.files if f.refusal is None and f.number == 1)
        again = [ClinicLine(dict(x.values)) for x in good.lines]
        self.feed.files.append(ClinicFile(good.clinic, good.day, 9, again, refusal=RefusalReason.HASH_MISMATCH))
        self.feed.files.append(ClinicFile(good.clinic, good.day, 10, again, complete=False))


def settled(line: ClinicLine, day: date) -> ClinicLine:
    """The same item, paid in full on ``day``."""
    paid = {"已付金额": line.values["应付金额"], "欠费余额": "0.00", "结清日期": f"{day:%Y-%m-%d}"}
    if line.values["约定还款日"] or line.values["延期协议到期日"]:
        paid["延期协议到期日"] = ""
    return ClinicLine(line.values | paid, link=line.link, person=line.person)


def expect(files: list[ClinicFile], truth: Truth) -> None:
    """Write down the fate of every file and line, as one pull of all of them must see it."""
    numbers = truth.of(SOURCE)
    groups: dict[tuple[str, date], int] = {}
    for file in files:
        if file.refusal is not None:
            truth.refuse(SOURCE, f"{file.name}.csv", file.refusal)
        elif file.complete:
            group = (file.clinic.code, file.day)
            groups[group] = max(groups.get(group, 0), file.number)
    newest: dict[str, tuple[date, int, ClinicLine]] = {}
    valid = 0
    for file in files:
        if file.refusal is not None or not file.complete:
            continue
        for record, line in enumerate(file.lines, start=2):
            version = f"{file.day:%Y%m%d}_{file.number:02d}"
            readable = not line.cells_cut and line.item not in {"", "-"}
            key = f"{file.clinic.code}|{line.item}"
            if readable:
                numbers.dropped_fields.update(file.clinic.forbidden)
            if line.reason is not None:
                place = key if readable else f"{file.name}.csv#{record}"
                truth.hold(SOURCE, place, version if readable else "", line.reason)
                continue
            valid += 1
            current = groups[file.clinic.code, file.day] == file.number
            if current and (key not in newest or newest[key][:2] < (file.day, file.number)):
                newest[key] = (file.day, file.number, line)
    numbers.accepted = len(newest)
    numbers.superseded = valid - len(newest)
    numbers.links.update(entry[2].link for entry in newest.values())
